//! [`Passt`]: the host's network without privileges, through the program passt
//! (Debian: `passt`; `passt(1)`).
//!
//! passt translates the kernel's packets into connections and datagrams of ordinary
//! sockets. It answers DHCP, and the kernel reaches the host itself as its gateway.
//! `stream.rs` has the protocol.

mod options;
mod stream;

use std::io::{self, IoSliceMut, Read, Seek};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use drupe_host::link::{Frame, FrameHeader, Link, LinkInfo, LinkWaker, Offloads};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::net::sockopt::{set_socket_send_buffer_size, set_socket_send_buffer_size_force};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType, connect, recv,
    send, socket_with, socketpair,
};

use crate::packet::MAX_FRAME;
use crate::{Error, Result};
pub use options::PasstOptions;
use stream::Stream;

/// Largest payload of a frame: passt takes no frame of more than 65,535 bytes.
const MTU: u32 = 65_520;

/// The kernel's hardware address behind a passt that was started here. passt is told it,
/// so that connections from the host work before the kernel has sent a frame.
const MAC: [u8; 6] = *b"\x02drupe";

/// The size of the socket's buffer in bytes, if the host allows it.
const SOCKET_BUFFER: usize = 4 << 20;

/// How long to wait for a new passt's answer; then it is used without one.
const PATIENCE: Duration = Duration::from_secs(2);

/// A link to passt. Checksums of sent frames are completed here; those of received frames
/// are not verified.
///
/// Known behaviour of the passt of March 2023 (Debian 12):
/// - A connection from the host reaches the kernel's server only when the client has sent
///   data, so a server that sends first waits for ever.
/// - Data that does not fit into the socket's buffer is lost, and sent again after two
///   seconds. The buffer is made as large as the host allows (`net.core.wmem_max`); where
///   that is less than the kernel's largest receive window (`net.ipv4.tcp_rmem`), smaller
///   windows are faster.
#[derive(Debug)]
pub struct Passt {
    // Before the child: its end has the socket closed.
    stream: Stream,
    mac: Option<[u8; 6]>,
    _child: Option<Running>,
}

impl Passt {
    /// Starts a passt for this link. It ends with the link, also if this process is
    /// killed.
    ///
    /// # Errors
    ///
    /// [`Error::Host`]: there is no such program, or it ends at once; the error has its
    /// message.
    pub fn spawn(options: &PasstOptions) -> Result<Passt> {
        let name = options.program.display().to_string();
        let failed = |error: io::Error| Error::host(name.clone(), error);
        let (ours, theirs) = socketpair(
            AddressFamily::UNIX,
            SocketType::STREAM,
            SocketFlags::CLOEXEC,
            None,
        )
        .map_err(|error| failed(error.into()))?;
        // A passt that listens does so for its end itself. What does not fit, it
        // drops, and notices after two seconds.
        enlarge(&theirs);
        let memory = memfd_create("drupe-passt", MemfdFlags::CLOEXEC);
        let mut said = std::fs::File::from(memory.map_err(|error| failed(error.into()))?);
        let mut command = Command::new(&options.program);
        // The socket is its standard input: no descriptor has to be passed on.
        command.args(["--foreground", "--quiet", "--fd", "0"]);
        command.args(options.arguments());
        command.stdin(theirs).stdout(Stdio::null());
        command.stderr(said.try_clone().map_err(failed)?);
        let mut child = command.spawn().map(Running).map_err(|error| {
            let found = error.kind() != io::ErrorKind::NotFound;
            match found {
                true => failed(error),
                false => Error::host(format!("{name} (Debian: package passt)"), error),
            }
        })?;
        // It has the other end of the socket.
        drop(command);
        if let Err(error) = hello(&ours) {
            child.end();
            let mut words = String::new();
            let _ = said.rewind();
            let _ = said.read_to_string(&mut words);
            let words = words.trim().replace('\n', "; ");
            use io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
            let error = match error.kind() {
                _ if !words.is_empty() => io::Error::other(words),
                BrokenPipe | ConnectionReset | UnexpectedEof => {
                    io::Error::other("it has ended at once")
                }
                _ => error,
            };
            return Err(failed(error));
        }
        Ok(Passt {
            stream: stream(ours).map_err(failed)?,
            mac: Some(MAC),
            _child: Some(child),
        })
    }

    /// Connects to the socket of a running passt (`passt --socket`).
    ///
    /// # Errors
    ///
    /// [`Error::Host`]: no program listens on the socket.
    pub fn connect(path: &Path) -> Result<Passt> {
        let connected = || -> io::Result<Stream> {
            let flags = SocketFlags::CLOEXEC;
            let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
            connect(&socket, &SocketAddrUnix::new(path)?)?;
            stream(socket)
        };
        let failed = |error| Error::host(format!("passt socket {}", path.display()), error);
        Ok(Passt {
            stream: connected().map_err(failed)?,
            mac: None,
            _child: None,
        })
    }

    /// Uses a connected stream socket whose other end speaks passt's protocol.
    ///
    /// # Errors
    ///
    /// [`Error::Host`]: the host is out of descriptors.
    pub fn from_socket(socket: OwnedFd) -> Result<Passt> {
        Ok(Passt {
            stream: stream(socket).map_err(|error| Error::host("passt socket", error))?,
            mac: None,
            _child: None,
        })
    }
}

fn stream(socket: OwnedFd) -> io::Result<Stream> {
    enlarge(&socket);
    Stream::new(socket)
}

/// Enlarges the send buffer. On a Unix socket it also holds data that the peer has not
/// received.
fn enlarge(socket: &OwnedFd) {
    // Beyond the host's bound (net.core.wmem_max) it takes a privilege; a
    // smaller one does too.
    if set_socket_send_buffer_size_force(socket, SOCKET_BUFFER).is_err() {
        let _ = set_socket_send_buffer_size(socket, SOCKET_BUFFER);
    }
}

/// Sends an ARP request to a new passt and waits for the answer, to notice one that
/// cannot run. It answers ARP for any address except the kernel's.
fn hello(socket: &OwnedFd) -> io::Result<()> {
    let mut request = vec![0, 0, 0, 42];
    request.extend([0xff; 6]);
    request.extend(MAC);
    request.extend([8, 6, 0, 1, 8, 0, 6, 4, 0, 1]);
    request.extend(MAC);
    request.extend([169, 254, 0, 2]);
    request.extend([0; 6]);
    request.extend([169, 254, 0, 1]);
    send(socket, &request, SendFlags::NOSIGNAL)?;
    let deadline = Instant::now() + PATIENCE;
    let mut answer = Vec::new();
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left).unwrap_or_default();
        let fds = &mut [PollFd::new(socket, PollFlags::IN)];
        match poll(fds, Some(&left)) {
            Err(rustix::io::Errno::INTR) => continue,
            result => result?,
        };
        if fds[0].revents().is_empty() {
            // One that speaks IPv6 only may not answer.
            return Ok(());
        }
        // No more than the rest of a frame: what follows is the kernel's.
        let wanted = match answer.first_chunk::<4>() {
            None => 4 - answer.len(),
            Some(len) => match u32::from_be_bytes(*len) as usize {
                len @ ..=MAX_FRAME => 4 + len - answer.len(),
                _ => return Err(io::Error::other("it does not speak passt's protocol")),
            },
        };
        let mut some = [0; 2048];
        let some = &mut some[..wanted.min(2048)];
        let (len, _) = recv(socket, &mut *some, RecvFlags::DONTWAIT)?;
        if len == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        answer.extend_from_slice(&some[..len]);
        let whole = answer
            .first_chunk::<4>()
            .is_some_and(|len| answer.len() == 4 + u32::from_be_bytes(*len) as usize);
        if whole && answer.get(16..18) == Some(&[8, 6]) {
            return Ok(());
        }
        if whole {
            answer.clear();
        }
    }
}

/// A child process that is killed and waited for when dropped.
#[derive(Debug)]
struct Running(Child);

impl Running {
    fn end(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}

impl Link for Passt {
    fn info(&self) -> LinkInfo {
        LinkInfo {
            mac: self.mac,
            mtu: MTU,
            offloads: Offloads {
                checksum: true,
                tso: false,
                uso: false,
            },
        }
    }

    fn attach(&self, waker: LinkWaker) {
        self.stream.attach(waker);
    }

    fn send(&self, frames: &[Frame<'_>]) -> usize {
        self.stream.send(frames)
    }

    fn receive(&self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<Option<(usize, FrameHeader)>> {
        self.stream.receive(buffers)
    }

    fn detach(&self) {
        self.stream.detach();
    }
}
