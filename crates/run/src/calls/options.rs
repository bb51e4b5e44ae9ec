//! Serves getsockopt(2) and setsockopt(2).

use rustix::io::Errno;

use super::{Answer, Outcome, SocketCall};
use crate::entry::State;
use crate::target::Memory;

/// Limit of an option's value in bytes.
const LARGEST: usize = 1 << 20;

/// Options of `SOL_PACKET` for rings in shared memory, which are not supported.
const PACKET_RX_RING: i32 = 5;
const PACKET_TX_RING: i32 = 13;
/// `struct sock_filter`.
const INSTRUCTION: usize = 8;
/// `BPF_MAXINSNS`.
const INSTRUCTIONS: usize = 4096;
/// `TCP_ZEROCOPY_RECEIVE`.
const ZEROCOPY_RECEIVE: i32 = 35;
/// `IP_MSFILTER`, and `MCAST_MSFILTER` of both families.
const IP_MSFILTER: i32 = 41;
const MCAST_MSFILTER: i32 = 48;
/// `SOL_MPTCP`, and its `MPTCP_FULL_INFO`.
const SOL_MPTCP: i32 = 284;
const MPTCP_FULL_INFO: i32 = 4;

/// Whether the kernel writes an option's value only within its length. It does not if the
/// value contains pointers or the size of another buffer.
fn is_bounded(level: i32, name: i32) -> bool {
    !matches!(
        (level, name),
        // SO_GET_FILTER, whose length counts instructions.
        (libc::SOL_SOCKET, libc::SO_ATTACH_FILTER)
            | (libc::IPPROTO_IP, IP_MSFILTER | MCAST_MSFILTER)
            | (libc::IPPROTO_IPV6, MCAST_MSFILTER)
            | (libc::IPPROTO_TCP, ZEROCOPY_RECEIVE)
            | (SOL_MPTCP, MPTCP_FULL_INFO)
    )
}

impl SocketCall<'_> {
    pub(super) fn option(&mut self) -> Outcome {
        let (level, name) = (self.call.int(1), self.call.int(2));
        let (at, len_at) = (self.call.arg(3), self.call.arg(4));
        let memory = self.call.memory();
        let room = memory.read_u32(len_at)? as i32;
        let room = usize::try_from(room).map_err(|_| Errno::INVAL)?;
        let mut value = vec![0; room.min(LARGEST)];
        // What is there already is part of some questions.
        memory.read_some(at, &mut value)?;
        let len = match (level, name) {
            (libc::SOL_SOCKET, libc::SO_ERROR) => self.error(&mut value)?,
            (libc::SOL_SOCKET, libc::SO_LINGER) => self.linger(&mut value)?,
            (level, name) if !is_bounded(level, name) => return Err(Errno::OPNOTSUPP),
            _ => self.entry.socket.option(level, name, &mut value)?,
        };
        let written = &value[..len.min(value.len())];
        memory.write(at, written)?;
        memory.write(len_at, &(len as u32).to_ne_bytes())?;
        Ok(Answer::Value(0))
    }

    /// `SO_ERROR`: an error of the supervisor's, or the kernel's.
    fn error(&mut self, value: &mut [u8]) -> Result<usize, Errno> {
        let len = self
            .entry
            .socket
            .option(libc::SOL_SOCKET, libc::SO_ERROR, value)?;
        let ours = match &mut self.entry.state {
            State::Stream(stream) => stream.take_error(),
            State::Messages(messages) => messages.error.take(),
            State::Listening(_) => None,
        };
        if value.iter().all(|byte| *byte == 0)
            && let Some(errno) = ours
        {
            let code = errno.raw_os_error().to_ne_bytes();
            let len = value.len().min(code.len());
            value[..len].copy_from_slice(&code[..len]);
        }
        Ok(len)
    }

    /// `SO_LINGER`: `struct linger`.
    fn linger(&mut self, value: &mut [u8]) -> Result<usize, Errno> {
        let seconds = self.entry.pair.linger;
        let on = i32::from(seconds.is_some()).to_ne_bytes();
        let all = [on, seconds.unwrap_or(0).to_ne_bytes()].concat();
        let len = value.len().min(all.len());
        value[..len].copy_from_slice(&all[..len]);
        Ok(len)
    }

    pub(super) fn set_option(&mut self, buffer: &mut [u8]) -> Outcome {
        let (level, name) = (self.call.int(1), self.call.int(2));
        let (at, len) = (self.call.arg(3), self.call.int(4));
        let len = usize::try_from(len).map_err(|_| Errno::INVAL)?;
        let memory = self.call.memory();
        let mut value = vec![0; len.min(LARGEST)];
        memory.read(at, &mut value)?;
        // What was written before is not meant: such as the plain text before TLS.
        if let State::Stream(_) | State::Messages(_) = self.entry.state {
            self.flush(buffer);
        }
        match (level, name) {
            (libc::SOL_SOCKET, libc::SO_ATTACH_FILTER | libc::SO_ATTACH_REUSEPORT_CBPF) => {
                return self.set_filter(name, &value);
            }
            (libc::SOL_SOCKET, libc::SO_LINGER) => {
                // A close with a timeout would keep us, so the kernel is not told.
                let word = |at: usize| Some(i32::from_ne_bytes(*value.get(at..)?.first_chunk()?));
                let (on, seconds) = word(0).zip(word(4)).ok_or(Errno::INVAL)?;
                self.entry.pair.linger = (on != 0).then_some(seconds);
                if seconds != 0 {
                    value[..4].fill(0);
                }
            }
            (libc::SOL_SOCKET, libc::SO_ZEROCOPY) => return Err(Errno::OPNOTSUPP),
            (libc::SOL_PACKET, PACKET_RX_RING | PACKET_TX_RING) => return Err(Errno::NOPROTOOPT),
            _ => {}
        }
        self.entry.socket.set_option(level, name, &value)?;
        if level == libc::SOL_SOCKET && matches!(name, libc::SO_RCVTIMEO | libc::SO_SNDTIMEO) {
            // read(2) and write(2) are the host's.
            self.set_theirs(name, &value)?;
        }
        Ok(Answer::Value(0))
    }

    /// Sets the same option at the program's end.
    fn set_theirs(&self, name: i32, value: &[u8]) -> Result<(), Errno> {
        use std::os::fd::AsRawFd;
        // SAFETY: reads `value`.
        let set = unsafe {
            libc::setsockopt(
                self.theirs.as_raw_fd(),
                libc::SOL_SOCKET,
                name,
                value.as_ptr().cast(),
                value.len() as u32,
            )
        };
        match set {
            0 => Ok(()),
            _ => Err(crate::listener::last_error()),
        }
    }

    /// Sets a classic BPF program, whose code is behind a pointer.
    fn set_filter(&mut self, name: i32, value: &[u8]) -> Outcome {
        let len = value.first_chunk().map(|bytes| u16::from_ne_bytes(*bytes));
        let at = value.get(8..).and_then(|rest| rest.first_chunk());
        let (Some(len), Some(at)) = (len, at) else {
            return Err(Errno::INVAL);
        };
        let (len, at) = (usize::from(len), u64::from_ne_bytes(*at));
        if len > INSTRUCTIONS {
            return Err(Errno::INVAL);
        }
        let code = self.code(self.call.memory(), at, len)?;
        let mut own = [0; 16];
        own[..2].copy_from_slice(&(len as u16).to_ne_bytes());
        own[8..].copy_from_slice(&(code.as_ptr() as u64).to_ne_bytes());
        self.entry.socket.set_option(libc::SOL_SOCKET, name, &own)?;
        Ok(Answer::Value(0))
    }

    fn code(&self, memory: Memory, at: u64, len: usize) -> Result<Vec<u64>, Errno> {
        let mut bytes = vec![0; len * INSTRUCTION];
        memory.read(at, &mut bytes)?;
        let words = bytes.chunks_exact(INSTRUCTION);
        Ok(words
            .map(|word| u64::from_ne_bytes(word.try_into().unwrap_or_default()))
            .collect())
    }
}
