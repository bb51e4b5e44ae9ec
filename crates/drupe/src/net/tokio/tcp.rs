//! [`TcpStream`] and [`TcpListener`], as those of tokio.

use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use ::tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use ::tokio::net::ToSocketAddrs;
use drupe_abi::Errno;

use super::lookup;
use super::registered::{Half, Registered};
use crate::Kernel;
use crate::error::{Error, Result};
use crate::net::tcp::ip;
use crate::net::{self, Domain, Socket, SocketAddress, Type};

/// A TCP connection, as `tokio::net::TcpStream`.
#[derive(Debug)]
pub struct TcpStream(Registered);

/// A TCP listener, as `tokio::net::TcpListener`.
#[derive(Debug)]
pub struct TcpListener(Registered);

impl TcpStream {
    /// Connects to the first of the addresses that answers.
    pub async fn connect(kernel: &Kernel, address: impl ToSocketAddrs) -> Result<TcpStream> {
        let mut last = None;
        for address in lookup("connect", address).await? {
            match TcpStream::connect_one(kernel, address).await {
                Ok(stream) => return Ok(stream),
                Err(error) => last = Some(error),
            }
        }
        // There was one address at least.
        Err(last.unwrap_or_else(|| Error::new("connect", Errno::INVAL)))
    }

    async fn connect_one(kernel: &Kernel, address: SocketAddr) -> Result<TcpStream> {
        let kind = Type::STREAM.nonblocking();
        let socket = Socket::new(kernel, Domain::of(&address), kind, None)?;
        TcpStream::connect_socket(socket, address).await
    }

    /// Connects a socket that was made before, for instance an MPTCP socket or one with
    /// options set.
    pub async fn connect_socket(
        socket: Socket,
        address: impl Into<SocketAddress>,
    ) -> Result<TcpStream> {
        let address = address.into();
        let registered = Registered::new(socket)?;
        match registered.socket().connect(address.clone()) {
            Err(error) if error.errno() == Some(Errno::INPROGRESS) => {}
            result => return result.map(|()| TcpStream(registered)),
        }
        let connected = |socket: &Socket| {
            if let Some(errno) = socket.take_errno()? {
                return Err(Error::at("connect", address.to_string(), errno));
            }
            match socket.peer_address() {
                Err(error) if error.errno() == Some(Errno::NOTCONN) => {
                    Err(Error::new("connect", Errno::AGAIN))
                }
                result => result.map(drop),
            }
        };
        registered.run(Half::Write, connected).await?;
        Ok(TcpStream(registered))
    }

    /// Registers an existing connection, which becomes non-blocking.
    pub fn from_net(stream: net::TcpStream) -> Result<TcpStream> {
        Registered::new(stream.into()).map(TcpStream)
    }

    /// The socket, with all of its options. It is non-blocking.
    pub fn as_socket(&self) -> &Socket {
        self.0.socket()
    }

    /// Its peer's address.
    pub fn peer_addr(&self) -> Result<SocketAddr> {
        ip("peer address", self.as_socket().peer_address()?)
    }

    /// Its own address.
    pub fn local_addr(&self) -> Result<SocketAddr> {
        ip("local address", self.as_socket().local_address()?)
    }

    /// Sends data at once, without waiting to fill a segment.
    pub fn set_nodelay(&self, yes: bool) -> Result<()> {
        self.as_socket().set_nodelay(yes)
    }

    /// What [`TcpStream::set_nodelay`] has set.
    pub fn nodelay(&self) -> Result<bool> {
        self.as_socket().nodelay()
    }

    /// Receives without removing the data from the queue.
    pub async fn peek(&self, bytes: &mut [u8]) -> Result<usize> {
        self.0.run(Half::Read, |socket| socket.peek(bytes)).await
    }

    /// Waits until a read would not block.
    pub async fn readable(&self) -> Result<()> {
        // An end or an error is something to read.
        let peek = |socket: &Socket| socket.peek(&mut [0]);
        match self.0.run(Half::Read, peek).await {
            Err(error) if error.errno().is_none() => Err(error),
            _ => Ok(()),
        }
    }

    /// Receives without waiting: `WouldBlock` if there is no data.
    pub fn try_read(&self, bytes: &mut [u8]) -> io::Result<usize> {
        let mut socket = self.as_socket();
        socket.read(bytes)
    }

    /// Sends without waiting, as much as there is room for: `WouldBlock` if there is
    /// none.
    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut socket = self.as_socket();
        socket.write(bytes)
    }

    /// [`AsyncRead::poll_read`] through a shared reference.
    pub(super) fn receive(
        &self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let room = buffer.initialize_unfilled();
        let read = self.0.poll(cx, Half::Read, |mut socket| socket.read(room));
        let len = ready!(read)?;
        buffer.advance(len);
        Poll::Ready(Ok(()))
    }

    /// [`AsyncWrite::poll_write`] through a shared reference.
    pub(super) fn send(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let write = |mut socket: &Socket| socket.write(bytes);
        self.0.poll(cx, Half::Write, write)
    }

    /// [`AsyncWrite::poll_write_vectored`] through a shared reference.
    pub(super) fn send_vectored(
        &self,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let write = |mut socket: &Socket| socket.write_vectored(pieces);
        self.0.poll(cx, Half::Write, write)
    }

    /// Ends the sending direction: the peer reads the end of the stream.
    pub(super) fn end_writing(&self) -> io::Result<()> {
        match self.as_socket().shutdown(Shutdown::Write) {
            // It has ended already.
            Err(error) if error.errno() == Some(Errno::NOTCONN) => Ok(()),
            result => result.map_err(io::Error::from),
        }
    }
}

impl AsyncRead for TcpStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.receive(cx, buffer)
    }
}

impl AsyncWrite for TcpStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.send(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.send_vectored(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.end_writing())
    }
}

impl TcpListener {
    /// Binds to the first of the addresses that is free, and listens. Port 0: any free
    /// port. `SO_REUSEADDR` is set.
    pub async fn bind(kernel: &Kernel, address: impl ToSocketAddrs) -> Result<TcpListener> {
        let addresses = lookup("bind", address).await?;
        TcpListener::from_net(net::TcpListener::bind(kernel, &addresses[..])?)
    }

    /// Registers an existing listener, which becomes non-blocking.
    pub fn from_net(listener: net::TcpListener) -> Result<TcpListener> {
        Registered::new(listener.into()).map(TcpListener)
    }

    /// The socket, with all of its options. It is non-blocking.
    pub fn as_socket(&self) -> &Socket {
        self.0.socket()
    }

    /// Its own address.
    pub fn local_addr(&self) -> Result<SocketAddr> {
        ip("local address", self.as_socket().local_address()?)
    }

    /// Waits for the next connection. Returns it and the peer's address.
    pub async fn accept(&self) -> Result<(TcpStream, SocketAddr)> {
        let accept = |socket: &Socket| socket.accept_with(libc::SOCK_NONBLOCK);
        let (socket, from) = self.0.run(Half::Read, accept).await?;
        let stream = TcpStream(Registered::of_nonblocking(socket)?);
        Ok((stream, ip("accept", from)?))
    }

    /// [`TcpListener::accept`] as a poll function.
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<Result<(TcpStream, SocketAddr)>> {
        let accept = |socket: &Socket| socket.accept_with(libc::SOCK_NONBLOCK);
        let (socket, from) = ready!(self.0.poll(cx, Half::Read, accept))?;
        let registered = Registered::of_nonblocking(socket);
        let accepted = registered.and_then(|it| Ok((TcpStream(it), ip("accept", from)?)));
        Poll::Ready(accepted)
    }
}
