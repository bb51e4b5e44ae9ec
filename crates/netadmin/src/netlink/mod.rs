//! [`Netlink`]: requests and their answers over a netlink socket.

mod body;

pub use body::{Attribute, Attributes, Body};

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use drupe::net::{Domain, Protocol, Socket, SocketAddress, Type};
use drupe::{Cause, Errno, Error, Kernel, Result};

/// `NLM_F_REQUEST` and so on, include/uapi/linux/netlink.h.
const REQUEST: u16 = 1;
const MULTI: u16 = 2;
const ACK: u16 = 4;
const DUMP_INTERRUPTED: u16 = 16;
const DUMP: u16 = 0x300;
const CAPPED: u16 = 0x100;
const ACK_TLVS: u16 = 0x200;

const HEADER: usize = 16;
const NLMSG_NOOP: u16 = 1;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;

/// `NLM_F_REPLACE`: replaces an existing object.
pub const REPLACE: u16 = 0x100;
/// `NLM_F_EXCL`: fails with EEXIST if the object exists.
pub const EXCLUSIVE: u16 = 0x200;
/// `NLM_F_CREATE`: creates the object if it does not exist.
pub const CREATE: u16 = 0x400;
/// `NLM_F_APPEND`: adds the object at the end of the list.
pub const APPEND: u16 = 0x800;

/// A message from the kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// `nlmsg_type`: `RTM_*`, the number of a generic family, …
    pub kind: u16,
    /// `NLM_F_*`.
    pub flags: u16,
    /// The sequence number of the request; 0: a notification.
    pub sequence: u32,
    /// The bytes behind the header.
    pub payload: Vec<u8>,
}

/// A netlink socket (netlink(7)), which makes one request at a time. Any thread may use
/// it.
///
/// It belongs to the network namespace in which it was made.
#[derive(Debug)]
pub struct Netlink {
    socket: Socket,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    sequence: u32,
    buffer: Vec<u8>,
}

impl Netlink {
    /// A socket of a protocol: `libc::NETLINK_ROUTE`, `NETLINK_GENERIC`,
    /// `NETLINK_NETFILTER`, `NETLINK_SOCK_DIAG`, …
    pub fn new(kernel: &Kernel, protocol: i32) -> Result<Netlink> {
        let protocol = Some(Protocol(protocol));
        let socket = Socket::new(kernel, Domain::NETLINK, Type::RAW, protocol)?;
        for option in [libc::NETLINK_EXT_ACK, libc::NETLINK_CAP_ACK] {
            socket.set_option(libc::SOL_NETLINK, option, true)?;
        }
        socket.bind(SocketAddress::Netlink { port: 0, groups: 0 })?;
        let state = State {
            sequence: 0,
            // The kernel's own limit for a part of a dump is half of it.
            buffer: vec![0; 64 << 10],
        };
        Ok(Netlink {
            socket,
            state: Mutex::new(state),
        })
    }

    /// The socket, to set its options or to wait for it.
    pub fn as_socket(&self) -> &Socket {
        &self.socket
    }

    /// Makes a request of type `kind`, with `flags` in addition to `NLM_F_REQUEST` and
    /// `NLM_F_ACK`, and waits for the acknowledgement. Returns the messages that came
    /// before it.
    ///
    /// Errors are those of the protocol, with the kernel's message if there is one
    /// ([`Cause::Netlink`]).
    pub fn request(&self, kind: u16, flags: u16, body: &Body) -> Result<Vec<Message>> {
        self.exchange(kind, flags | ACK, body)
    }

    /// Requests a list of all objects (`NLM_F_DUMP`). Tries again if it has changed
    /// meanwhile; fails with EINTR after a few times.
    pub fn dump(&self, kind: u16, body: &Body) -> Result<Vec<Message>> {
        for _ in 0..10 {
            let answers = self.exchange(kind, DUMP, body)?;
            let interrupted = |message: &Message| message.flags & DUMP_INTERRUPTED != 0;
            if !answers.iter().any(interrupted) {
                return Ok(answers);
            }
        }
        Err(Error::new("netlink", Errno::INTR))
    }

    /// Joins a multicast group, to receive its notifications (`NETLINK_ADD_MEMBERSHIP`).
    /// Use a separate socket for that, and [`Netlink::receive`].
    pub fn join(&self, group: u32) -> Result<()> {
        let name = libc::NETLINK_ADD_MEMBERSHIP;
        self.socket.set_option(libc::SOL_NETLINK, name, group)
    }

    /// Waits for the next messages. ENOBUFS: messages were lost.
    pub fn receive(&self) -> Result<Vec<Message>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        self.part(&mut state.buffer)
    }

    /// Makes several netfilter requests as one transaction: type (with the subsystem in
    /// its upper byte), flags and body of each. The socket must be of
    /// `libc::NETLINK_NETFILTER`; `subsystem` is usually `NFNL_SUBSYS_NFTABLES` (10).
    /// Returns the first error.
    pub fn batch(&self, subsystem: u16, requests: &[(u16, u16, Body)]) -> Result<()> {
        /// `NFNL_MSG_BATCH_BEGIN` and `_END`, include/uapi/linux/netfilter/nfnetlink.h.
        const BEGIN: u16 = 16;
        const END: u16 = 17;
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        // struct nfgenmsg: family, version, subsystem.
        let [high, low] = subsystem.to_be_bytes();
        let frame = Body::new(&[0, 0, high, low]);
        let mut bytes = Vec::new();
        put(&mut bytes, BEGIN, 0, state.next(), &frame)?;
        let mut waiting = HashSet::new();
        for (kind, flags, body) in requests {
            let sequence = state.next();
            waiting.insert(sequence);
            put(&mut bytes, *kind, flags | ACK, sequence, body)?;
        }
        put(&mut bytes, END, 0, state.next(), &frame)?;
        self.send(&bytes)?;
        while !waiting.is_empty() {
            for message in self.part(&mut state.buffer)? {
                if message.kind == NLMSG_ERROR && waiting.remove(&message.sequence) {
                    acknowledged(&message)?;
                }
            }
        }
        Ok(())
    }

    fn exchange(&self, kind: u16, flags: u16, body: &Body) -> Result<Vec<Message>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let sequence = state.next();
        let mut request = Vec::new();
        put(&mut request, kind, flags, sequence, body)?;
        self.send(&request)?;
        let mut answers = Vec::new();
        loop {
            for message in self.part(&mut state.buffer)? {
                match message.kind {
                    // Of a request that was given up.
                    _ if message.sequence != sequence => {}
                    NLMSG_NOOP => {}
                    NLMSG_ERROR => return acknowledged(&message).map(|()| answers),
                    NLMSG_DONE if message.flags & DUMP_INTERRUPTED != 0 => {
                        answers.push(message);
                        return Ok(answers);
                    }
                    NLMSG_DONE => return done(&message).map(|()| answers),
                    _ => {
                        let last = message.flags & MULTI == 0 && flags & ACK == 0;
                        answers.push(message);
                        if last {
                            return Ok(answers);
                        }
                    }
                }
            }
        }
    }

    fn send(&self, bytes: &[u8]) -> Result<()> {
        let kernel = SocketAddress::Netlink { port: 0, groups: 0 };
        self.socket.send_to(bytes, kernel).map(drop)
    }

    /// The messages of one datagram.
    fn part(&self, buffer: &mut Vec<u8>) -> Result<Vec<Message>> {
        // How long it is, so that nothing is cut off.
        let peek = libc::MSG_PEEK | libc::MSG_TRUNC;
        let len = self.socket.recv_with(&mut [], peek)?;
        if len > buffer.len() {
            buffer.resize(len, 0);
        }
        let len = self.socket.recv(buffer)?;
        let mut rest = &buffer[..len];
        let mut messages = Vec::new();
        while let Some(message) = next(&mut rest) {
            messages.push(message);
        }
        Ok(messages)
    }
}

impl State {
    /// The next sequence number; 0 is left out, since notifications have it.
    fn next(&mut self) -> u32 {
        self.sequence = self.sequence.wrapping_add(1).max(1);
        self.sequence
    }
}

/// Appends a request to the bytes to send.
fn put(bytes: &mut Vec<u8>, kind: u16, flags: u16, sequence: u32, body: &Body) -> Result<()> {
    let body = body.checked().map_err(|e| Error::new("netlink", e))?;
    bytes.extend(((HEADER + body.len()) as u32).to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend((flags | REQUEST).to_ne_bytes());
    bytes.extend(sequence.to_ne_bytes());
    bytes.extend(0u32.to_ne_bytes());
    bytes.extend(body);
    Ok(())
}

fn next(rest: &mut &[u8]) -> Option<Message> {
    let header = rest.get(..HEADER)?;
    let half = |at: usize| u16::from_ne_bytes([header[at], header[at + 1]]);
    let word = |at: usize| u32::from(half(at)) | u32::from(half(at + 2)) << 16;
    let len = word(0) as usize;
    let message = Message {
        kind: half(4),
        flags: half(6),
        sequence: word(8),
        payload: rest.get(HEADER..len)?.to_vec(),
    };
    *rest = rest.get(len.next_multiple_of(4)..).unwrap_or_default();
    Some(message)
}

/// The error number of `NLMSG_ERROR` and `NLMSG_DONE`; 0: none.
fn code(message: &Message) -> i32 {
    let code = message.payload.get(..4);
    code.and_then(|code| code.try_into().ok())
        .map_or(0, i32::from_ne_bytes)
}

/// Checks an `NLMSG_ERROR`: it has the code, the header of the request, its body unless
/// that is capped, and perhaps attributes.
fn acknowledged(message: &Message) -> Result<()> {
    let request = match message.flags & CAPPED {
        0 => message
            .payload
            .get(4..8)
            .and_then(|len| len.try_into().ok())
            .map_or(HEADER, |len| u32::from_ne_bytes(len) as usize),
        _ => HEADER,
    };
    outcome(message, 4 + request)
}

/// Checks an `NLMSG_DONE`: it has the code, and perhaps attributes.
fn done(message: &Message) -> Result<()> {
    outcome(message, 4)
}

fn outcome(message: &Message, attributes: usize) -> Result<()> {
    /// `NLMSGERR_ATTR_MSG`.
    const TEXT: u16 = 1;
    let code = code(message);
    if code >= 0 {
        return Ok(());
    }
    let errno = Errno::from_raw_os_error(-code);
    let text = (message.flags & ACK_TLVS != 0)
        .then(|| Attributes::behind(attributes, &message.payload).find(TEXT))
        .flatten();
    Err(match text {
        None => Error::new("netlink", errno),
        Some(text) => Error::new(
            "netlink",
            Cause::Netlink {
                errno,
                message: text.text(),
            },
        ),
    })
}
