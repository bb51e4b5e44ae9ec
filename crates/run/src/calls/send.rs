//! Serves sendto(2) with an address, sendmsg(2) and sendmmsg(2).

use rustix::io::Errno;
use rustix::net::{SendFlags, send};

use super::message::{MANY, MANY_LEN, Message};
use super::{Answer, Outcome, SocketCall};
use crate::entry::State;
use crate::socket::Address;

/// Limit of a message in bytes.
const LARGEST: usize = 4 << 20;
/// Bytes of a stream that are sent at once; a stream may take fewer than it is given.
const PIECE: usize = 1 << 20;

impl SocketCall<'_> {
    pub(super) fn send(&mut self, buffer: &mut [u8]) -> Outcome {
        let call = self.call;
        match call.nr() {
            libc::SYS_sendto => {
                let message = Message::of_arguments(call, false)?;
                self.send_one(&message, call.int(3), buffer)
            }
            libc::SYS_sendmsg => {
                let message = Message::of_header(call, call.arg(1))?;
                self.send_one(&message, call.int(2), buffer)
            }
            _ => self.send_many(buffer),
        }
    }

    fn send_many(&mut self, buffer: &mut [u8]) -> Outcome {
        let (at, flags) = (self.call.arg(1), self.call.int(3));
        let count = self.call.arg(2).min(1024);
        for done in 0..count {
            let header = at + done * MANY;
            let message = Message::of_header(self.call, header)?;
            let outcome = self.send_one(&message, flags, buffer);
            match outcome {
                Ok(Answer::Value(len)) => {
                    let len = (len as u32).to_ne_bytes();
                    message.memory.write(header + MANY_LEN, &len)?;
                }
                // Those that were sent count.
                _ if done > 0 => return Ok(Answer::Value(done as i64)),
                outcome => return outcome,
            }
        }
        Ok(Answer::Value(count as i64))
    }

    fn send_one(&mut self, message: &Message, flags: i32, buffer: &mut [u8]) -> Outcome {
        let fast_open = flags & libc::MSG_FASTOPEN != 0;
        if let State::Stream(_) | State::Listening(_) = self.entry.state {
            return match message.name_len {
                _ if fast_open => Err(Errno::OPNOTSUPP),
                0 => Ok(Answer::GoOn),
                // The address means nothing, but the host would mind it.
                _ => self.send_stream(message, flags),
            };
        }
        if message.len() > LARGEST {
            return Err(Errno::MSGSIZE);
        }
        self.flush(buffer);
        let mut long;
        let bytes = match buffer.get_mut(..message.len()) {
            Some(bytes) => bytes,
            None => {
                long = vec![0; message.len()];
                &mut long
            }
        };
        let len = message.memory.gather(&message.pieces, bytes)?;
        if len < bytes.len() {
            return Err(Errno::FAULT);
        }
        let mut name = [0; 128];
        let name = &mut name[..message.name_len];
        message.memory.read_some(message.name, name)?;
        let to = Address::from_bytes(name)?;
        let mut control = vec![0; message.control_len];
        message.memory.read(message.control, &mut control)?;
        let quiet = flags & !libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
        match self.entry.socket.send_message(bytes, &to, &control, quiet) {
            Err(Errno::AGAIN) => {
                self.entry.pair.wire.writable = false;
                self.wait(flags, Errno::AGAIN)
            }
            result => result.map(|len| Answer::Value(len as i64)),
        }
    }

    fn send_stream(&mut self, message: &Message, flags: i32) -> Outcome {
        let mut bytes = vec![0; message.len().min(PIECE)];
        let len = message.memory.gather(&message.pieces, &mut bytes)?;
        let quiet = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        match send(self.theirs, &bytes[..len], quiet) {
            Err(Errno::AGAIN) => self.wait(flags, Errno::AGAIN),
            result => result.map(|len| Answer::Value(len as i64)),
        }
    }

    /// Sends what the program has written to the pair before.
    pub(super) fn flush(&mut self, buffer: &mut [u8]) {
        let entry = &mut *self.entry;
        entry.pair.end.readable = true;
        if let State::Messages(messages) = &mut entry.state {
            messages.send_all(&mut entry.pair, &entry.socket, buffer);
        }
    }
}
