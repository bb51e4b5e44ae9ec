//! [`Supervisor`]: the loop that answers the program's calls and moves its data.
//!
//! It is one thread, which waits in one epoll(7) of the host for the filter's listener,
//! its ends of the pairs, the keeper, signals, and the drupe kernel's sockets (by
//! [`drupe::net::Poll::as_fd`]).

use std::os::fd::{AsFd, OwnedFd};
use std::process::ExitStatus;
use std::time::Duration;

use drupe::net::Events;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Errno;

use crate::call::Call;
use crate::error::{Error, Result, WithOperation};
use crate::keeper::{Keeper, Started, forward};
use crate::signals::Signals;
use crate::socket::Net;
use crate::sockets::Sockets;

/// How many events are collected at once.
const EVENTS: usize = 256;

const LISTENER: u64 = 0;
const KERNEL: u64 = 1;
const SIGNALS: u64 = 2;
const KEEPER: u64 = 3;

/// The state of a running program.
pub(crate) struct Supervisor {
    pub(crate) sockets: Sockets,
    process: OwnedFd,
    signals: Signals,
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
        let sockets = Sockets::new(net, started.listener)?;
        for (fd, token) in [
            (sockets.listener.as_fd(), LISTENER),
            (sockets.net.poll().as_fd()?, KERNEL),
            (signals.as_fd(), SIGNALS),
            (keeper.as_fd(), KEEPER),
        ] {
            epoll::add(
                &sockets.epoll,
                fd,
                EventData::new_u64(token),
                EventFlags::IN,
            )
            .doing("cannot wait for events")?;
        }
        Ok(Supervisor {
            sockets,
            process: started.process,
            signals,
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
                let _ = epoll::delete(&self.sockets.epoll, keeper);
                return Ok(status);
            }
        }
    }

    /// Closes the listener, after the program has ended.
    pub(crate) fn stop_listening(&mut self) {
        let _ = epoll::delete(&self.sockets.epoll, &self.sockets.listener);
    }

    /// Waits for events, at most for `limit`, and handles them. Returns whether there
    /// were events of sockets.
    pub(crate) fn turn(
        &mut self,
        limit: Option<Duration>,
        keeper: Option<&Keeper>,
    ) -> Result<bool> {
        let mut events = std::mem::replace(&mut self.kernel_events, Events::with_capacity(1));
        self.sockets.net.collect(&mut events);
        for event in events.iter() {
            let id = event.token().0;
            self.sockets.ready(id, |pair| pair.wire.of_wire(event));
        }
        self.kernel_events = events;
        if let Some(error) = self.sockets.net.failure() {
            return Err(error.into());
        }
        let called = self.wait(limit, keeper)?;
        let queued = self.sockets.queued();
        for _ in 0..queued {
            if let Some(id) = self.sockets.next() {
                self.advance(id);
            }
        }
        // Only now: what the program has written before it called goes first.
        if called && let Ok(notification) = self.sockets.listener.receive() {
            self.sockets.serve(Call::new(notification));
        }
        self.sockets.give_up_late();
        Ok(queued > 0)
    }

    /// Collects the host's events. Returns whether there is a call.
    fn wait(&mut self, limit: Option<Duration>, keeper: Option<&Keeper>) -> Result<bool> {
        let timeout = match self.sockets.queued() {
            0 => self.sockets.until_late().into_iter().chain(limit).min(),
            _ => Some(Duration::ZERO),
        };
        let timeout = timeout.and_then(|timeout| timeout.try_into().ok());
        let mut events = std::mem::take(&mut self.host_events);
        events.clear();
        let room = rustix::buffer::spare_capacity(&mut events);
        match epoll::wait(&self.sockets.epoll, room, timeout.as_ref()) {
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
                id => self.sockets.ready(id, |pair| pair.end.of_end(event.flags)),
            }
        }
        self.host_events = events;
        Ok(called)
    }

    /// Gives a socket its turn, and serves the calls that wait for it.
    fn advance(&mut self, id: u64) {
        for call in self.sockets.advance(id) {
            if self.sockets.listener.is_waiting(call.id()) {
                self.sockets.serve(call);
            }
        }
    }
}
