//! System calls on sockets. Addresses and option values are bytes here; [`crate::net`]
//! parses them.

use std::io::{IoSlice, IoSliceMut};
use std::sync::Arc;

use drupe_abi::Errno;
use drupe_machine::Error;

use super::call::{Result, Sys, fd};
use super::{OwnedFd, nr};

/// A socket address as the kernel has it: a `struct sockaddr` of some family.
#[derive(Clone, Copy)]
pub(crate) struct RawAddress {
    /// Room for `struct sockaddr_storage`.
    pub(crate) bytes: [u8; 128],
    /// How many bytes are used.
    pub(crate) len: usize,
}

impl RawAddress {
    pub(crate) const fn empty() -> RawAddress {
        RawAddress {
            bytes: [0; 128],
            len: 0,
        }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// The address after a call that returned its full length `len`, which may be more
    /// than the copied bytes.
    fn with_len(mut self, len: u32) -> RawAddress {
        self.len = (len as usize).min(self.bytes.len());
        self
    }
}

/// The results of recvmsg(2) other than the data.
pub(crate) struct Message {
    /// Bytes received.
    pub(crate) len: usize,
    pub(crate) from: RawAddress,
    /// Bytes of control messages.
    pub(crate) control: usize,
    /// `MSG_TRUNC`, `MSG_CTRUNC` and so on.
    pub(crate) flags: i32,
}

impl Sys {
    /// socket(2), with `SOCK_CLOEXEC`.
    pub(crate) fn socket(
        self: &Arc<Self>,
        domain: i32,
        kind: i32,
        protocol: i32,
    ) -> Result<OwnedFd> {
        let kind = kind | libc::SOCK_CLOEXEC;
        let args = [domain as usize, kind as usize, protocol as usize];
        Ok(OwnedFd::new(self, self.plain(nr::SOCKET, args)?))
    }

    pub(crate) fn socketpair(
        self: &Arc<Self>,
        domain: i32,
        kind: i32,
        protocol: i32,
    ) -> Result<(OwnedFd, OwnedFd)> {
        let mut pair = [0i32; 2];
        let kind = kind | libc::SOCK_CLOEXEC;
        let args = [
            domain as usize,
            kind as usize,
            protocol as usize,
            pair.as_mut_ptr() as usize,
        ];
        // SAFETY: writes two numbers.
        unsafe { self.raw(nr::SOCKETPAIR, args) }?;
        let [one, other] = pair.map(|raw| OwnedFd::new(self, raw as usize));
        Ok((one, other))
    }

    pub(crate) fn bind(&self, raw: i32, address: &[u8]) -> Result<()> {
        let args = [fd(raw), address.as_ptr() as usize, address.len()];
        // SAFETY: reads `address`.
        unsafe { self.raw(nr::BIND, args) }.map(drop)
    }

    pub(crate) fn connect(&self, raw: i32, address: &[u8]) -> Result<()> {
        let args = [fd(raw), address.as_ptr() as usize, address.len()];
        // SAFETY: reads `address`.
        unsafe { self.raw(nr::CONNECT, args) }.map(drop)
    }

    pub(crate) fn listen(&self, raw: i32, backlog: i32) -> Result<()> {
        self.plain(nr::LISTEN, [fd(raw), backlog as usize])
            .map(drop)
    }

    /// accept4(2), with `SOCK_CLOEXEC` and `flags`.
    pub(crate) fn accept(self: &Arc<Self>, raw: i32, flags: i32) -> Result<(OwnedFd, RawAddress)> {
        let mut address = RawAddress::empty();
        let mut len = address.bytes.len() as u32;
        let args = [
            fd(raw),
            address.bytes.as_mut_ptr() as usize,
            &raw mut len as usize,
            (flags | libc::SOCK_CLOEXEC) as usize,
        ];
        // SAFETY: writes within the address, whose size `len` says.
        let new = unsafe { self.raw(nr::ACCEPT4, args) }?;
        Ok((OwnedFd::new(self, new), address.with_len(len)))
    }

    pub(crate) fn getsockname(&self, raw: i32) -> Result<RawAddress> {
        self.address(nr::GETSOCKNAME, raw)
    }

    pub(crate) fn getpeername(&self, raw: i32) -> Result<RawAddress> {
        self.address(nr::GETPEERNAME, raw)
    }

    fn address(&self, number: usize, raw: i32) -> Result<RawAddress> {
        let mut address = RawAddress::empty();
        let mut len = address.bytes.len() as u32;
        let args = [
            fd(raw),
            address.bytes.as_mut_ptr() as usize,
            &raw mut len as usize,
        ];
        // SAFETY: writes within the address, whose size `len` says.
        unsafe { self.raw(number, args) }?;
        Ok(address.with_len(len))
    }

    /// sendto(2), with `MSG_NOSIGNAL` and `flags`.
    pub(crate) fn send(
        &self,
        raw: i32,
        bytes: &[u8],
        flags: i32,
        to: Option<&RawAddress>,
    ) -> Result<usize> {
        let to = to.map_or(&[][..], RawAddress::as_bytes);
        let args = [
            fd(raw),
            bytes.as_ptr() as usize,
            bytes.len(),
            (flags | libc::MSG_NOSIGNAL) as usize,
            if to.is_empty() {
                0
            } else {
                to.as_ptr() as usize
            },
            to.len(),
        ];
        // SAFETY: reads `bytes` and `to`.
        unsafe { self.raw(nr::SENDTO, args) }
    }

    /// sendmsg(2) of several pieces, with `MSG_NOSIGNAL` and `flags`.
    pub(crate) fn send_vectored(
        &self,
        raw: i32,
        pieces: &[IoSlice<'_>],
        flags: i32,
        to: Option<&RawAddress>,
    ) -> Result<usize> {
        let to = to.map_or(&[][..], RawAddress::as_bytes);
        let message = libc::msghdr {
            msg_name: if to.is_empty() {
                std::ptr::null_mut()
            } else {
                to.as_ptr().cast_mut().cast()
            },
            msg_namelen: to.len() as u32,
            // An IoSlice has the layout of struct iovec.
            msg_iov: pieces.as_ptr().cast_mut().cast(),
            msg_iovlen: pieces.len().min(libc::UIO_MAXIOV as usize),
            msg_control: std::ptr::null_mut(),
            msg_controllen: 0,
            msg_flags: 0,
        };
        let args = [
            fd(raw),
            &raw const message as usize,
            (flags | libc::MSG_NOSIGNAL) as usize,
        ];
        // SAFETY: reads the message, the address and the pieces.
        unsafe { self.raw(nr::SENDMSG, args) }
    }

    /// recvfrom(2) without the address.
    pub(crate) fn recv(&self, raw: i32, bytes: &mut [u8], flags: i32) -> Result<usize> {
        let args = [
            fd(raw),
            bytes.as_mut_ptr() as usize,
            bytes.len(),
            flags as usize,
            0,
            0,
        ];
        // SAFETY: writes within `bytes`.
        unsafe { self.raw(nr::RECVFROM, args) }
    }

    pub(crate) fn recv_from(
        &self,
        raw: i32,
        bytes: &mut [u8],
        flags: i32,
    ) -> Result<(usize, RawAddress)> {
        let mut address = RawAddress::empty();
        let mut len = address.bytes.len() as u32;
        let args = [
            fd(raw),
            bytes.as_mut_ptr() as usize,
            bytes.len(),
            flags as usize,
            address.bytes.as_mut_ptr() as usize,
            &raw mut len as usize,
        ];
        // SAFETY: writes within `bytes` and the address, whose size `len` says.
        let count = unsafe { self.raw(nr::RECVFROM, args) }?;
        Ok((count, address.with_len(len)))
    }

    /// recvmsg(2), with `MSG_CMSG_CLOEXEC` and `flags`.
    pub(crate) fn recv_message(
        &self,
        raw: i32,
        pieces: &mut [IoSliceMut<'_>],
        control: &mut [u8],
        flags: i32,
    ) -> Result<Message> {
        let mut from = RawAddress::empty();
        let mut message = libc::msghdr {
            msg_name: from.bytes.as_mut_ptr().cast(),
            msg_namelen: from.bytes.len() as u32,
            // An IoSliceMut has the layout of struct iovec.
            msg_iov: pieces.as_mut_ptr().cast(),
            msg_iovlen: pieces.len().min(libc::UIO_MAXIOV as usize),
            msg_control: control.as_mut_ptr().cast(),
            msg_controllen: control.len(),
            msg_flags: 0,
        };
        let args = [
            fd(raw),
            &raw mut message as usize,
            (flags | libc::MSG_CMSG_CLOEXEC) as usize,
        ];
        // SAFETY: writes the message, and within the address, the pieces and the
        // control buffer, whose sizes it says.
        let len = unsafe { self.raw(nr::RECVMSG, args) }?;
        Ok(Message {
            len,
            from: from.with_len(message.msg_namelen),
            control: message.msg_controllen.min(control.len()),
            // The kernel says this one back.
            flags: message.msg_flags & !libc::MSG_CMSG_CLOEXEC,
        })
    }

    /// setsockopt(2). Options whose value contains a pointer are EINVAL.
    pub(crate) fn setsockopt(&self, raw: i32, level: i32, name: i32, value: &[u8]) -> Result<()> {
        let pointers = [libc::SO_ATTACH_FILTER, libc::SO_ATTACH_REUSEPORT_CBPF];
        if level == libc::SOL_SOCKET && pointers.contains(&name) {
            return Err(Error::Errno(Errno::INVAL));
        }
        let args = [
            fd(raw),
            level as usize,
            name as usize,
            value.as_ptr() as usize,
            value.len(),
        ];
        // SAFETY: reads `value`, in which there is no pointer.
        unsafe { self.raw(nr::SETSOCKOPT, args) }.map(drop)
    }

    /// getsockopt(2): how many bytes of `value` have been written. Some options
    /// take input there, even pointers: `value` is zeroed first. `SO_GET_FILTER`
    /// is EINVAL: its length counts instructions, not bytes.
    pub(crate) fn getsockopt(
        &self,
        raw: i32,
        level: i32,
        name: i32,
        value: &mut [u8],
    ) -> Result<usize> {
        if level == libc::SOL_SOCKET && name == libc::SO_GET_FILTER {
            return Err(Error::Errno(Errno::INVAL));
        }
        value.fill(0);
        let mut len = value.len() as u32;
        let args = [
            fd(raw),
            level as usize,
            name as usize,
            value.as_mut_ptr() as usize,
            &raw mut len as usize,
        ];
        // SAFETY: writes within `value`, whose size `len` says; a pointer in it
        // is null.
        unsafe { self.raw(nr::GETSOCKOPT, args) }?;
        Ok((len as usize).min(value.len()))
    }

    pub(crate) fn shutdown(&self, raw: i32, how: i32) -> Result<()> {
        self.plain(nr::SHUTDOWN, [fd(raw), how as usize]).map(drop)
    }
}
