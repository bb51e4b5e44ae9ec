//! [`Entry`]: one socket of the program, with the drupe kernel's socket and the
//! supervisor's end of the pair; [`Table`]: all of them.

use std::collections::{HashMap, VecDeque};
use std::os::fd::OwnedFd;

use rustix::io::Errno;

use crate::call::Call;
use crate::listening::Listening;
use crate::messages::Messages;
use crate::pair_state::{PairState, Ready, Tools, Turn};
use crate::socket::Socket;
use crate::stream::Stream;

/// How many sockets are kept whose directions have both ended, for calls about them: the
/// program may or may not have closed them.
const KEPT: usize = 512;

/// The state of a socket, by its kind.
pub(crate) enum State {
    Stream(Stream),
    Listening(Listening),
    Messages(Messages),
}

/// One socket of the program.
pub(crate) struct Entry {
    pub(crate) socket: Socket,
    pub(crate) pair: PairState,
    pub(crate) state: State,
    /// Calls that wait for the socket.
    pub(crate) parked: Vec<Call>,
    /// Whether it is in the queue.
    pub(crate) queued: bool,
}

impl Entry {
    /// Registers the socket with the kernel's epoll.
    pub(crate) fn watch(&mut self) -> Result<(), Errno> {
        if !self.pair.watched {
            self.socket.watch(self.pair.id)?;
            self.pair.watched = true;
        }
        Ok(())
    }

    /// Moves as much data as possible between the two ends.
    pub(crate) fn advance(&mut self, tools: &mut Tools<'_>) -> Turn {
        match &mut self.state {
            State::Stream(stream) => {
                let blocking = !self.parked.is_empty();
                stream.advance(&mut self.pair, &self.socket, blocking, tools)
            }
            State::Listening(listening) => listening.advance(&mut self.pair, &self.socket),
            State::Messages(messages) => messages.advance(&mut self.pair, &self.socket, tools),
        }
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
    /// The number of the next socket.
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
        let pair = PairState {
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
            pair,
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
        if self.by_number.get(&entry.pair.number) == Some(&id) {
            self.by_number.remove(&entry.pair.number);
        }
        Some(entry)
    }

    /// Notes that both directions of a socket have ended. It is kept for calls about it.
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

    /// Bytes that the program has written and the kernel has not taken yet.
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
