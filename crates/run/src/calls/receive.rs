//! Serves recvfrom(2) with an address, recvmsg(2) and recvmmsg(2).

use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};

use super::message::{MANY, MANY_LEN, Message};
use super::{Answer, Outcome, SocketCall};
use crate::entry::State;
use crate::socket::Address;

impl SocketCall<'_> {
    pub(super) fn receive(&mut self, buffer: &mut [u8]) -> Outcome {
        let call = self.call;
        match call.nr() {
            libc::SYS_recvfrom => {
                let message = Message::of_arguments(call, true)?;
                self.receive_one(&message, call.int(3), buffer)
            }
            libc::SYS_recvmsg => {
                let message = Message::of_header(call, call.arg(1))?;
                self.receive_one(&message, call.int(2), buffer)
            }
            _ => self.receive_many(buffer),
        }
    }

    fn receive_many(&mut self, buffer: &mut [u8]) -> Outcome {
        let (at, mut flags) = (self.call.arg(1), self.call.int(3));
        let count = self.call.arg(2).min(1024);
        for done in 0..count {
            if done > 0 {
                // The rest is what is there.
                flags |= libc::MSG_DONTWAIT;
            }
            let header = at + done * MANY;
            let message = Message::of_header(self.call, header)?;
            let outcome = self.receive_one(&message, flags, buffer);
            match outcome {
                Ok(Answer::Value(len)) => {
                    let len = (len as u32).to_ne_bytes();
                    message.memory.write(header + MANY_LEN, &len)?;
                }
                _ if done > 0 => return Ok(Answer::Value(done as i64)),
                outcome => return outcome,
            }
        }
        Ok(Answer::Value(count as i64))
    }

    fn receive_one(&mut self, message: &Message, flags: i32, buffer: &mut [u8]) -> Outcome {
        if flags & libc::MSG_ERRQUEUE != 0 {
            return self.receive_errors(message, flags, buffer);
        }
        let room = message.len().min(buffer.len());
        let entry = &mut *self.entry;
        let State::Messages(messages) = &mut entry.state else {
            return Ok(Answer::GoOn);
        };
        if let Some(errno) = messages.error.take() {
            return Err(errno);
        }
        messages.receive_all(&mut entry.pair, &entry.socket, buffer);
        let first = messages.first(&entry.pair).cloned();
        let peek = flags & libc::MSG_PEEK;
        let wanted = (peek | libc::MSG_TRUNC | libc::MSG_DONTWAIT) as u32;
        let received = recv(
            self.theirs,
            &mut buffer[..room],
            RecvFlags::from_bits_retain(wanted),
        );
        let (len, whole) = match received {
            Ok(lens) => lens,
            Err(Errno::AGAIN) => return self.wait(flags, Errno::AGAIN),
            Err(errno) => return Err(errno),
        };
        if peek == 0 {
            messages.taken();
        }
        let mut told = 0;
        if whole > len {
            told |= libc::MSG_TRUNC;
        }
        let (from, control) = match first {
            Some(first) => {
                told |= first.flags;
                (first.from, first.control)
            }
            None => (Address::NONE, Vec::new()),
        };
        message.put(&buffer[..len], from.as_bytes(), &control, told)?;
        // There may be room for one that has waited.
        entry.pair.end.writable = true;
        let value = if flags & libc::MSG_TRUNC != 0 {
            whole
        } else {
            len
        };
        Ok(Answer::Value(value as i64))
    }

    /// Receives from the socket's error queue (`MSG_ERRQUEUE`).
    fn receive_errors(&mut self, message: &Message, flags: i32, buffer: &mut [u8]) -> Outcome {
        let room = message.len().min(buffer.len());
        let mut from = Address::NONE;
        let mut control = vec![0; message.control_len];
        let socket = &self.entry.socket;
        let got = socket.receive_message(&mut buffer[..room], &mut from, &mut control, flags)?;
        let len = got.len.min(room);
        let control = &control[..got.control];
        message.put(&buffer[..len], from.as_bytes(), control, got.flags)?;
        Ok(Answer::Value(got.len as i64))
    }
}
