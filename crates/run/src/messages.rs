//! [`Messages`]: a socket that carries messages: UDP, raw, packet, netlink.
//!
//! Received messages go into the pair at once, so that poll(2) and read(2) work. Their
//! senders and control messages wait here in a queue, for recvmsg(2) and the like. How
//! many messages read(2) has taken from the pair follows from the memory that the host
//! charges to the supervisor's end, since the charge for each message is known.

use std::collections::VecDeque;

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};

use crate::pair::{cost, outstanding};
use crate::pair_state::{PairState, Ready, Tools, Turn};
use crate::pending::Pending;
use crate::socket::{Address, Socket};

/// How many messages of one socket are moved before others have their turn.
const TURN: usize = 256;
/// Bytes for the control messages of one message.
const CONTROL: usize = 1024;

/// Sender and control messages of a message that is in the pair.
#[derive(Clone)]
pub(crate) struct Arrived {
    pub(crate) from: Address,
    pub(crate) control: Vec<u8>,
    pub(crate) flags: i32,
    cost: u32,
}

/// A socket that carries messages.
pub(crate) struct Messages {
    netlink: bool,
    arrived: VecDeque<Arrived>,
    /// A received message for which the pair had no room.
    held: Option<(Pending, Arrived)>,
    /// A sent message for which the kernel had no room.
    unsent: Option<Vec<u8>>,
    /// The error of a message that the program has written.
    pub(crate) error: Option<Errno>,
}

impl Messages {
    pub(crate) fn new(domain: i32) -> Messages {
        Messages {
            netlink: domain == libc::AF_NETLINK,
            arrived: VecDeque::new(),
            held: None,
            unsent: None,
            error: None,
        }
    }

    pub(crate) fn advance(
        &mut self,
        pair: &mut PairState,
        socket: &Socket,
        tools: &mut Tools<'_>,
    ) -> Turn {
        let sent = self.send_all(pair, socket, tools.buffer);
        match sent {
            Turn::Gone => return Turn::Gone,
            Turn::More => {
                self.receive_all(pair, socket, tools.buffer);
                return Turn::More;
            }
            _ => {}
        }
        self.receive_all(pair, socket, tools.buffer)
    }

    /// Moves messages from the program to the kernel.
    pub(crate) fn send_all(
        &mut self,
        pair: &mut PairState,
        socket: &Socket,
        buffer: &mut [u8],
    ) -> Turn {
        let PairState {
            ours: Some(ours),
            end,
            wire,
            ..
        } = pair
        else {
            return Turn::Done;
        };
        let ours = &*ours;
        for _ in 0..TURN {
            if let Some(message) = &self.unsent {
                if !wire.writable {
                    return Turn::Done;
                }
                if socket.send(message) == Err(Errno::AGAIN) {
                    wire.writable = false;
                    return Turn::Done;
                }
                self.unsent = None;
            }
            if !end.readable {
                return Turn::Done;
            }
            match recv(ours, &mut *buffer, RecvFlags::DONTWAIT) {
                Ok((0, _)) if end.hangup => return Turn::Gone,
                Err(Errno::CONNRESET) => return Turn::Gone,
                Ok((len, _)) => self.pass_on(wire, socket, &buffer[..len]),
                Err(_) => end.readable = false,
            }
        }
        Turn::More
    }

    fn pass_on(&mut self, wire: &mut Ready, socket: &Socket, message: &[u8]) {
        let mut sent = socket.send(message);
        if let Err(Errno::CONNREFUSED) = sent {
            // That was the answer to an earlier one.
            self.error = Some(Errno::CONNREFUSED);
            sent = socket.send(message);
        }
        match sent {
            Err(Errno::AGAIN) => {
                wire.writable = false;
                self.unsent = Some(message.to_owned());
            }
            Err(errno) => self.error = Some(errno),
            Ok(_) => {}
        }
    }

    /// Moves received messages into the pair.
    pub(crate) fn receive_all(
        &mut self,
        pair: &mut PairState,
        socket: &Socket,
        buffer: &mut [u8],
    ) -> Turn {
        let mut control = [0; CONTROL];
        for _ in 0..TURN {
            if let Some((message, arrived)) = self.held.take() {
                if !pair.end.writable {
                    self.held = Some((message, arrived));
                    return Turn::Done;
                }
                self.push(pair, message.as_bytes(), arrived);
                continue;
            }
            if !pair.wire.readable {
                return Turn::Done;
            }
            let mut from = Address::NONE;
            let room = match self.room(socket, buffer.len()) {
                Ok(room) => room,
                Err(errno) => {
                    self.receive_failed(pair, errno);
                    continue;
                }
            };
            match socket.receive_message(&mut buffer[..room], &mut from, &mut control, 0) {
                Ok(received) => {
                    let arrived = Arrived {
                        from,
                        control: control[..received.control].to_vec(),
                        flags: received.flags & !libc::MSG_CMSG_CLOEXEC,
                        cost: 0,
                    };
                    self.push(pair, &buffer[..received.len], arrived);
                }
                Err(errno) => self.receive_failed(pair, errno),
            }
        }
        Turn::More
    }

    fn receive_failed(&mut self, pair: &mut PairState, errno: Errno) {
        match errno {
            Errno::AGAIN => pair.wire.readable = false,
            // Such as that nobody listens where the last one went.
            errno => {
                self.error = Some(errno);
                pair.wire.readable = !pair.wire.hangup;
            }
        }
    }

    /// The size of the buffer for receiving. Netlink makes its next messages as large as
    /// the buffer, and the program's may be smaller than the supervisor's.
    fn room(&self, socket: &Socket, all: usize) -> Result<usize, Errno> {
        if !self.netlink {
            return Ok(all);
        }
        let len = socket.receive(&mut [], libc::MSG_PEEK | libc::MSG_TRUNC)?;
        Ok(len.min(all))
    }

    fn push(&mut self, pair: &mut PairState, message: &[u8], mut arrived: Arrived) {
        let Some(ours) = &pair.ours else { return };
        self.forget_read(outstanding(ours));
        match send(ours, message, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
            Ok(_) => {
                // Not how much is outstanding more than before: the program may
                // be reading.
                arrived.cost = cost(message.len());
                self.arrived.push_back(arrived);
            }
            Err(Errno::AGAIN) => {
                pair.end.writable = false;
                let mut pending = Pending::default();
                pending.put(message);
                self.held = Some((pending, arrived));
            }
            // The program reads no more.
            Err(_) => {}
        }
    }

    /// Forgets the messages that read(2) has taken. `outstanding`: the charge that is
    /// left.
    fn forget_read(&mut self, outstanding: u32) {
        if outstanding == 0 {
            self.arrived.clear();
            return;
        }
        let mut all: u32 = self.arrived.iter().map(|arrived| arrived.cost).sum();
        while all > outstanding
            && let Some(first) = self.arrived.pop_front()
        {
            all -= first.cost;
        }
    }

    /// Sender and control messages of the message that is read next.
    pub(crate) fn first(&mut self, pair: &PairState) -> Option<&Arrived> {
        if let Some(ours) = &pair.ours {
            self.forget_read(outstanding(ours));
        }
        self.arrived.front()
    }

    /// Notes that a message was taken.
    pub(crate) fn taken(&mut self) {
        self.arrived.pop_front();
    }
}
