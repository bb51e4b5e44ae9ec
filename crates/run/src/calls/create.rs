//! Serves socket(2) and accept(2), which make new descriptors for the program.

use std::os::fd::OwnedFd;

use rustix::io::Errno;

use super::{Answer, Outcome};
use crate::call::Call;
use crate::entry::State;
use crate::listening::unannounce;
use crate::messages::Messages;
use crate::pair::{Carries, Pair, is_nonblocking};
use crate::socket::Socket;
use crate::sockets::Sockets;
use crate::stream::{Phase, Stream};
use crate::target::socket_number;

/// A socket for the program, and the flags of its descriptor.
struct NewDescriptor {
    socket: Socket,
    state: State,
    nonblocking: bool,
    close_on_exec: bool,
}

impl Sockets {
    /// Serves socket(2).
    pub(super) fn create(&mut self, call: &Call) -> Outcome {
        let (domain, kind, protocol) = (call.int(0), call.int(1), call.int(2));
        let flags = libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
        let socket = Socket::open(&self.net, domain, kind & !flags, protocol)?;
        let stream = kind & !flags == libc::SOCK_STREAM;
        let gift = NewDescriptor {
            socket,
            state: match stream {
                true => State::Stream(Stream::new(Phase::Idle)),
                false => State::Messages(Messages::new(domain)),
            },
            nonblocking: kind & libc::SOCK_NONBLOCK != 0,
            close_on_exec: kind & libc::SOCK_CLOEXEC != 0,
        };
        self.give(call, gift).map_err(|(errno, _)| errno)
    }

    /// Serves accept(2) and accept4(2).
    pub(super) fn accept(&mut self, id: u64, call: &Call, theirs: &OwnedFd, flags: i32) -> Outcome {
        if flags & !(libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC) != 0 {
            return Err(Errno::INVAL);
        }
        let Some((listening, pair, socket)) = self.listening(id) else {
            return Err(Errno::INVAL);
        };
        let connection = match listening.next(pair, socket) {
            Ok(connection) => connection,
            Err(Errno::AGAIN) if !is_nonblocking(theirs) => return Ok(Answer::Wait),
            Err(errno) => return Err(errno),
        };
        unannounce(theirs);
        let given = connection
            .peer()
            // It may be gone already.
            .or(Ok(crate::socket::Address::NONE))
            .and_then(|peer| call.put_address(&peer, call.arg(1), call.arg(2)));
        let gift = NewDescriptor {
            socket: connection,
            state: State::Stream(Stream::new(Phase::Open)),
            nonblocking: flags & libc::SOCK_NONBLOCK != 0,
            close_on_exec: flags & libc::SOCK_CLOEXEC != 0,
        };
        let given = match given {
            Ok(()) => self.give(call, gift),
            Err(errno) => Err((errno, gift.socket)),
        };
        match given {
            Ok(answer) => {
                // There may be room for more.
                self.wake(id);
                Ok(answer)
            }
            Err((errno, connection)) => {
                if let Some((listening, pair, _)) = self.listening(id) {
                    listening.put_back(pair, connection);
                }
                // Interrupted: it is the next one's.
                if errno != Errno::NOENT {
                    return Err(errno);
                }
                Ok(Answer::Given)
            }
        }
    }

    /// Gives the program a descriptor as the answer to the call.
    fn give(&mut self, call: &Call, gift: NewDescriptor) -> Result<Answer, (Errno, Socket)> {
        let carries = match gift.state {
            State::Messages(_) => Carries::Messages,
            _ => Carries::Bytes,
        };
        let connected = matches!(&gift.state, State::Stream(stream) if stream.phase == Phase::Open);
        let id = self.table.next_id();
        let make = || {
            let pair = Pair::new(carries, gift.nonblocking)?;
            let number = socket_number(&pair.theirs).ok_or(Errno::BADF)?;
            self.watch_end(&pair.ours, id)?;
            use std::os::fd::AsFd;
            let theirs = pair.theirs.as_fd();
            let given = self
                .listener
                .answer_with(call.id(), theirs, gift.close_on_exec)?;
            Ok((pair.ours, number, given))
        };
        let (ours, number, fd) = match make() {
            Ok(made) => made,
            Err(errno) => return Err((errno, gift.socket)),
        };
        let seen = (call.thread(), fd);
        let entry = self
            .table
            .insert((id, number), gift.socket, gift.state, ours, seen);
        if connected || carries == Carries::Messages {
            // A socket of which nothing is told is of no use, but harmless.
            let _ = entry.watch();
        }
        Ok(Answer::Given)
    }
}
