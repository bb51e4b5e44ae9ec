//! Serves bind(2), listen(2), connect(2) and shutdown(2).

use rustix::io::Errno;
use rustix::net::{Shutdown, shutdown};

use super::{Answer, Outcome, SocketCall};
use crate::entry::State;
use crate::listening::Listening;
use crate::pair::plug;
use crate::stream::Phase;
use crate::target::Targets;

impl SocketCall<'_> {
    pub(super) fn bind(&mut self) -> Outcome {
        let address = self.call.address(self.call.arg(1), self.call.arg(2))?;
        self.entry.socket.bind(&address)?;
        Ok(Answer::Value(0))
    }

    pub(super) fn listen(&mut self) -> Outcome {
        self.entry.socket.listen(self.call.int(1))?;
        if let State::Stream(_) = self.entry.state {
            self.entry.state = State::Listening(Listening::default());
            self.entry.watch()?;
        }
        Ok(Answer::Value(0))
    }

    pub(super) fn connect(&mut self, targets: &mut Targets) -> Outcome {
        let address = self.call.address(self.call.arg(1), self.call.arg(2))?;
        let nonblocking = self.is_nonblocking(0);
        let entry = &mut *self.entry;
        let stream = match &mut entry.state {
            State::Stream(stream) => stream,
            // Never takes long, and changes nothing here.
            _ => {
                entry.socket.connect(&address)?;
                return Ok(Answer::Value(0));
            }
        };
        let mut result = entry.socket.connect(&address);
        if result == Err(Errno::INPROGRESS) && !nonblocking {
            // It may be there already.
            result = entry.socket.connect(&address);
        }
        match (result, stream.phase) {
            (Ok(()), Phase::Open) => Ok(Answer::Value(0)),
            (Ok(()), phase) => {
                let junk = match phase {
                    Phase::Connecting { junk } => junk,
                    _ => 0,
                };
                stream.connected(&mut entry.pair, junk, targets);
                entry.watch()?;
                Ok(Answer::Value(0))
            }
            (Err(errno @ (Errno::INPROGRESS | Errno::ALREADY)), phase) => {
                if phase == Phase::Idle {
                    let junk = match nonblocking {
                        true => plug(self.theirs),
                        false => 0,
                    };
                    stream.phase = Phase::Connecting { junk };
                    entry.watch()?;
                }
                match nonblocking {
                    true => Err(errno),
                    false => Ok(Answer::Wait),
                }
            }
            (Err(errno), Phase::Connecting { junk }) => {
                stream.refused(&mut entry.pair, junk, !nonblocking, targets);
                Err(errno)
            }
            (Err(errno), _) => Err(errno),
        }
    }

    pub(super) fn shutdown(&mut self) -> Outcome {
        let how = self.call.int(1);
        let (read, write) = match how {
            libc::SHUT_RD => (true, false),
            libc::SHUT_WR => (false, true),
            libc::SHUT_RDWR => (true, true),
            _ => return Err(Errno::INVAL),
        };
        let entry = &mut *self.entry;
        match &mut entry.state {
            State::Stream(stream) if stream.phase == Phase::Open => {
                // What the program has written goes first: our end finds the end
                // of it, and passes it on.
                stream.shut_read |= read;
                stream.shut_write |= write;
                let both = match (read, write) {
                    (true, true) => Shutdown::Both,
                    (true, false) => Shutdown::Read,
                    _ => Shutdown::Write,
                };
                shutdown(self.theirs, both)?;
                if read {
                    entry.socket.shutdown(libc::SHUT_RD)?;
                }
                entry.pair.end.readable = true;
            }
            State::Listening(_) => {
                entry.socket.shutdown(how)?;
                if read {
                    Listening::end(&entry.pair);
                }
            }
            State::Messages(_) => {
                entry.socket.shutdown(how)?;
                if read && let Some(ours) = &entry.pair.ours {
                    let _ = shutdown(ours, Shutdown::Write);
                }
            }
            State::Stream(_) => entry.socket.shutdown(how)?,
        }
        Ok(Answer::Value(0))
    }
}
