//! [`Socket`]: a stream of bytes to and from a server, with time limits.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use drupe_host::names;
use rustix::io::Errno;
use rustix::net::sockopt::{
    Timeout, set_socket_keepalive, set_socket_timeout, set_tcp_keepcnt, set_tcp_keepidle,
    set_tcp_keepintvl, set_tcp_nodelay,
};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvFlags, SendAncillaryBuffer, SendFlags, Shutdown,
    SocketAddrUnix, SocketFlags, SocketType, connect, recvmsg, sendmsg, shutdown, socket_with,
};

/// How long a server may be silent once `given_up` is set.
const GRACE: Duration = Duration::from_millis(500);
/// How often `given_up` is checked.
const LOOK: Duration = Duration::from_millis(100);

/// A connected socket.
pub(super) struct Socket {
    fd: OwnedFd,
    /// How long one step of sending or receiving may take, if `given_up` is used.
    patience: Duration,
    /// Set by the program when it wants to end: then the server may be silent for
    /// [`GRACE`] only.
    given_up: Option<Arc<AtomicBool>>,
}

impl Socket {
    /// For fuzz targets.
    #[cfg(feature = "fuzzing")]
    pub(super) fn connected(socket: OwnedFd) -> Socket {
        Socket::new(socket)
    }

    /// Connects to a TCP server, by its first address that answers.
    pub(super) fn tcp(host: &str, port: u16, patience: Duration) -> io::Result<Socket> {
        let deadline = Instant::now() + patience;
        let mut result = Err(io::ErrorKind::AddrNotAvailable.into());
        for address in names::lookup(host, port)? {
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
        let socket = Socket::new(socket);
        socket.set_patience(patience)?;
        Ok(socket)
    }

    /// Connects to a server on this machine.
    pub(super) fn unix(path: &Path, patience: Duration) -> io::Result<Socket> {
        let flags = SocketFlags::CLOEXEC;
        let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        let socket = Socket::new(socket);
        socket.set_patience(patience)?;
        connect(&socket.fd, &SocketAddrUnix::new(path)?)?;
        Ok(socket)
    }

    fn new(fd: OwnedFd) -> Socket {
        Socket {
            fd,
            patience: Duration::MAX,
            given_up: None,
        }
    }

    /// Sets how long one step of sending or receiving may take.
    pub(super) fn set_patience(&self, patience: Duration) -> io::Result<()> {
        set_socket_timeout(&self.fd, Timeout::Recv, Some(patience))?;
        set_socket_timeout(&self.fd, Timeout::Send, Some(patience))?;
        Ok(())
    }

    /// Sets how long one step may take: `patience`, or [`GRACE`] once `given_up` is true.
    pub(super) fn set_patience_until(
        &mut self,
        patience: Duration,
        given_up: Arc<AtomicBool>,
    ) -> io::Result<()> {
        self.set_patience(LOOK.min(patience))?;
        self.patience = patience;
        self.given_up = Some(given_up);
        Ok(())
    }

    /// Whether to continue waiting after a timeout. `begun`: when the waiting began.
    fn waits_on(&self, begun: &mut Option<Instant>) -> bool {
        let Some(given_up) = &self.given_up else {
            return false;
        };
        let waited = begun.get_or_insert_with(|| Instant::now() - LOOK).elapsed();
        let patience = match given_up.load(Ordering::Relaxed) {
            true => GRACE.min(self.patience),
            false => self.patience,
        };
        waited < patience
    }

    /// Sends all of `parts`, without raising `SIGPIPE`.
    pub(super) fn send(&self, mut parts: &mut [IoSlice<'_>]) -> io::Result<()> {
        IoSlice::advance_slices(&mut parts, 0);
        let mut begun = None;
        while !parts.is_empty() {
            // IOV_MAX bounds what one call takes.
            let some = &parts[..parts.len().min(1024)];
            let mut none = SendAncillaryBuffer::default();
            match sendmsg(&self.fd, some, &mut none, SendFlags::NOSIGNAL) {
                Ok(n) => {
                    IoSlice::advance_slices(&mut parts, n);
                    begun = None;
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) if self.waits_on(&mut begun) => {}
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

    /// Receives at least one byte. Returns how many.
    pub(super) fn receive_some(&self, parts: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        let mut begun = None;
        loop {
            let mut none = RecvAncillaryBuffer::default();
            match recvmsg(&self.fd, parts, &mut none, RecvFlags::empty()) {
                Ok(message) if message.bytes == 0 => {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                Ok(message) => return Ok(message.bytes),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) if self.waits_on(&mut begun) => {}
                Err(error) => return Err(timed_out(error)),
            }
        }
    }

    /// Shuts the socket down, which ends other threads' sending and receiving.
    pub(super) fn shut_down(&self) {
        let _ = shutdown(&self.fd, Shutdown::Both);
    }
}

fn timed_out(error: Errno) -> io::Error {
    match error {
        Errno::AGAIN => io::ErrorKind::TimedOut.into(),
        error => error.into(),
    }
}
