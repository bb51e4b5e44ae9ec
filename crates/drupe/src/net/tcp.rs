//! [`TcpStream`] and [`TcpListener`], as those of [`std::net`].

use std::fmt;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::iter::FusedIterator;
use std::net::{Shutdown, SocketAddr, ToSocketAddrs};
use std::time::Duration;

use drupe_abi::Errno;

use super::resolve::each;
use super::{Domain, Socket, SocketAddress, Type};
use crate::Kernel;
use crate::error::{Error, Result};

/// A TCP connection, as [`std::net::TcpStream`]; of MPTCP if it is made from an MPTCP
/// [`Socket`].
pub struct TcpStream(Socket);

/// A TCP listener, as [`std::net::TcpListener`].
pub struct TcpListener(Socket);

/// The IP address that a TCP or UDP socket must have.
pub(super) fn ip(operation: &'static str, address: SocketAddress) -> Result<SocketAddr> {
    let ip = address.as_ip();
    ip.ok_or_else(|| Error::new(operation, Errno::AFNOSUPPORT))
}

impl TcpStream {
    /// Connects to the first of the addresses that answers. The host resolves host names.
    pub fn connect(kernel: &Kernel, address: impl ToSocketAddrs) -> Result<TcpStream> {
        each("connect", address, |address| {
            let socket = Socket::new(kernel, Domain::of(&address), Type::STREAM, None)?;
            socket.connect(address)?;
            Ok(TcpStream(socket))
        })
    }

    /// Connects, for at most `timeout` (not zero), after which it fails with
    /// [`Cause::TimedOut`](crate::Cause::TimedOut).
    pub fn connect_timeout(
        kernel: &Kernel,
        address: &SocketAddr,
        timeout: Duration,
    ) -> Result<TcpStream> {
        let socket = Socket::new(kernel, Domain::of(address), Type::STREAM, None)?;
        socket.connect_timeout(*address, timeout)?;
        Ok(TcpStream(socket))
    }

    /// Its peer's address; ENOTCONN when the connection has ended.
    pub fn peer_addr(&self) -> Result<SocketAddr> {
        ip("peer address", self.0.peer_address()?)
    }

    /// Its own address.
    pub fn local_addr(&self) -> Result<SocketAddr> {
        ip("local address", self.0.local_address()?)
    }

    /// Ends one or both directions: the peer reads the end of the stream, reads here
    /// return 0.
    pub fn shutdown(&self, how: Shutdown) -> Result<()> {
        self.0.shutdown(how)
    }

    /// Another handle to the same connection.
    pub fn try_clone(&self) -> Result<TcpStream> {
        self.0.try_clone().map(TcpStream)
    }

    /// Sets how long a read may block; it then fails with `WouldBlock`. `None`: for ever;
    /// zero is EINVAL.
    pub fn set_read_timeout(&self, timeout: Option<Duration>) -> Result<()> {
        self.0.set_read_timeout(timeout)
    }

    /// Sets how long a write may block, as [`TcpStream::set_read_timeout`].
    pub fn set_write_timeout(&self, timeout: Option<Duration>) -> Result<()> {
        self.0.set_write_timeout(timeout)
    }

    /// What [`TcpStream::set_read_timeout`] has set.
    pub fn read_timeout(&self) -> Result<Option<Duration>> {
        self.0.read_timeout()
    }

    /// What [`TcpStream::set_write_timeout`] has set.
    pub fn write_timeout(&self) -> Result<Option<Duration>> {
        self.0.write_timeout()
    }

    /// Receives without removing the data from the queue.
    pub fn peek(&self, bytes: &mut [u8]) -> Result<usize> {
        self.0.peek(bytes)
    }

    /// See [`Socket::set_linger`].
    pub fn set_linger(&self, linger: Option<Duration>) -> Result<()> {
        self.0.set_linger(linger)
    }

    /// What [`TcpStream::set_linger`] has set.
    pub fn linger(&self) -> Result<Option<Duration>> {
        self.0.linger()
    }

    /// Sends data at once, without waiting to fill a segment.
    pub fn set_nodelay(&self, yes: bool) -> Result<()> {
        self.0.set_nodelay(yes)
    }

    /// What [`TcpStream::set_nodelay`] has set.
    pub fn nodelay(&self) -> Result<bool> {
        self.0.nodelay()
    }

    /// Sets the number of hops that packets may take, 1 to 255 (of IPv4, as in
    /// [`std::net`]).
    pub fn set_ttl(&self, ttl: u32) -> Result<()> {
        self.0.set_ttl_v4(ttl)
    }

    /// What [`TcpStream::set_ttl`] has set.
    pub fn ttl(&self) -> Result<u32> {
        self.0.ttl_v4()
    }

    /// The pending error, which is cleared.
    pub fn take_error(&self) -> Result<Option<io::Error>> {
        self.0.take_error()
    }

    /// Whether calls fail with `WouldBlock` rather than block.
    pub fn set_nonblocking(&self, yes: bool) -> Result<()> {
        self.0.set_nonblocking(yes)
    }
}

impl TcpListener {
    /// Binds to the first of the addresses that is free, and listens. Port 0: any free
    /// port. `SO_REUSEADDR` is set.
    pub fn bind(kernel: &Kernel, address: impl ToSocketAddrs) -> Result<TcpListener> {
        each("bind", address, |address| {
            let socket = Socket::new(kernel, Domain::of(&address), Type::STREAM, None)?;
            socket.set_reuse_address(true)?;
            socket.bind(address)?;
            socket.listen(u32::MAX)?;
            Ok(TcpListener(socket))
        })
    }

    /// Its own address.
    pub fn local_addr(&self) -> Result<SocketAddr> {
        ip("local address", self.0.local_address()?)
    }

    /// Another handle to the same listener.
    pub fn try_clone(&self) -> Result<TcpListener> {
        self.0.try_clone().map(TcpListener)
    }

    /// Waits for the next connection.
    pub fn accept(&self) -> Result<(TcpStream, SocketAddr)> {
        let (socket, from) = self.0.accept()?;
        Ok((TcpStream(socket), ip("accept", from)?))
    }

    /// The connections as they come; never ends.
    pub fn incoming(&self) -> Incoming<'_> {
        Incoming(self)
    }

    /// See [`TcpStream::set_ttl`].
    pub fn set_ttl(&self, ttl: u32) -> Result<()> {
        self.0.set_ttl_v4(ttl)
    }

    /// What [`TcpListener::set_ttl`] has set.
    pub fn ttl(&self) -> Result<u32> {
        self.0.ttl_v4()
    }

    /// The pending error, which is cleared.
    pub fn take_error(&self) -> Result<Option<io::Error>> {
        self.0.take_error()
    }

    /// Whether accepting fails with `WouldBlock` rather than blocks.
    pub fn set_nonblocking(&self, yes: bool) -> Result<()> {
        self.0.set_nonblocking(yes)
    }
}

/// The connections of a listener. From [`TcpListener::incoming`].
#[derive(Debug)]
pub struct Incoming<'a>(&'a TcpListener);

impl Iterator for Incoming<'_> {
    type Item = Result<TcpStream>;

    fn next(&mut self) -> Option<Result<TcpStream>> {
        Some(self.0.accept().map(|(stream, _)| stream))
    }
}

impl FusedIterator for Incoming<'_> {}

impl Read for &TcpStream {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        (&self.0).read(bytes)
    }

    fn read_vectored(&mut self, pieces: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        (&self.0).read_vectored(pieces)
    }
}

impl Write for &TcpStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (&self.0).write(bytes)
    }

    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        (&self.0).write_vectored(pieces)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for TcpStream {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        (&self.0).read(bytes)
    }

    fn read_vectored(&mut self, pieces: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        (&self.0).read_vectored(pieces)
    }
}

impl Write for TcpStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (&self.0).write(bytes)
    }

    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        (&self.0).write_vectored(pieces)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Conversions between [`Socket`] and the three types of sockets.
macro_rules! is_a_socket {
    ($($type:ident)*) => {$(
        impl $type {
            /// The socket, with all of its options.
            pub fn as_socket(&self) -> &Socket {
                &self.0
            }
        }

        /// The socket must be of the right family and type, or its calls fail.
        impl From<Socket> for $type {
            fn from(socket: Socket) -> $type {
                $type(socket)
            }
        }

        impl From<$type> for Socket {
            fn from(socket: $type) -> Socket {
                socket.0
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut debug = f.debug_struct(stringify!($type));
                if let Ok(address) = self.local_addr() {
                    debug.field("addr", &address);
                }
                if let Ok(SocketAddress::Ip(peer)) = self.0.peer_address() {
                    debug.field("peer", &peer);
                }
                debug.field("fd", &self.0.raw_fd()).finish()
            }
        }
    )*};
}

is_a_socket!(TcpStream TcpListener);
pub(super) use is_a_socket;
