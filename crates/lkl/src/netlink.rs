//! Requests to the kernel's rtnetlink (`Documentation/userspace-api/netlink`), each with a
//! socket of its own.

use std::ffi::c_int;

use crate::border::{Errno, Result};
use crate::call::{Descriptor, sys};

/// Length of `struct nlmsghdr`.
pub(crate) const HEADER: usize = 16;
/// Of an attribute's.
const ATTRIBUTE: usize = 4;

/// A message that is being written.
pub(crate) struct Message(Vec<u8>);

impl Message {
    /// `body`: the structure that goes with the kind.
    pub(crate) fn new(kind: u16, flags: c_int, body: &[u8]) -> Message {
        let flags = libc::NLM_F_REQUEST | flags;
        let mut bytes = vec![0; HEADER];
        bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
        bytes[6..8].copy_from_slice(&(flags as u16).to_ne_bytes());
        bytes.extend_from_slice(body);
        Message(bytes).padded()
    }

    pub(crate) fn attribute(mut self, kind: u16, value: &[u8]) -> Message {
        let len = (ATTRIBUTE + value.len()) as u16;
        self.0.extend_from_slice(&len.to_ne_bytes());
        self.0.extend_from_slice(&kind.to_ne_bytes());
        self.0.extend_from_slice(value);
        self.padded()
    }

    fn padded(mut self) -> Message {
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        let len = self.0.len() as u32;
        self.0[..4].copy_from_slice(&len.to_ne_bytes());
        self
    }

    /// Sends it; the kernel's answer is 0 or an error.
    pub(crate) fn talk(mut self) -> Result<()> {
        let flags = u16::from_ne_bytes([self.0[6], self.0[7]]) | libc::NLM_F_ACK as u16;
        self.0[6..8].copy_from_slice(&flags.to_ne_bytes());
        let socket = Socket::open(0)?;
        socket.send(&self)?;
        let answer = socket.receive(|kind, body| {
            let code = body.get(..4).and_then(|code| code.try_into().ok());
            match (c_int::from(kind), code) {
                (libc::NLMSG_ERROR, Some(code)) => Some(c_int::from_ne_bytes(code)),
                _ => None,
            }
        })?;
        match answer {
            0 => Ok(()),
            errno => Err(Errno(errno)),
        }
    }
}

/// A socket of rtnetlink's.
pub(crate) struct Socket(Descriptor);

impl Socket {
    /// `groups`: what it is told of without asking.
    pub(crate) fn open(groups: u32) -> Result<Socket> {
        let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC;
        let fd = sys!(SOCKET, libc::AF_NETLINK, kind, libc::NETLINK_ROUTE)?;
        let socket = Socket(Descriptor(fd as c_int));
        // struct sockaddr_nl
        let address = [libc::AF_NETLINK as u32, 0, groups];
        sys!(BIND, socket.0.0, &address[..], size_of_val(&address))?;
        Ok(socket)
    }

    pub(crate) fn send(&self, message: &Message) -> Result<()> {
        let bytes = &message.0[..];
        sys!(SENDTO, self.0.0, bytes, bytes.len(), 0, 0, 0).map(|_| ())
    }

    /// Receives messages, of a kind and with a body each, until one of them is an answer.
    pub(crate) fn receive<T>(&self, mut answer: impl FnMut(u16, &[u8]) -> Option<T>) -> Result<T> {
        let mut buffer = vec![0; 32 << 10];
        loop {
            let size = buffer.len();
            let received = sys!(RECVFROM, self.0.0, &mut buffer[..], size, 0, 0, 0);
            let len = match received {
                Err(errno) if errno == Errno::of(libc::EINTR) => continue,
                received => received?,
            };
            let mut rest = &buffer[..len];
            while let Some((kind, body, after)) = first(rest) {
                if let Some(answer) = answer(kind, body) {
                    return Ok(answer);
                }
                rest = after;
            }
        }
    }
}

/// The first message of several, and what is behind it.
fn first(bytes: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let len = u32::from_ne_bytes(bytes.get(..4)?.try_into().ok()?) as usize;
    let kind = u16::from_ne_bytes(bytes.get(4..6)?.try_into().ok()?);
    let body = bytes.get(HEADER..len)?;
    let after = bytes.get(len.next_multiple_of(4)..).unwrap_or(&[]);
    Some((kind, body, after))
}

/// The value of an attribute, among those that are behind a message's structure.
pub(crate) fn attribute(mut bytes: &[u8], wanted: u16) -> Option<&[u8]> {
    loop {
        let len = usize::from(u16::from_ne_bytes(bytes.get(..2)?.try_into().ok()?));
        let kind = u16::from_ne_bytes(bytes.get(2..4)?.try_into().ok()?);
        let value = bytes.get(ATTRIBUTE..len)?;
        if kind == wanted {
            return Some(value);
        }
        bytes = bytes.get(len.next_multiple_of(4)..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_can_be_read() {
        let message = Message::new(20, 0, &[1; 5])
            .attribute(1, &[2; 3])
            .attribute(2, b"eth0");
        let (kind, body, after) = first(&message.0).expect("a message");
        assert_eq!((kind, after.len()), (20, 0));
        assert_eq!(attribute(&body[8..], 1), Some(&[2; 3][..]));
        assert_eq!(attribute(&body[8..], 2), Some(&b"eth0"[..]));
        assert_eq!(attribute(&body[8..], 3), None);
        assert!(first(&message.0[..20]).is_none());
    }
}
