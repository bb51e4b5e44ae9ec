//! [`Connection`]: requests of several threads on one connection.
//!
//! A thread sends its request and waits for the reply. One of the waiting threads reads
//! from the connection: its own reply goes directly into its buffers, another thread's
//! reply is stored for that one. A thread that has its reply leaves the reading to the
//! next. So no additional thread is needed.
//!
//! ```text
//!   sent ──▶ waits ──▶ reads (one thread) ──▶ has its reply
//!              └────── another has read it ──────▶ ┘
//! ```

use std::collections::HashMap;
use std::io::{self, IoSlice, IoSliceMut};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use rustix::io::Errno;

use super::socket::Socket;
use crate::bytes::{be32, be64};

const REQUEST: u32 = 0x2560_9513;
const SIMPLE_REPLY: u32 = 0x6744_6698;

/// `NBD_CMD_FLAG_FUA`.
const FUA: u16 = 1;

/// `NBD_CMD_*`.
mod kind {
    pub(super) const READ: u16 = 0;
    pub(super) const WRITE: u16 = 1;
    pub(super) const DISCONNECT: u16 = 2;
    pub(super) const FLUSH: u16 = 3;
    pub(super) const TRIM: u16 = 4;
    pub(super) const WRITE_ZEROES: u16 = 6;
}

/// The command of a request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Command {
    kind: u16,
    flags: u16,
    offset: u64,
    len: u32,
}

impl Command {
    fn new(kind: u16, offset: u64, len: u32) -> Command {
        Command {
            kind,
            flags: 0,
            offset,
            len,
        }
    }

    pub(super) fn read(offset: u64, len: u32) -> Command {
        Command::new(kind::READ, offset, len)
    }

    /// A write. `durable`: it must be on stable storage when the server replies.
    pub(super) fn write(offset: u64, len: u32, durable: bool) -> Command {
        Command {
            flags: if durable { FUA } else { 0 },
            ..Command::new(kind::WRITE, offset, len)
        }
    }

    pub(super) fn flush() -> Command {
        Command::new(kind::FLUSH, 0, 0)
    }

    pub(super) fn trim(offset: u64, len: u32) -> Command {
        Command::new(kind::TRIM, offset, len)
    }

    pub(super) fn write_zeroes(offset: u64, len: u32) -> Command {
        Command::new(kind::WRITE_ZEROES, offset, len)
    }

    fn encode(self, cookie: u64) -> [u8; 28] {
        let mut bytes = [0; 28];
        bytes[..4].copy_from_slice(&REQUEST.to_be_bytes());
        bytes[4..6].copy_from_slice(&self.flags.to_be_bytes());
        bytes[6..8].copy_from_slice(&self.kind.to_be_bytes());
        bytes[8..16].copy_from_slice(&cookie.to_be_bytes());
        bytes[16..24].copy_from_slice(&self.offset.to_be_bytes());
        bytes[24..].copy_from_slice(&self.len.to_be_bytes());
        bytes
    }

    /// Bytes that come with the reply.
    fn answer(self) -> usize {
        match self.kind {
            kind::READ => self.len as usize,
            _ => 0,
        }
    }
}

/// The server's reply: the data, or its error.
type Reply = Result<Vec<u8>, Errno>;

/// A request whose reply has not come.
struct Waiting {
    /// Bytes that come with the reply.
    answer: usize,
    /// The reply, if another thread has read it.
    reply: Option<Reply>,
}

#[derive(Default)]
struct State {
    next_cookie: u64,
    waiting: HashMap<u64, Waiting>,
    /// Whether a thread reads from the connection.
    reading: bool,
    /// Whether the connection is lost, so that no replies come.
    lost: bool,
}

/// A connection to a server, after the handshake.
pub(super) struct Connection {
    socket: Socket,
    /// Held while a request is sent, so that requests do not mix.
    sending: Mutex<()>,
    state: Mutex<State>,
    /// Notified when a reply was stored, no thread reads any more, or the connection is
    /// lost.
    changed: Condvar,
}

/// The result of reading one reply.
enum ReadReply {
    /// The reading thread's own reply; the data is in its buffers.
    Own(Result<(), Errno>),
    OtherThreads,
}

impl Connection {
    pub(super) fn new(socket: Socket) -> Connection {
        Connection {
            socket,
            sending: Mutex::default(),
            state: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a command with `data`, waits for the reply, and fills `answer` with its
    /// data.
    pub(super) fn request(
        &self,
        command: Command,
        data: &[&[u8]],
        answer: &mut [&mut [u8]],
    ) -> io::Result<()> {
        let cookie = {
            let mut state = self.state();
            if state.lost {
                return Err(Errno::IO.into());
            }
            let cookie = state.next_cookie;
            state.next_cookie += 1;
            let waiting = Waiting {
                answer: command.answer(),
                reply: None,
            };
            state.waiting.insert(cookie, waiting);
            cookie
        };
        if self.send(command, cookie, data).is_err() {
            self.lose();
        }
        self.wait(cookie, answer)
    }

    fn send(&self, command: Command, cookie: u64, data: &[&[u8]]) -> io::Result<()> {
        let head = command.encode(cookie);
        let mut parts = vec![IoSlice::new(&head)];
        parts.extend(data.iter().map(|part| IoSlice::new(part)));
        let _one = self.sending.lock().unwrap_or_else(PoisonError::into_inner);
        self.socket.send(&mut parts)
    }

    /// Gives the connection up: all waiting and later requests are errors.
    fn lose(&self) {
        self.state().lost = true;
        self.socket.shut_down();
        self.changed.notify_all();
    }

    fn wait(&self, cookie: u64, answer: &mut [&mut [u8]]) -> io::Result<()> {
        let mut state = self.state();
        loop {
            let kept = state.waiting.get_mut(&cookie);
            if let Some(reply) = kept.and_then(|waiting| waiting.reply.take()) {
                state.waiting.remove(&cookie);
                drop(state);
                scatter(&reply?, answer);
                return Ok(());
            }
            if state.lost {
                state.waiting.remove(&cookie);
                return Err(Errno::IO.into());
            }
            if state.reading {
                let waited = self.changed.wait(state);
                state = waited.unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            state.reading = true;
            drop(state);
            let got = self.read_one(cookie, answer);
            if got.is_err() {
                self.lose();
            }
            state = self.state();
            state.reading = false;
            // Another thread has its reply, or is to read.
            self.changed.notify_all();
            if let Ok(ReadReply::Own(result)) = got {
                state.waiting.remove(&cookie);
                return Ok(result?);
            }
        }
    }

    /// Reads one reply. After an error, the connection cannot be used any more.
    fn read_one(&self, own: u64, answer: &mut [&mut [u8]]) -> io::Result<ReadReply> {
        let nonsense = || io::Error::from(io::ErrorKind::InvalidData);
        let mut head = [0; 16];
        self.socket.receive(&mut [IoSliceMut::new(&mut head)])?;
        if be32(&head, 0) != SIMPLE_REPLY {
            return Err(nonsense());
        }
        let (error, cookie) = (be32(&head, 4), be64(&head, 8));
        let result = match error {
            0 => Ok(()),
            error => Err(errno(error)),
        };
        if cookie == own {
            if result.is_ok() {
                let mut parts: Vec<_> = answer
                    .iter_mut()
                    .map(|part| IoSliceMut::new(part))
                    .collect();
                self.socket.receive(&mut parts)?;
            }
            return Ok(ReadReply::Own(result));
        }
        let waiting = self
            .state()
            .waiting
            .get(&cookie)
            .map(|w| (w.answer, w.reply.is_some()));
        // Nobody has asked, or it was answered already.
        let Some((len, false)) = waiting else {
            return Err(nonsense());
        };
        let reply = match result {
            Ok(()) => {
                let mut data = vec![0; len];
                self.socket.receive(&mut [IoSliceMut::new(&mut data)])?;
                Ok(data)
            }
            Err(error) => Err(error),
        };
        if let Some(waiting) = self.state().waiting.get_mut(&cookie) {
            waiting.reply = Some(reply);
        }
        Ok(ReadReply::OtherThreads)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if !self.state().lost {
            // A courtesy; the server notices the end anyway.
            let _ = self.send(Command::new(kind::DISCONNECT, 0, 0), 0, &[]);
        }
    }
}

/// Converts the protocol's errors, which have Linux's numbers; others become `EIO`.
fn errno(error: u32) -> Errno {
    match error {
        1 => Errno::PERM,
        12 => Errno::NOMEM,
        22 => Errno::INVAL,
        28 => Errno::NOSPC,
        95 => Errno::OPNOTSUPP,
        _ => Errno::IO,
    }
}

/// Copies `data` into `parts`, which together have the same length.
fn scatter(mut data: &[u8], parts: &mut [&mut [u8]]) {
    for part in parts {
        let (head, tail) = data.split_at(part.len());
        part.copy_from_slice(head);
        data = tail;
    }
}
