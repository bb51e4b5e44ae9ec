//! [`Socket`]: a stream of bytes to and from a server, with time limits.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::sockopt::{
    Timeout, set_socket_keepalive, set_socket_timeout, set_tcp_keepcnt, set_tcp_keepidle,
    set_tcp_keepintvl, set_tcp_nodelay,
};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvFlags, SendAncillaryBuffer, SendFlags, Shutdown,
    SocketAddrUnix, SocketFlags, SocketType, connect, recvmsg, sendmsg, shutdown, socket_with,
};

/// A connected socket.
pub(super) struct Socket(OwnedFd);

impl Socket {
    /// For fuzz targets.
    #[cfg(feature = "fuzzing")]
    pub(super) fn connected(socket: OwnedFd) -> Socket {
        Socket(socket)
    }

    /// Connects to a TCP server, by its first address that answers.
    pub(super) fn tcp(host: &str, port: u16, patience: Duration) -> io::Result<Socket> {
        let deadline = Instant::now() + patience;
        let mut result = Err(io::ErrorKind::AddrNotAvailable.into());
        for address in (host, port).to_socket_addrs()? {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            result = TcpStream::connect_timeout(&address, left);
            if result.is_ok() {
                break;
            }
        }
        let socket = OwnedFd::from(result?);
        set_tcp_nodelay(&socket, true)?;
        // A server whose machine is gone is noticed within half a minute.
        set_socket_keepalive(&socket, true)?;
        set_tcp_keepidle(&socket, Duration::from_secs(10))?;
        set_tcp_keepintvl(&socket, Duration::from_secs(5))?;
        set_tcp_keepcnt(&socket, 4)?;
        let socket = Socket(socket);
        socket.set_patience(patience)?;
        Ok(socket)
    }

    /// Connects to a server on this machine.
    pub(super) fn unix(path: &Path, patience: Duration) -> io::Result<Socket> {
        let flags = SocketFlags::CLOEXEC;
        let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        let socket = Socket(socket);
        socket.set_patience(patience)?;
        connect(&socket.0, &SocketAddrUnix::new(path)?)?;
        Ok(socket)
    }

    /// How long one step of sending or receiving may take.
    pub(super) fn set_patience(&self, patience: Duration) -> io::Result<()> {
        set_socket_timeout(&self.0, Timeout::Recv, Some(patience))?;
        set_socket_timeout(&self.0, Timeout::Send, Some(patience))?;
        Ok(())
    }

    /// Sends all of `parts`. A server that is gone raises no signal.
    pub(super) fn send(&self, mut parts: &mut [IoSlice<'_>]) -> io::Result<()> {
        IoSlice::advance_slices(&mut parts, 0);
        while !parts.is_empty() {
            // IOV_MAX bounds what one call takes.
            let some = &parts[..parts.len().min(1024)];
            let mut none = SendAncillaryBuffer::default();
            match sendmsg(&self.0, some, &mut none, SendFlags::NOSIGNAL) {
                Ok(n) => IoSlice::advance_slices(&mut parts, n),
                Err(Errno::INTR) => {}
                Err(error) => return Err(timed_out(error)),
            }
        }
        Ok(())
    }

    /// Fills all of `parts`.
    pub(super) fn receive(&self, mut parts: &mut [IoSliceMut<'_>]) -> io::Result<()> {
        IoSliceMut::advance_slices(&mut parts, 0);
        while !parts.is_empty() {
            let count = parts.len().min(1024);
            let len = self.receive_some(&mut parts[..count])?;
            IoSliceMut::advance_slices(&mut parts, len);
        }
        Ok(())
    }

    /// Receives at least one byte; how many.
    pub(super) fn receive_some(&self, parts: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        loop {
            let mut none = RecvAncillaryBuffer::default();
            match recvmsg(&self.0, parts, &mut none, RecvFlags::empty()) {
                Ok(message) if message.bytes == 0 => {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                Ok(message) => return Ok(message.bytes),
                Err(Errno::INTR) => {}
                Err(error) => return Err(timed_out(error)),
            }
        }
    }

    /// Ends what other threads send and receive.
    pub(super) fn shut_down(&self) {
        let _ = shutdown(&self.0, Shutdown::Both);
    }
}

fn timed_out(error: Errno) -> io::Error {
    match error {
        Errno::AGAIN => io::ErrorKind::TimedOut.into(),
        error => error.into(),
    }
}
