//! [`Sockets`]: all sockets of the program, their queue, and the calls that wait for
//! them.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::time::{Duration, Instant};

use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Errno;

use crate::call::Call;
use crate::entry::{Entry, Table};
use crate::error::{Result, WithOperation};
use crate::listener::Listener;
use crate::pair_state::{PairState, Tools, Turn};
use crate::socket::Net;
use crate::target::Targets;

/// Bytes that are read at once.
const BUFFER: usize = 256 << 10;

/// The sockets of the program, and its calls that wait for them.
pub(crate) struct Sockets {
    pub(crate) net: Rc<Net>,
    pub(crate) listener: Listener,
    pub(crate) targets: Targets,
    pub(crate) table: Table,
    pub(crate) buffer: Vec<u8>,
    /// The host's epoll: the supervisor's ends of the pairs, and its other descriptors.
    pub(crate) epoll: OwnedFd,
    /// Sockets that wait for a turn.
    queue: VecDeque<u64>,
    /// Timeouts of waiting calls: the time, the socket and the call.
    deadlines: BinaryHeap<Reverse<(Instant, u64, u64)>>,
}

impl Sockets {
    pub(crate) fn new(net: Net, listener: Listener) -> Result<Sockets> {
        Ok(Sockets {
            net: Rc::new(net),
            listener,
            targets: Targets::default(),
            table: Table::default(),
            buffer: vec![0; BUFFER],
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC).doing("cannot make an epoll")?,
            queue: VecDeque::new(),
            deadlines: BinaryHeap::new(),
        })
    }

    /// Queues a socket for a turn.
    pub(crate) fn wake(&mut self, id: u64) {
        if let Some(entry) = self.table.get(id) {
            enqueue(&mut self.queue, entry);
        }
    }

    /// Notes a change of a socket's readiness, and queues the socket.
    pub(crate) fn ready(&mut self, id: u64, note: impl FnOnce(&mut PairState)) {
        if let Some(entry) = self.table.get(id) {
            note(&mut entry.pair);
            enqueue(&mut self.queue, entry);
        }
    }

    /// The number of sockets that wait for a turn.
    pub(crate) fn queued(&self) -> usize {
        self.queue.len()
    }

    /// The next socket of the queue.
    pub(crate) fn next(&mut self) -> Option<u64> {
        self.queue.pop_front()
    }

    /// Gives a socket its turn. Returns the calls that wait for it, to be served again.
    #[must_use]
    pub(crate) fn advance(&mut self, id: u64) -> Vec<Call> {
        let Some(entry) = self.table.get(id) else {
            return Vec::new();
        };
        entry.queued = false;
        let mut tools = Tools {
            buffer: &mut self.buffer,
            targets: &mut self.targets,
        };
        let turn = entry.advance(&mut tools);
        if turn == Turn::Gone {
            self.remove(id);
            return Vec::new();
        }
        if turn == Turn::More {
            enqueue(&mut self.queue, entry);
        }
        let parked = std::mem::take(&mut entry.parked);
        if turn == Turn::Over {
            self.table.retire(id);
        }
        parked
    }

    /// Registers the supervisor's end of a pair with the host's epoll.
    pub(crate) fn watch_end(&self, ours: impl AsFd, id: u64) -> Result<(), Errno> {
        let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        epoll::add(&self.epoll, ours, EventData::new_u64(id), flags)
    }

    /// Lets a call wait for a socket.
    pub(crate) fn park(&mut self, id: u64, call: Call) {
        let Some(entry) = self.table.get(id) else {
            return self.listener.fail(call.id(), Errno::BADF);
        };
        // A thread makes one call at a time: an earlier one was interrupted.
        entry.parked.retain(|other| other.thread() != call.thread());
        if let Some(deadline) = call.deadline {
            self.deadlines.push(Reverse((deadline, id, call.id())));
        }
        entry.parked.push(call);
    }

    /// The time until the first timeout of a waiting call.
    pub(crate) fn until_late(&self) -> Option<Duration> {
        let Reverse((at, _, _)) = self.deadlines.peek()?;
        Some(at.saturating_duration_since(Instant::now()))
    }

    /// Fails the calls whose timeout has passed.
    pub(crate) fn give_up_late(&mut self) {
        while let Some(&Reverse((at, id, call))) = self.deadlines.peek() {
            if at > Instant::now() {
                break;
            }
            self.deadlines.pop();
            let Some(entry) = self.table.get(id) else {
                continue;
            };
            if let Some(at) = entry.parked.iter().position(|parked| parked.id() == call) {
                let call = entry.parked.remove(at);
                self.listener.fail(call.id(), call.late());
            }
        }
    }

    /// Removes a closed socket, and ends the calls that wait for it.
    fn remove(&mut self, id: u64) {
        let entry = self.table.remove(id);
        for call in entry.into_iter().flat_map(|entry| entry.parked) {
            self.listener.fail(call.id(), Errno::BADF);
        }
    }
}

fn enqueue(queue: &mut VecDeque<u64>, entry: &mut Entry) {
    if !entry.queued {
        entry.queued = true;
        queue.push_back(entry.pair.id);
    }
}
