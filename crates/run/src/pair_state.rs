//! [`PairState`]: what sockets of all kinds have beside the kernel's socket: our end of the
//! pair, the readiness of both, and where the program's end was last seen.

use std::os::fd::OwnedFd;

use drupe::net::Event;
use rustix::event::epoll::EventFlags;

use crate::pair::unplug;
use crate::target::{Targets, socket_number};

/// What is known of the readiness of one side of a pair. It is told when it changes, so it
/// holds until a call says EAGAIN.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Ready {
    pub(crate) readable: bool,
    pub(crate) writable: bool,
    /// The end has come: that less was read than could have been does not mean
    /// that nothing more comes.
    pub(crate) ended: bool,
    /// Both directions are over.
    pub(crate) hangup: bool,
    pub(crate) error: bool,
}

impl Ready {
    /// The host's word about our end.
    pub(crate) fn of_end(&mut self, flags: EventFlags) {
        let ended = EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR;
        self.readable |= flags.intersects(EventFlags::IN | ended);
        self.writable |= flags.intersects(EventFlags::OUT | EventFlags::HUP | EventFlags::ERR);
        self.ended |= flags.intersects(ended);
        self.hangup |= flags.contains(EventFlags::HUP);
    }

    /// The kernel's word about the socket.
    pub(crate) fn of_wire(&mut self, event: Event) {
        self.readable |= event.is_readable();
        self.writable |= event.is_writable();
        self.ended |= event.is_read_closed() || event.is_error();
        self.hangup |= event.is_hangup();
        self.error |= event.is_error();
    }
}

/// What a turn at a socket came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// There is nothing to do until something becomes ready.
    Done,
    /// There is more to do: others first.
    More,
    /// The program has closed it, and all is delivered.
    Gone,
    /// Over in both directions; whether it is closed is not known.
    Over,
}

/// What all kinds of sockets have.
pub(crate) struct PairState {
    pub(crate) id: u64,
    /// Our end of the pair; none once the program has been told of a reset.
    pub(crate) ours: Option<OwnedFd>,
    /// Readiness of our end, and of the kernel's socket.
    pub(crate) end: Ready,
    pub(crate) wire: Ready,
    /// The number of the program's end.
    pub(crate) number: u64,
    /// A thread and a number by which the program's end was last known.
    pub(crate) seen: (u32, i32),
    /// `SO_LINGER`, if it is on: seconds.
    pub(crate) linger: Option<i32>,
    /// The kernel tells of its readiness.
    pub(crate) watched: bool,
}

/// What a turn needs beside the socket.
pub(crate) struct Tools<'a> {
    pub(crate) buffer: &'a mut [u8],
    pub(crate) targets: &'a mut Targets,
}

impl PairState {
    /// The program's end may be written to from now on.
    pub(crate) fn unplug(&self, junk: usize, targets: &mut Targets) {
        if junk > 0
            && let Some(ours) = &self.ours
        {
            unplug(ours, junk, self.find_theirs(targets));
        }
    }

    /// The program's end, if it is still where it was last seen.
    pub(crate) fn find_theirs(&self, targets: &mut Targets) -> Option<OwnedFd> {
        let (thread, fd) = self.seen;
        let theirs = targets.descriptor(thread, fd).ok()?;
        (socket_number(&theirs) == Some(self.number)).then_some(theirs)
    }
}
