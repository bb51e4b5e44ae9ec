//! [`Listening`]: a socket that waits for connections.
//!
//! The supervisor accepts connections as they come, up to [`QUEUE`], and writes one byte
//! for each to its end of the pair. So the program's end is readable while connections
//! wait, and gets an event for each.

use std::collections::VecDeque;

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, Shutdown, recv, send, shutdown};

use crate::pair_state::{PairState, Turn};
use crate::socket::Socket;

/// How many accepted connections wait for the program. More wait in the kernel's backlog.
const QUEUE: usize = 64;

/// A socket that waits for connections.
#[derive(Default)]
pub(crate) struct Listening {
    queue: VecDeque<Socket>,
}

impl Listening {
    /// Accepts waiting connections.
    pub(crate) fn advance(&mut self, pair: &mut PairState, socket: &Socket) -> Turn {
        if pair.end.hangup {
            return match pair.wire.hangup {
                // We have ended it ourselves.
                true => Turn::Over,
                false => Turn::Gone,
            };
        }
        while pair.wire.readable && self.queue.len() < QUEUE {
            match socket.accept() {
                Ok(connection) => {
                    self.queue.push_back(connection);
                    announce(pair);
                }
                // It was reset before we came.
                Err(Errno::CONNABORTED) => {}
                Err(_) => pair.wire.readable = false,
            }
        }
        Turn::Done
    }

    /// Takes the next connection for the program.
    pub(crate) fn next(&mut self, pair: &mut PairState, socket: &Socket) -> Result<Socket, Errno> {
        if self.queue.is_empty() {
            pair.wire.readable = true;
            self.advance(pair, socket);
        }
        match self.queue.pop_front() {
            Some(connection) => Ok(connection),
            // EAGAIN, or that it listens no more.
            None => socket.accept(),
        }
    }

    /// Returns a connection that the program has not got.
    pub(crate) fn put_back(&mut self, pair: &mut PairState, connection: Socket) {
        self.queue.push_front(connection);
        announce(pair);
    }

    /// Ends the listening, and tells waiting threads of the program.
    pub(crate) fn end(pair: &PairState) {
        if let Some(ours) = &pair.ours {
            let _ = shutdown(ours, Shutdown::Both);
        }
    }
}

/// Writes the byte of a connection.
fn announce(pair: &PairState) {
    if let Some(ours) = &pair.ours {
        let _ = send(ours, b"c", SendFlags::DONTWAIT | SendFlags::NOSIGNAL);
    }
}

/// Reads the byte of a connection from the program's end.
pub(crate) fn unannounce(theirs: impl std::os::fd::AsFd) {
    let _ = recv(theirs, &mut [0], RecvFlags::DONTWAIT);
}

impl Drop for Listening {
    fn drop(&mut self) {
        // As the kernel does with connections that nobody has accepted.
        for connection in &self.queue {
            let reset = [1_i32.to_ne_bytes(), 0_i32.to_ne_bytes()].concat();
            let _ = connection.set_option(libc::SOL_SOCKET, libc::SO_LINGER, &reset);
        }
    }
}
