//! [`Supervisor`]: the loop that answers the program's calls and moves its data.
//!
//! It is one thread. It waits in one epoll(7) of the host: for the filter's
//! listener, our ends of the pairs, the keeper, signals, and the descriptor by
//! which the kernel tells that its sockets have become ready.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::os::fd::{AsFd, OwnedFd};
use std::process::ExitStatus;
use std::rc::Rc;
use std::time::{Duration, Instant};

use drupe::net::Events;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Errno;

use crate::calls::Call;
use crate::entry::{Entry, Table, Tools, Turn};
use crate::error::{Doing, Error, Result};
use crate::keeper::{Keeper, Started, forward};
use crate::listener::Listener;
use crate::signals::Signals;
use crate::socket::Net;
use crate::target::Targets;

/// What is read at once.
const BUFFER: usize = 256 << 10;
/// Events that are taken at once.
const EVENTS: usize = 256;

const LISTENER: u64 = 0;
const KERNEL: u64 = 1;
const SIGNALS: u64 = 2;
const KEEPER: u64 = 3;

/// All of a program that runs.
pub(crate) struct Supervisor {
    pub(crate) net: Rc<Net>,
    pub(crate) listener: Listener,
    pub(crate) targets: Targets,
    pub(crate) table: Table,
    pub(crate) buffer: Vec<u8>,
    process: OwnedFd,
    epoll: OwnedFd,
    signals: Signals,
    /// Sockets that have something to do.
    queue: VecDeque<u64>,
    /// When calls that wait give up: the time, the socket and the call.
    deadlines: BinaryHeap<Reverse<(Instant, u64, u64)>>,
    kernel_events: Events,
    host_events: Vec<epoll::Event>,
    status: Option<ExitStatus>,
}

impl Supervisor {
    pub(crate) fn new(
        net: Net,
        started: Started,
        keeper: &Keeper,
        signals: Signals,
    ) -> Result<Supervisor> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).doing("cannot make an epoll")?;
        let kernel = net.poll().as_fd()?;
        for (fd, token) in [
            (started.listener.as_fd(), LISTENER),
            (kernel, KERNEL),
            (signals.as_fd(), SIGNALS),
            (keeper.as_fd(), KEEPER),
        ] {
            epoll::add(&epoll, fd, EventData::new_u64(token), EventFlags::IN)
                .doing("cannot wait for events")?;
        }
        Ok(Supervisor {
            net: Rc::new(net),
            listener: started.listener,
            targets: Targets::default(),
            table: Table::default(),
            buffer: vec![0; BUFFER],
            process: started.process,
            epoll,
            signals,
            queue: VecDeque::new(),
            deadlines: BinaryHeap::new(),
            kernel_events: Events::with_capacity(EVENTS),
            host_events: Vec::with_capacity(EVENTS),
            status: None,
        })
    }

    /// Serves until the program ends.
    pub(crate) fn run(&mut self, keeper: &Keeper) -> Result<ExitStatus> {
        loop {
            self.turn(None, Some(keeper))?;
            if let Some(status) = self.status {
                // It is ready for ever from now on.
                let _ = epoll::delete(&self.epoll, keeper);
                return Ok(status);
            }
        }
    }

    /// There is no program any more, that could make calls.
    pub(crate) fn stop_listening(&mut self) {
        let _ = epoll::delete(&self.epoll, &self.listener);
    }

    /// Waits for events, for `limit` at most, and does what they ask for. Whether
    /// sockets had any.
    pub(crate) fn turn(
        &mut self,
        limit: Option<Duration>,
        keeper: Option<&Keeper>,
    ) -> Result<bool> {
        let mut events = std::mem::replace(&mut self.kernel_events, Events::with_capacity(1));
        self.net.collect(&mut events);
        for event in events.iter() {
            let id = event.token().0;
            if let Some(entry) = self.table.get(id) {
                entry.side.wire.of_wire(event);
                enqueue(&mut self.queue, entry);
            }
        }
        self.kernel_events = events;
        if let Some(error) = self.net.failure() {
            return Err(error.into());
        }
        let called = self.wait(limit, keeper)?;
        let had = !self.queue.is_empty();
        for _ in 0..self.queue.len() {
            if let Some(id) = self.queue.pop_front() {
                self.advance(id);
            }
        }
        // Only now: what the program has written before it called goes first.
        if called && let Ok(notification) = self.listener.receive() {
            self.serve(Call::new(notification));
        }
        self.give_up_late();
        Ok(had)
    }

    /// Takes the host's events. Whether there is a call.
    fn wait(&mut self, limit: Option<Duration>, keeper: Option<&Keeper>) -> Result<bool> {
        let timeout = match self.queue.is_empty() {
            false => Some(Duration::ZERO),
            true => {
                let next = self.deadlines.peek().map(|Reverse((at, _, _))| *at);
                let next = next.map(|at| at.saturating_duration_since(Instant::now()));
                next.into_iter().chain(limit).min()
            }
        };
        let timeout = timeout.and_then(|timeout| timeout.try_into().ok());
        let mut events = std::mem::take(&mut self.host_events);
        events.clear();
        let room = rustix::buffer::spare_capacity(&mut events);
        match epoll::wait(&self.epoll, room, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno).doing("cannot wait for events"),
        }
        let mut called = false;
        for event in &events {
            match event.data.u64() {
                LISTENER => called = true,
                KERNEL => {}
                SIGNALS => {
                    for signal in self.signals.take() {
                        forward(&self.process, signal);
                    }
                }
                KEEPER => {
                    if let Some(keeper) = keeper {
                        let ended = keeper.ended();
                        self.status = Some(ended.ok_or(Error::KeeperKilled)?);
                    }
                }
                id => {
                    if let Some(entry) = self.table.get(id) {
                        entry.side.end.of_end(event.flags);
                        enqueue(&mut self.queue, entry);
                    }
                }
            }
        }
        self.host_events = events;
        Ok(called)
    }

    /// A socket's turn, and then that of the calls that wait for it.
    fn advance(&mut self, id: u64) {
        let Some(entry) = self.table.get(id) else {
            return;
        };
        entry.queued = false;
        let mut tools = Tools {
            buffer: &mut self.buffer,
            targets: &mut self.targets,
        };
        match entry.advance(&mut tools) {
            Turn::Done => {}
            Turn::More => enqueue(&mut self.queue, entry),
            Turn::Gone => return self.remove(id),
            Turn::Over => self.table.retire(id),
        }
        self.serve_parked(id);
    }

    pub(crate) fn serve_parked(&mut self, id: u64) {
        let Some(entry) = self.table.get(id) else {
            return;
        };
        for call in std::mem::take(&mut entry.parked) {
            if self.listener.is_waiting(call.id()) {
                self.serve(call);
            }
        }
    }

    fn remove(&mut self, id: u64) {
        let entry = self.table.remove(id);
        for call in entry.into_iter().flat_map(|entry| entry.parked) {
            self.listener.fail(call.id(), Errno::BADF);
        }
    }

    /// Gives a socket a turn soon.
    pub(crate) fn wake(&mut self, id: u64) {
        if let Some(entry) = self.table.get(id) {
            enqueue(&mut self.queue, entry);
        }
    }

    /// Has the host tell of the readiness of our end.
    pub(crate) fn watch_end(&self, ours: impl AsFd, id: u64) -> Result<(), Errno> {
        let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        epoll::add(&self.epoll, ours, EventData::new_u64(id), flags)
    }

    /// A call waits for a socket.
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

    /// Ends the calls whose time is over.
    fn give_up_late(&mut self) {
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
}

fn enqueue(queue: &mut VecDeque<u64>, entry: &mut Entry) {
    if !entry.queued {
        entry.queued = true;
        queue.push_back(entry.side.id);
    }
}
