//! Serves the program's calls: finds the socket of a call, and the function for it.
//!
//! [`Sockets::serve`] is the entry point; the modules have a function for each call. A
//! call on a descriptor that is not one of the program's drupe sockets is left to the
//! host's kernel. A call that must wait is parked, and served again from the beginning
//! when its socket has become ready.

mod connect;
mod create;
mod ioctl;
mod message;
mod names;
mod options;
mod receive;
mod send;

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::io::Errno;

use crate::call::Call;
use crate::entry::{Entry, State};
use crate::listening::Listening;
use crate::pair::is_nonblocking;
use crate::pair_state::PairState;
use crate::socket::Socket;
use crate::sockets::Sockets;
use crate::target::socket_number;

/// The answer to a call.
pub(crate) enum Answer {
    /// The call returns this value.
    Value(i64),
    /// The host's kernel makes the call, on the program's end.
    GoOn,
    /// The call waits until its socket is ready.
    Wait,
    /// The call was answered already, or was interrupted.
    Given,
}

/// The result of a call, or the error that the program gets.
pub(crate) type Outcome = Result<Answer, Errno>;

/// A call, its socket, and the program's end of the pair.
struct SocketCall<'a> {
    call: &'a Call,
    theirs: &'a OwnedFd,
    entry: &'a mut Entry,
}

impl SocketCall<'_> {
    /// Whether the call must not wait.
    fn is_nonblocking(&self, flags: i32) -> bool {
        flags & libc::MSG_DONTWAIT != 0 || is_nonblocking(self.theirs)
    }

    /// Lets the call wait; if it is non-blocking, it fails with `otherwise`.
    fn wait(&self, flags: i32, otherwise: Errno) -> Outcome {
        match self.is_nonblocking(flags) {
            true => Err(otherwise),
            false => Ok(Answer::Wait),
        }
    }
}

impl Sockets {
    /// Answers a call, or parks it.
    pub(crate) fn serve(&mut self, mut call: Call) {
        let (outcome, id) = self.outcome(&call);
        match outcome {
            Ok(Answer::Value(value)) => self.listener.answer(call.id(), value),
            Ok(Answer::GoOn) => self.listener.go_on(call.id()),
            Ok(Answer::Given) => {}
            Err(errno) => self.listener.fail(call.id(), errno),
            Ok(Answer::Wait) => {
                if !call.again {
                    call.again = true;
                    call.deadline = self.patience(id, &call).map(|time| Instant::now() + time);
                }
                self.park(id, call);
            }
        }
    }

    /// The timeout of the call, set by a socket option.
    fn patience(&mut self, id: u64, call: &Call) -> Option<Duration> {
        let entry = self.table.get(id)?;
        let mut value = [0; 16];
        let option = call.timeout_option();
        let got = entry.socket.option(libc::SOL_SOCKET, option, &mut value);
        got.ok()?;
        let (seconds, micros) = value.split_at(8);
        let number = |bytes: &[u8]| u64::from_ne_bytes(bytes.try_into().unwrap_or_default());
        let time = Duration::from_secs(number(seconds)) + Duration::from_micros(number(micros));
        (!time.is_zero()).then_some(time)
    }

    /// The outcome of a call, and its socket.
    fn outcome(&mut self, call: &Call) -> (Outcome, u64) {
        if call.nr() == libc::SYS_socket {
            return (self.create(call), 0);
        }
        // Whatever is wrong with the descriptor, the host says so.
        let Ok(theirs) = self.targets.descriptor(call.thread(), call.int(0)) else {
            return (Ok(Answer::GoOn), 0);
        };
        let Some(id) = socket_number(&theirs).and_then(|number| self.table.find(number)) else {
            return (Ok(Answer::GoOn), 0);
        };
        if !self.listener.is_waiting(call.id()) {
            return (Ok(Answer::Given), 0);
        }
        (self.about(id, call, &theirs), id)
    }

    /// The outcome of a call on a drupe socket.
    fn about(&mut self, id: u64, call: &Call, theirs: &OwnedFd) -> Outcome {
        let Some(entry) = self.table.get(id) else {
            return Ok(Answer::GoOn);
        };
        entry.pair.seen = (call.thread(), call.int(0));
        let mut about = SocketCall {
            call,
            theirs,
            entry,
        };
        match call.nr() {
            libc::SYS_bind => about.bind(),
            libc::SYS_getsockname => about.name(),
            libc::SYS_getpeername => about.peer(),
            libc::SYS_getsockopt => about.option(),
            libc::SYS_setsockopt => {
                let outcome = about.set_option(&mut self.buffer);
                self.wake(id);
                outcome
            }
            libc::SYS_ioctl => about.ioctl(),
            libc::SYS_listen => {
                let outcome = about.listen();
                self.wake(id);
                outcome
            }
            libc::SYS_shutdown => {
                let outcome = about.shutdown();
                self.wake(id);
                outcome
            }
            libc::SYS_connect => {
                let outcome = about.connect(&mut self.targets);
                self.wake(id);
                outcome
            }
            libc::SYS_accept => self.accept(id, call, theirs, 0),
            libc::SYS_accept4 => self.accept(id, call, theirs, call.int(3)),
            libc::SYS_sendto | libc::SYS_sendmsg | libc::SYS_sendmmsg => {
                let outcome = about.send(&mut self.buffer);
                self.wake(id);
                outcome
            }
            libc::SYS_recvfrom | libc::SYS_recvmsg | libc::SYS_recvmmsg => {
                about.receive(&mut self.buffer)
            }
            _ => Ok(Answer::GoOn),
        }
    }

    /// The state of a socket that listens.
    fn listening(&mut self, id: u64) -> Option<(&mut Listening, &mut PairState, &Socket)> {
        let entry = self.table.get(id)?;
        match &mut entry.state {
            State::Listening(listening) => Some((listening, &mut entry.pair, &entry.socket)),
            _ => None,
        }
    }
}
