//! Receiving with control messages: recvmsg(2).

use std::io::IoSliceMut;
use std::time::{Duration, SystemTime};

use super::{Socket, SocketAddress, named};
use crate::error::Result;

/// The result of [`Socket::receive`].
#[derive(Debug, Clone)]
pub struct Received {
    /// Bytes of data received; if `MSG_TRUNC` was requested, the length of the whole
    /// datagram.
    pub len: usize,
    /// The sender's address.
    pub from: SocketAddress,
    /// The control messages, in order.
    pub control: Vec<Control>,
    /// `MSG_TRUNC`, `MSG_CTRUNC`, `MSG_ERRQUEUE` and so on.
    pub flags: i32,
}

/// A control message (cmsg(3)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Control {
    /// `SOL_SOCKET`, `IPPROTO_IP` and so on.
    pub level: i32,
    /// Its type within the level. The receiver must close descriptors of `SCM_RIGHTS`.
    pub kind: i32,
    /// Its value.
    pub data: Vec<u8>,
}

impl Control {
    /// The packet's time of arrival by the kernel's wall clock, if this message has one
    /// ([`Socket::set_timestamp_ns`]).
    pub fn timestamp(&self) -> Option<SystemTime> {
        if (self.level, self.kind) != (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) {
            return None;
        }
        let word = |at: usize| {
            let word = self.data.get(at..at + 8)?;
            u64::try_from(i64::from_ne_bytes(word.try_into().ok()?)).ok()
        };
        let since = Duration::from_secs(word(0)?) + Duration::from_nanos(word(8)?);
        Some(SystemTime::UNIX_EPOCH + since)
    }
}

impl Received {
    /// The first timestamp among the control messages.
    pub fn timestamp(&self) -> Option<SystemTime> {
        self.control.iter().find_map(Control::timestamp)
    }
}

impl Socket {
    /// recvmsg(2) into several pieces, at most 1,024, with up to `control` bytes
    /// of control messages. `flags` are `MSG_*` of recv(2).
    pub fn receive(
        &self,
        pieces: &mut [IoSliceMut<'_>],
        control: usize,
        flags: i32,
    ) -> Result<Received> {
        let mut buffer = vec![0; control];
        let message = self
            .sys()
            .recv_message(self.fd.raw(), pieces, &mut buffer, flags);
        let message = named("receive", message)?;
        Ok(Received {
            len: message.len,
            from: SocketAddress::decode(&message.from),
            control: controls(&buffer[..message.control]),
            flags: message.flags,
        })
    }
}

/// Parses a control buffer: `struct cmsghdr` and data, each aligned to 8 bytes.
fn controls(mut bytes: &[u8]) -> Vec<Control> {
    const HEADER: usize = size_of::<libc::cmsghdr>();
    let mut all = Vec::new();
    while let Some((header, _)) = bytes.split_at_checked(HEADER) {
        let word = |at: usize| header[at..at + 4].try_into().unwrap_or_default();
        let len = header[..8].try_into().map(usize::from_ne_bytes);
        let Some(data) = len.ok().and_then(|len| bytes.get(HEADER..len)) else {
            break;
        };
        all.push(Control {
            level: i32::from_ne_bytes(word(8)),
            kind: i32::from_ne_bytes(word(12)),
            data: data.to_vec(),
        });
        let next = (HEADER + data.len()).next_multiple_of(8);
        bytes = bytes.get(next..).unwrap_or_default();
    }
    all
}
