//! [`Entry`]: one socket of the program: the kernel's socket, our end of the pair,
//! and what is between them; and [`Table`], all of them.

use std::collections::{HashMap, VecDeque};
use std::os::fd::OwnedFd;

use drupe::net::Event;
use rustix::event::epoll::EventFlags;
use rustix::io::Errno;

use crate::calls::Call;
use crate::listening::Listening;
use crate::messages::Messages;
use crate::pair::unplug;
use crate::socket::Socket;
use crate::stream::Stream;
use crate::target::Targets;

/// Sockets that are over in both directions, and may be closed or not: how many
/// are kept for questions about them.
const KEPT: usize = 512;

/// What is known of the readiness of one side. It is told when it changes, so it
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

/// What is between the ends.
pub(crate) enum State {
    Stream(Stream),
    Listening(Listening),
    Messages(Messages),
}

/// One socket of the program.
pub(crate) struct Entry {
    pub(crate) socket: Socket,
    pub(crate) side: Side,
    pub(crate) state: State,
    /// Calls that wait for it.
    pub(crate) parked: Vec<Call>,
    /// It is in the queue for a turn.
    pub(crate) queued: bool,
}

/// What all kinds of sockets have.
pub(crate) struct Side {
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

impl Entry {
    /// Has the kernel tell of its readiness.
    pub(crate) fn watch(&mut self) -> Result<(), Errno> {
        if !self.side.watched {
            self.socket.watch(self.side.id)?;
            self.side.watched = true;
        }
        Ok(())
    }

    /// Moves what can be moved.
    pub(crate) fn advance(&mut self, tools: &mut Tools<'_>) -> Turn {
        match &mut self.state {
            State::Stream(stream) => {
                let blocking = !self.parked.is_empty();
                stream.advance(&mut self.side, &self.socket, blocking, tools)
            }
            State::Listening(listening) => listening.advance(&mut self.side, &self.socket),
            State::Messages(messages) => messages.advance(&mut self.side, &self.socket, tools),
        }
    }
}

impl Side {
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
        (crate::target::socket_number(&theirs) == Some(self.number)).then_some(theirs)
    }
}

/// All sockets of the program.
#[derive(Default)]
pub(crate) struct Table {
    entries: HashMap<u64, Entry>,
    by_number: HashMap<u64, u64>,
    over: VecDeque<u64>,
    last: u64,
}

/// Tokens below this are not sockets.
pub(crate) const FIRST: u64 = 16;

impl Table {
    /// What the next socket is called.
    pub(crate) fn next_id(&mut self) -> u64 {
        self.last += 1;
        FIRST + self.last
    }

    pub(crate) fn insert(
        &mut self,
        (id, number): (u64, u64),
        socket: Socket,
        state: State,
        ours: OwnedFd,
        seen: (u32, i32),
    ) -> &mut Entry {
        if let Some(old) = self.by_number.insert(number, id) {
            self.entries.remove(&old);
        }
        let side = Side {
            id,
            number,
            ours: Some(ours),
            end: Ready::default(),
            wire: Ready::default(),
            seen,
            linger: None,
            watched: false,
        };
        self.entries.entry(id).or_insert(Entry {
            socket,
            side,
            state,
            parked: Vec::new(),
            queued: false,
        })
    }

    pub(crate) fn find(&self, number: u64) -> Option<u64> {
        self.by_number.get(&number).copied()
    }

    pub(crate) fn get(&mut self, id: u64) -> Option<&mut Entry> {
        self.entries.get_mut(&id)
    }

    pub(crate) fn remove(&mut self, id: u64) -> Option<Entry> {
        let entry = self.entries.remove(&id)?;
        if self.by_number.get(&entry.side.number) == Some(&id) {
            self.by_number.remove(&entry.side.number);
        }
        Some(entry)
    }

    /// It is over, but may be asked about.
    pub(crate) fn retire(&mut self, id: u64) {
        if self.over.contains(&id) {
            return;
        }
        self.over.push_back(id);
        if self.over.len() > KEPT
            && let Some(oldest) = self.over.pop_front()
        {
            self.remove(oldest);
        }
    }

    /// Bytes that the program has written and the kernel not yet taken.
    pub(crate) fn unsent(&self) -> usize {
        let of = |entry: &Entry| match &entry.state {
            State::Stream(stream) => stream.unsent(),
            _ => 0,
        };
        self.entries.values().map(of).sum()
    }

    pub(crate) fn ids(&self) -> Vec<u64> {
        self.entries.keys().copied().collect()
    }
}
