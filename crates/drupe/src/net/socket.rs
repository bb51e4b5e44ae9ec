//! [`Socket`]: a socket of any kind. Its options are in `options/`.

use std::fmt;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::net::Shutdown;
use std::sync::Arc;
use std::time::{Duration, Instant};

use drupe_abi::Errno;

use super::{SocketAddress, named};
use crate::Kernel;
use crate::error::{Cause, Error, Result, io_error};
use crate::kernel::KernelInner;
use crate::sys::{self, OwnedFd, RawAddress, Sys};

/// The family of a socket: `AF_*` (address_families(7)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Domain(pub i32);

impl Domain {
    /// `AF_INET` (ip(7)).
    pub const IPV4: Domain = Domain(libc::AF_INET);
    /// `AF_INET6` (ipv6(7)).
    pub const IPV6: Domain = Domain(libc::AF_INET6);
    /// `AF_UNIX` (unix(7)).
    pub const UNIX: Domain = Domain(libc::AF_UNIX);
    /// `AF_PACKET` (packet(7)): frames of an interface.
    pub const PACKET: Domain = Domain(libc::AF_PACKET);
    /// `AF_NETLINK` (netlink(7)).
    pub const NETLINK: Domain = Domain(libc::AF_NETLINK);
    /// `AF_VSOCK` (vsock(7)).
    pub const VSOCK: Domain = Domain(libc::AF_VSOCK);

    /// The family of an IP address.
    pub fn of(address: &std::net::SocketAddr) -> Domain {
        match address.is_ipv4() {
            true => Domain::IPV4,
            false => Domain::IPV6,
        }
    }
}

/// How a socket carries data: `SOCK_*` (socket(2)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Type(pub i32);

impl Type {
    /// A stream of bytes.
    pub const STREAM: Type = Type(libc::SOCK_STREAM);
    /// Datagrams.
    pub const DGRAM: Type = Type(libc::SOCK_DGRAM);
    /// Packets with their headers.
    pub const RAW: Type = Type(libc::SOCK_RAW);
    /// Datagrams over a connection, in order.
    pub const SEQPACKET: Type = Type(libc::SOCK_SEQPACKET);
    /// `SOCK_NONBLOCK` in addition.
    pub const fn nonblocking(self) -> Type {
        Type(self.0 | libc::SOCK_NONBLOCK)
    }
}

/// The protocol of a socket: `IPPROTO_*`, or what the family understands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Protocol(pub i32);

impl Protocol {
    /// `IPPROTO_TCP` (tcp(7)).
    pub const TCP: Protocol = Protocol(libc::IPPROTO_TCP);
    /// `IPPROTO_MPTCP`: TCP over several paths
    /// (`Documentation/networking/mptcp.rst`).
    pub const MPTCP: Protocol = Protocol(libc::IPPROTO_MPTCP);
    /// `IPPROTO_UDP` (udp(7)).
    pub const UDP: Protocol = Protocol(libc::IPPROTO_UDP);
    /// `IPPROTO_ICMP` (icmp(7)).
    pub const ICMPV4: Protocol = Protocol(libc::IPPROTO_ICMP);
    /// `IPPROTO_ICMPV6`.
    pub const ICMPV6: Protocol = Protocol(libc::IPPROTO_ICMPV6);

    /// The protocol of a packet socket: an `ETH_P_*` number, in the machine's byte order.
    pub const fn ethernet(number: u16) -> Protocol {
        Protocol(number.to_be() as i32)
    }
}

/// A socket of any family, type and protocol, in the spirit of the `socket2`
/// crate. Closed when dropped; keeps its kernel until then.
///
/// It is made in the network namespace that the calling thread is in
/// ([`Namespace::run`](super::Namespace::run)), and stays there.
pub struct Socket {
    // Closed before the kernel is let go.
    pub(super) fd: OwnedFd,
    pub(super) kernel: Arc<KernelInner>,
}

impl Socket {
    /// Makes a socket (socket(2)). `None`: the default protocol of the type.
    pub fn new(
        kernel: &Kernel,
        domain: Domain,
        kind: Type,
        protocol: Option<Protocol>,
    ) -> Result<Socket> {
        Socket::open(&kernel.inner, domain, kind, protocol)
    }

    pub(super) fn open(
        kernel: &Arc<KernelInner>,
        domain: Domain,
        kind: Type,
        protocol: Option<Protocol>,
    ) -> Result<Socket> {
        let protocol = protocol.map_or(0, |protocol| protocol.0);
        let fd = kernel.sys.socket(domain.0, kind.0, protocol);
        Ok(Socket {
            fd: named("socket", fd)?,
            kernel: Arc::clone(kernel),
        })
    }

    /// Makes two connected sockets (socketpair(2)), usually of the Unix domain.
    pub fn pair(
        kernel: &Kernel,
        domain: Domain,
        kind: Type,
        protocol: Option<Protocol>,
    ) -> Result<(Socket, Socket)> {
        let protocol = protocol.map_or(0, |protocol| protocol.0);
        let pair = kernel.inner.sys.socketpair(domain.0, kind.0, protocol);
        let (one, other) = named("socketpair", pair)?;
        let socket = |fd| Socket {
            fd,
            kernel: Arc::clone(&kernel.inner),
        };
        Ok((socket(one), socket(other)))
    }

    pub(super) fn sys(&self) -> &Arc<Sys> {
        &self.kernel.sys
    }

    /// Its descriptor in the kernel, for [`Kernel::syscall`].
    pub fn raw_fd(&self) -> i32 {
        self.fd.raw()
    }

    /// The kernel that has the socket.
    pub fn kernel(&self) -> Kernel {
        Kernel {
            inner: Arc::clone(&self.kernel),
        }
    }

    /// Another handle to the same socket.
    pub fn try_clone(&self) -> Result<Socket> {
        Ok(Socket {
            fd: named("duplicate", self.sys().duplicate(self.fd.raw()))?,
            kernel: Arc::clone(&self.kernel),
        })
    }

    /// bind(2).
    pub fn bind(&self, address: impl Into<SocketAddress>) -> Result<()> {
        self.to("bind", &address.into(), |raw| {
            self.sys().bind(self.fd.raw(), raw.as_bytes())
        })
    }

    /// Connects it (connect(2)). If it is non-blocking, this fails with EINPROGRESS, and
    /// it becomes writable once it is connected or has failed; [`Socket::take_error`]
    /// tells which.
    pub fn connect(&self, address: impl Into<SocketAddress>) -> Result<()> {
        self.to("connect", &address.into(), |raw| {
            self.sys().connect(self.fd.raw(), raw.as_bytes())
        })
    }

    /// Connects it, for at most `timeout` (not zero), after which it fails with
    /// [`Cause::TimedOut`]. The socket is a blocking one afterwards.
    pub fn connect_timeout(
        &self,
        address: impl Into<SocketAddress>,
        timeout: Duration,
    ) -> Result<()> {
        let address = address.into();
        let failed = |cause: Cause| Error::at("connect", address.to_string(), cause);
        if timeout.is_zero() {
            return Err(failed(Errno::INVAL.into()));
        }
        self.set_nonblocking(true)?;
        let connected = self.connect(address.clone());
        let result = match &connected {
            Err(error) if error.errno() == Some(Errno::INPROGRESS) => {
                match self.ready(libc::POLLOUT, timeout) {
                    Ok(true) => match self.take_errno()? {
                        None => Ok(()),
                        Some(errno) => Err(failed(errno.into())),
                    },
                    Ok(false) => Err(failed(Cause::TimedOut)),
                    Err(error) => Err(failed(error.into())),
                }
            }
            _ => connected,
        };
        self.set_nonblocking(false)?;
        result
    }

    /// Waits until it has one of `events` (`libc::POLLIN` and so on, poll(2)), at most
    /// for `timeout`; then returns `false`. [`Poll`](super::Poll) waits for many sockets.
    pub fn wait(&self, events: i16, timeout: Duration) -> Result<bool> {
        named("wait", self.ready(events, timeout))
    }

    fn ready(&self, events: i16, timeout: Duration) -> sys::Result<bool> {
        let end = Instant::now().checked_add(timeout);
        let left = || end.map(|end| end.saturating_duration_since(Instant::now()));
        loop {
            let left = left();
            match self.sys().poll(self.fd.raw(), events, left) {
                // The kernel's clock may be another one.
                Ok(0) if left.is_some_and(|left| left.is_zero()) => return Ok(false),
                Ok(0) => {}
                result => return result.map(|_| true),
            }
        }
    }

    /// Adds the names of an operation and an address to its error.
    fn to<T>(
        &self,
        operation: &'static str,
        address: &SocketAddress,
        f: impl FnOnce(&RawAddress) -> sys::Result<T>,
    ) -> Result<T> {
        let result = address.encode().and_then(|raw| f(&raw));
        result.map_err(|e| Error::at(operation, address.to_string(), e))
    }

    /// listen(2); `backlog` is at most the sysctl `net.core.somaxconn`.
    pub fn listen(&self, backlog: u32) -> Result<()> {
        let backlog = i32::try_from(backlog).unwrap_or(i32::MAX);
        named("listen", self.sys().listen(self.fd.raw(), backlog))
    }

    /// Waits for the next connection (accept4(2)). Returns a blocking socket and the
    /// peer's address.
    pub fn accept(&self) -> Result<(Socket, SocketAddress)> {
        self.accept_with(0)
    }

    pub(super) fn accept_with(&self, flags: i32) -> Result<(Socket, SocketAddress)> {
        let (fd, from) = named("accept", self.sys().accept(self.fd.raw(), flags))?;
        let socket = Socket {
            fd,
            kernel: Arc::clone(&self.kernel),
        };
        Ok((socket, SocketAddress::decode(&from)))
    }

    /// Its own address (getsockname(2)).
    pub fn local_address(&self) -> Result<SocketAddress> {
        let address = self.sys().getsockname(self.fd.raw());
        Ok(SocketAddress::decode(&named("local address", address)?))
    }

    /// Its peer's address (getpeername(2)); ENOTCONN if it is not connected.
    pub fn peer_address(&self) -> Result<SocketAddress> {
        let address = self.sys().getpeername(self.fd.raw());
        Ok(SocketAddress::decode(&named("peer address", address)?))
    }

    /// Ends one or both directions (shutdown(2)).
    pub fn shutdown(&self, how: Shutdown) -> Result<()> {
        let how = match how {
            Shutdown::Read => libc::SHUT_RD,
            Shutdown::Write => libc::SHUT_WR,
            Shutdown::Both => libc::SHUT_RDWR,
        };
        named("shutdown", self.sys().shutdown(self.fd.raw(), how))
    }

    /// Whether calls fail with EAGAIN rather than block. Shared by all handles.
    pub fn set_nonblocking(&self, yes: bool) -> Result<()> {
        let set = self.sys().set_nonblocking(self.fd.raw(), yes);
        named("set non-blocking", set)
    }

    /// Whether [`Socket::set_nonblocking`] has been set.
    pub fn nonblocking(&self) -> Result<bool> {
        let flags = self.sys().status_flags(self.fd.raw());
        Ok(named("non-blocking", flags)? & libc::O_NONBLOCK != 0)
    }

    /// Sends on a connection. Returns the number of bytes. `flags` are `MSG_*` of
    /// send(2), such as `MSG_OOB` or `MSG_MORE`.
    pub fn send_with(&self, bytes: &[u8], flags: i32) -> Result<usize> {
        let sent = self.sys().send(self.fd.raw(), bytes, flags, None);
        named("send", sent)
    }

    /// [`Socket::send_with`] without flags.
    pub fn send(&self, bytes: &[u8]) -> Result<usize> {
        self.send_with(bytes, 0)
    }

    /// Sends one datagram to an address (sendto(2)).
    pub fn send_to(&self, bytes: &[u8], to: impl Into<SocketAddress>) -> Result<usize> {
        self.to("send", &to.into(), |raw| {
            self.sys().send(self.fd.raw(), bytes, 0, Some(raw))
        })
    }

    /// Sends several buffers as one, to an address or on a connection (sendmsg(2)). At
    /// most the first 1,024 buffers are sent.
    pub fn send_vectored(
        &self,
        pieces: &[IoSlice<'_>],
        to: Option<&SocketAddress>,
    ) -> Result<usize> {
        let send =
            |raw: Option<&RawAddress>| self.sys().send_vectored(self.fd.raw(), pieces, 0, raw);
        match to {
            None => named("send", send(None)),
            Some(address) => self.to("send", address, |raw| send(Some(raw))),
        }
    }

    /// Receives. Returns the number of bytes, 0 at the end of a stream. `flags` are
    /// `MSG_*` of recv(2), such as `MSG_PEEK` or `MSG_WAITALL`.
    pub fn recv_with(&self, bytes: &mut [u8], flags: i32) -> Result<usize> {
        named("receive", self.sys().recv(self.fd.raw(), bytes, flags))
    }

    /// [`Socket::recv_with`] without flags.
    pub fn recv(&self, bytes: &mut [u8]) -> Result<usize> {
        self.recv_with(bytes, 0)
    }

    /// Receives without removing the data from the queue (`MSG_PEEK`).
    pub fn peek(&self, bytes: &mut [u8]) -> Result<usize> {
        self.recv_with(bytes, libc::MSG_PEEK)
    }

    /// Receives one datagram. Returns its length and the sender's address. The part that
    /// does not fit is lost, unless `flags` has `MSG_PEEK`.
    pub fn recv_from_with(&self, bytes: &mut [u8], flags: i32) -> Result<(usize, SocketAddress)> {
        let received = self.sys().recv_from(self.fd.raw(), bytes, flags);
        let (len, from) = named("receive", received)?;
        Ok((len, SocketAddress::decode(&from)))
    }

    /// [`Socket::recv_from_with`] without flags.
    pub fn recv_from(&self, bytes: &mut [u8]) -> Result<(usize, SocketAddress)> {
        self.recv_from_with(bytes, 0)
    }

    /// The pending error, which is cleared (`SO_ERROR`, socket(7)).
    pub fn take_error(&self) -> Result<Option<io::Error>> {
        Ok(self.take_errno()?.map(io::Error::from))
    }

    pub(super) fn take_errno(&self) -> Result<Option<Errno>> {
        let code: i32 = self.option(libc::SOL_SOCKET, libc::SO_ERROR)?;
        Ok((code != 0).then(|| Errno::from_raw_os_error(code)))
    }
}

impl Read for &Socket {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let received = self.sys().recv(self.fd.raw(), bytes, 0);
        received.map_err(|e| io_error("receive", e))
    }

    fn read_vectored(&mut self, pieces: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        let received = self.sys().recv_message(self.fd.raw(), pieces, &mut [], 0);
        Ok(received.map_err(|e| io_error("receive", e))?.len)
    }
}

impl Write for &Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let sent = self.sys().send(self.fd.raw(), bytes, 0, None);
        sent.map_err(|e| io_error("send", e))
    }

    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        let sent = self.sys().send_vectored(self.fd.raw(), pieces, 0, None);
        sent.map_err(|e| io_error("send", e))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for Socket {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        (&*self).read(bytes)
    }

    fn read_vectored(&mut self, pieces: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        (&*self).read_vectored(pieces)
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (&*self).write(bytes)
    }

    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        (&*self).write_vectored(pieces)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Socket({:?})", self.fd)
    }
}
