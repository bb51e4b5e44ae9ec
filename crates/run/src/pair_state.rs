//! [`PairState`]: the state that sockets of all kinds share: the supervisor's end of the
//! pair, the readiness of both sides, and the program's last known descriptor.

use std::os::fd::OwnedFd;

use drupe::net::Event;
use rustix::event::epoll::EventFlags;

use crate::pair::unplug;
use crate::target::{Targets, socket_number};

/// The readiness of one side of a pair. It is edge-triggered, so it holds until a call
/// returns EAGAIN.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Ready {
    pub(crate) readable: bool,
    pub(crate) writable: bool,
    /// The end of the stream has come: a short read does not mean that there is no more
    /// to read.
    pub(crate) ended: bool,
    /// Both directions have ended.
    pub(crate) hangup: bool,
    pub(crate) error: bool,
}

impl Ready {
    /// Updates it from the host's events of the supervisor's end.
    pub(crate) fn of_end(&mut self, flags: EventFlags) {
        let ended = EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR;
        self.readable |= flags.intersects(EventFlags::IN | ended);
        self.writable |= flags.intersects(EventFlags::OUT | EventFlags::HUP | EventFlags::ERR);
        self.ended |= flags.intersects(ended);
        self.hangup |= flags.contains(EventFlags::HUP);
    }

    /// Updates it from the drupe kernel's events of the socket.
    pub(crate) fn of_wire(&mut self, event: Event) {
        self.readable |= event.is_readable();
        self.writable |= event.is_writable();
        self.ended |= event.is_read_closed() || event.is_error();
        self.hangup |= event.is_hangup();
        self.error |= event.is_error();
    }
}

/// The result of a turn of a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// There is nothing to do until something becomes ready.
    Done,
    /// There is more to do, after other sockets.
    More,
    /// The program has closed it, and all is delivered.
    Gone,
    /// Both directions have ended; whether the program has closed it is not known.
    Over,
}

/// The state that all kinds of sockets share.
pub(crate) struct PairState {
    pub(crate) id: u64,
    /// The supervisor's end of the pair; `None` once the program was told of a reset.
    pub(crate) ours: Option<OwnedFd>,
    /// Readiness of the supervisor's end, and of the kernel's socket.
    pub(crate) end: Ready,
    pub(crate) wire: Ready,
    /// The number of the program's end.
    pub(crate) number: u64,
    /// A thread and a descriptor number under which the program's end was last seen.
    pub(crate) seen: (u32, i32),
    /// `SO_LINGER`, if it is on: seconds.
    pub(crate) linger: Option<i32>,
    /// Whether the socket is registered with the kernel's epoll.
    pub(crate) watched: bool,
}

/// The resources for a turn of a socket.
pub(crate) struct Tools<'a> {
    pub(crate) buffer: &'a mut [u8],
    pub(crate) targets: &'a mut Targets,
}

impl PairState {
    /// Makes the program's end writable.
    pub(crate) fn unplug(&self, junk: usize, targets: &mut Targets) {
        if junk > 0
            && let Some(ours) = &self.ours
        {
            unplug(ours, junk, self.find_theirs(targets));
        }
    }

    /// A descriptor of the program's end, if it is still where it was last seen.
    pub(crate) fn find_theirs(&self, targets: &mut Targets) -> Option<OwnedFd> {
        let (thread, fd) = self.seen;
        let theirs = targets.descriptor(thread, fd).ok()?;
        (socket_number(&theirs) == Some(self.number)).then_some(theirs)
    }
}
