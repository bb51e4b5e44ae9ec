//! [`Keeper`], [`keep`]: the process that mounts and unmounts on the host for the
//! confined server.
//!
//! ```text
//!  the process that serves DIR             its keeper                  drupe umount DIR
//!  ───────────────────────────             ──────────                  ────────────────
//!  mount  ───────────────────────────────▶ mount(2), fusermount3(1)
//!         ◀────────────── the FUSE device
//!                                          listens  ◀──────────────────── connect
//!                                                                         umount(2)
//!  result  ──────────────────────────────▶ passes it on  ────────────────▶ result
//! ```
//!
//! If the serving process dies, the mount stays and fails with ENOTCONN: otherwise
//! programs would write to the host's directory below it. Before [`Keeper::ready`], it is
//! unmounted.
//!
//! The maker of an image may take over the process that serves it. So the keeper knows
//! directory and source beforehand, mounts once, and accepts only requests to unmount
//! that, to log a line, and to pass on the result.

use std::io::{self, IoSlice, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;

use drupe::Errno;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::net::sockopt::socket_peercred;
use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix,
    SocketFlags, SocketType, send, sendmsg, socket_with, socketpair,
};

use crate::host_mount::{HostMount, HostOptions, receive};
use crate::options::Options;

/// Limit of a message in bytes; the longest are lines to log.
const LONGEST: usize = 4096;

// What begins a message to the keeper.
const MOUNT: u8 = b'm';
const DETACH: u8 = b'd';
const TAKE_AWAY: u8 = b't';
const READY: u8 = b'r';
const UNMOUNTED: u8 = b'u';
const LOG: u8 = b'l';
const ENDED: u8 = b'e';

/// The first byte of the keeper's answers, and its greeting to waiting processes.
pub(crate) const DONE: u8 = b'+';
const FAILED: u8 = b'-';

/// The result of a mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// The exit code of the process that served it.
    pub code: u8,
    /// Its error message; empty if there was no error.
    pub message: String,
}

/// The connection to a keeper, a process that runs [`keep`].
#[derive(Debug, Clone)]
pub struct Keeper(Arc<OwnedFd>);

impl Keeper {
    /// A new connection: this end, and the socket for the process that will be the
    /// keeper.
    ///
    /// # Errors
    /// Those of socketpair(2).
    pub fn pair() -> io::Result<(Keeper, OwnedFd)> {
        let (ours, theirs) = socketpair(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC,
            None,
        )?;
        Ok((Keeper(Arc::new(ours)), theirs))
    }

    pub(crate) fn attach(&self, read_only: bool, no_atime: bool) -> io::Result<OwnedFd> {
        self.say(&[MOUNT, read_only.into(), no_atime.into()])?;
        let mut answer = [0; LONGEST];
        let (len, device) = receive(&self.0, &mut answer)?;
        match (answer.get(..len).and_then(<[u8]>::split_first), device) {
            (Some((&DONE, _)), Some(device)) => Ok(device),
            (Some((&FAILED, why)), _) => Err(parse_error(why)),
            _ => Err(gone()),
        }
    }

    /// Unmounts, and waits until that is done, or the keeper has died.
    pub(crate) fn detach(&self) {
        self.ask(DETACH);
    }

    /// Detaches a mount that is not served.
    pub(crate) fn take_away(&self) {
        self.ask(TAKE_AWAY);
    }

    fn ask(&self, what: u8) {
        if self.say(&[what]).is_ok() {
            let _ = receive(&self.0, &mut [0]);
        }
    }

    /// Tells the keeper that the mount is in use: from now on it stays if this process
    /// dies. Before, the keeper unmounts it.
    pub fn ready(&self) {
        let _ = self.say(&[READY]);
    }

    /// Tells the keeper that the mount was unmounted, so that its number may belong to
    /// another mount.
    pub(crate) fn unmounted(&self) {
        let _ = self.say(&[UNMOUNTED]);
    }

    /// Sends a line to the `log` function of [`keep`].
    pub fn log(&self, line: &str) {
        let _ = self.say(&message(LOG, line.as_bytes()));
    }

    /// Sends the mount's result, which the keeper passes on to waiting processes. If this
    /// process ends without it, they are told that it has died.
    pub fn tell(&self, ended: &Ended) {
        let mut message = message(ENDED, &[ended.code]);
        message.extend(ended.message.bytes().take(LONGEST - message.len()));
        let _ = self.say(&message);
    }

    fn say(&self, message: &[u8]) -> io::Result<()> {
        // The keeper may have gone.
        match send(&*self.0, message, SendFlags::NOSIGNAL) {
            Ok(_) => Ok(()),
            Err(rustix::io::Errno::PIPE) => Err(gone()),
            Err(errno) => Err(errno.into()),
        }
    }
}

fn gone() -> io::Error {
    io::Error::other("the keeper process has ended")
}

fn message(kind: u8, text: &[u8]) -> Vec<u8> {
    let mut message = vec![kind];
    message.extend(text.iter().take(LONGEST - 1));
    message
}

/// Encodes an error: its number, or 0, and its text.
fn error_message(error: &io::Error) -> Vec<u8> {
    let number = error.raw_os_error().unwrap_or(0);
    let text = error.to_string();
    let mut message = message(FAILED, &number.to_ne_bytes());
    message.extend(text.bytes().take(LONGEST - message.len()));
    message
}

fn parse_error(message: &[u8]) -> io::Error {
    match message.split_first_chunk() {
        Some((&number, text)) => match i32::from_ne_bytes(number) {
            0 => io::Error::other(String::from_utf8_lossy(text).into_owned()),
            number => io::Error::from_raw_os_error(number),
        },
        None => gone(),
    }
}

/// The abstract addresses on which a mount's keeper may listen, made from the mount's
/// device number, which all users see in `/proc/self/mountinfo`. The first may be in use,
/// by another program or by the keeper of an earlier mount with the same number.
fn addresses(device: &str) -> impl Iterator<Item = io::Result<SocketAddr>> {
    (0..8).map(move |n| SocketAddr::from_abstract_name(format!("drupe-mount-{device}-{n}")))
}

/// The keeper's main function: mounts on `dir` and unmounts, as
/// [`Server::kept`](crate::Server::kept) at the other end of `socket` requests it.
/// Returns when that process has ended. Of `options`, only `source` and `allow_other` are
/// used. `log` is called with lines for the system's log.
///
/// # Errors
/// `dir` cannot be found; poll(2) fails.
pub fn keep(
    socket: OwnedFd,
    dir: &Path,
    options: &Options,
    log: &mut dyn FnMut(&str),
) -> io::Result<()> {
    let mut keeping = KeeperState {
        socket,
        mount: None,
        listener: None,
        waiting: Vec::new(),
        ready: false,
        ended: false,
    };
    let dir = dir.canonicalize()?;
    let mut message = [0; LONGEST];
    loop {
        let mut ready = vec![PollFd::new(&keeping.socket, PollFlags::IN)];
        if let Some(listener) = &keeping.listener {
            ready.push(PollFd::new(listener, PollFlags::IN));
        }
        match poll(&mut ready, None) {
            Err(rustix::io::Errno::INTR) => continue,
            result => result?,
        };
        let [asked, comes] = [0, 1].map(|n| {
            let found = ready.get(n).map(PollFd::revents);
            found.is_some_and(|events| !events.is_empty())
        });
        // Whoever came before the end is told of it.
        if comes {
            keeping.welcome();
        }
        if asked {
            let len = match receive(&keeping.socket, &mut message) {
                Ok((len @ 1.., _)) => len,
                _ => break,
            };
            keeping.serve(&message[..len], &dir, options, log);
        }
    }
    if let Some(mount) = &keeping.mount
        && !keeping.ended
    {
        if !keeping.ready {
            mount.take_away();
            return Ok(());
        }
        log(&format!(
            "{}: the process that served it has died, and what was not synced is lost",
            dir.display()
        ));
    }
    Ok(())
}

/// The state of a keeper.
struct KeeperState {
    socket: OwnedFd,
    mount: Option<HostMount>,
    listener: Option<UnixListener>,
    waiting: Vec<UnixStream>,
    /// Whether [`Keeper::ready`] was called.
    ready: bool,
    /// Whether the result was passed on.
    ended: bool,
}

impl KeeperState {
    fn serve(&mut self, message: &[u8], dir: &Path, options: &Options, log: &mut dyn FnMut(&str)) {
        match *message {
            [MOUNT, read_only, no_atime] if self.mount.is_none() => {
                let options = HostOptions {
                    source: &options.source,
                    read_only: read_only != 0,
                    no_atime: no_atime != 0,
                    allow_other: options.allow_other,
                };
                match HostMount::attach(dir, options) {
                    Ok((mount, device)) => {
                        self.listener = listen(&mount).ok();
                        self.mount = Some(mount);
                        self.hand_over(&device);
                    }
                    Err(error) => self.answer(&error_message(&error)),
                }
            }
            [how @ (DETACH | TAKE_AWAY)] => {
                match &self.mount {
                    Some(mount) if how == DETACH => mount.detach(),
                    Some(mount) => mount.take_away(),
                    None => {}
                }
                self.listener = None;
                self.answer(&[DONE]);
            }
            [READY] => self.ready = true,
            [UNMOUNTED] => self.listener = None,
            [LOG, ref line @ ..] => log(&String::from_utf8_lossy(line)),
            [ENDED, ref ended @ ..] => {
                self.ended = true;
                self.listener = None;
                for mut who in self.waiting.drain(..) {
                    // It may have gone.
                    let _ = who.write_all(ended);
                }
            }
            _ => {}
        }
    }

    fn answer(&self, message: &[u8]) {
        // Who asked may have gone: that is seen next.
        let _ = send(&self.socket, message, SendFlags::NOSIGNAL);
    }

    fn hand_over(&self, device: &OwnedFd) {
        let devices = [device.as_fd()];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        ancillary.push(SendAncillaryMessage::ScmRights(&devices));
        let parts = [IoSlice::new(&[DONE])];
        let _ = sendmsg(&self.socket, &parts, &mut ancillary, SendFlags::NOSIGNAL);
    }

    /// Accepts a process that waits for the result, if it belongs to the mount's user or
    /// root; else closes its connection.
    fn welcome(&mut self) {
        let Some(Ok((mut who, _))) = self.listener.as_ref().map(UnixListener::accept) else {
            return;
        };
        let user = socket_peercred(&who).map(|who| who.uid);
        let own = rustix::process::geteuid();
        if user.is_ok_and(|user| user.is_root() || user == own) && who.write_all(&[DONE]).is_ok() {
            self.waiting.push(who);
        }
    }
}

fn listen(mount: &HostMount) -> io::Result<UnixListener> {
    let device = mount.device_number()?;
    let mut tried = addresses(&device).map(|address| UnixListener::bind_addr(&address?));
    let free = tried.find(|tried| {
        let failed = tried.as_ref().err();
        failed.is_none_or(|error| error.kind() != io::ErrorKind::AddrInUse)
    });
    free.unwrap_or_else(|| Err(io::ErrorKind::AddrInUse.into()))
}

/// Waits for the result from a keeper. `None`: the serving process has died.
pub(crate) fn hear(mut keeper: UnixStream) -> io::Result<Option<Ended>> {
    let mut said = Vec::new();
    keeper.read_to_end(&mut said)?;
    Ok(said.split_first().map(|(&code, message)| Ended {
        code,
        message: String::from_utf8_lossy(message).into_owned(),
    }))
}

/// Connects to the keeper of the mount with this device number. `owner` is the user who
/// has mounted it.
///
/// # Errors ENOTCONN: that user has no such keeper; EACCES: the mount belongs to another
/// user.
pub(crate) fn connect(device: &str, owner: u32) -> Result<UnixStream, Errno> {
    let mut refused = Errno::NOTCONN;
    for address in addresses(device) {
        let Ok(mut stream) = address.and_then(|address| connect_at_once(&address)) else {
            continue;
        };
        // Anybody can listen at any address.
        let user = socket_peercred(&stream).map(|who| who.uid);
        if !user.is_ok_and(|user| user.is_root() || user.as_raw() == owner) {
            continue;
        }
        match stream.read_exact(&mut [0]) {
            Ok(()) => return Ok(stream),
            Err(_) => refused = Errno::ACCESS,
        }
    }
    Err(refused)
}

/// Connects without waiting for room in the backlog, since any program may be listening.
fn connect_at_once(address: &SocketAddr) -> io::Result<UnixStream> {
    let name = address.as_abstract_name().unwrap_or_default();
    let address = SocketAddrUnix::new_abstract_name(name)?;
    let (family, kind) = (AddressFamily::UNIX, SocketType::STREAM);
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(family, kind, flags, None)?;
    rustix::net::connect(&socket, &address)?;
    let stream = UnixStream::from(socket);
    stream.set_nonblocking(false)?;
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_come_through() {
        for error in [
            io::Error::from_raw_os_error(libc::EBUSY),
            io::Error::other("fusermount3: no such option"),
        ] {
            let message = error_message(&error);
            assert_eq!(message[0], FAILED);
            assert_eq!(parse_error(&message[1..]).to_string(), error.to_string());
        }
        assert_eq!(parse_error(b"").to_string(), gone().to_string());
    }

    #[test]
    fn nothing_is_mounted_by_what_is_none_of_its_messages() {
        let (keeper, socket) = Keeper::pair().expect("a pair");
        let mut logged = Vec::new();
        for message in [&b"m"[..], b"m\0", b"m\0\0\0", b"x", b"l\xff", b"d"] {
            keeper.say(message).expect("the other end is there");
        }
        keeper.log("line");
        keeper.tell(&Ended {
            code: 3,
            message: "x".repeat(2 * LONGEST),
        });
        // Its end is closed: the keeper comes to an end.
        let answers = Arc::clone(&keeper.0);
        rustix::net::shutdown(&answers, rustix::net::Shutdown::Write).expect("open");
        let options = Options::default();
        let dir = std::env::temp_dir();
        keep(socket, &dir, &options, &mut |line| {
            logged.push(line.to_owned())
        })
        .expect("ends");
        assert_eq!(logged, ["\u{fffd}", "line"]);
        let mut answer = [0; 2];
        assert_eq!(receive(&answers, &mut answer).expect("one answer").0, 1);
        assert_eq!(answer[0], DONE, "of detaching nothing");
        assert_eq!(receive(&answers, &mut answer).expect("no other").0, 0);
    }

    /// A listener with a full backlog is not waited for.
    #[test]
    fn a_listener_that_accepts_nobody() {
        let device = format!("test-{}", std::process::id());
        let name = format!("drupe-mount-{device}-0");
        let flags = SocketFlags::CLOEXEC;
        let (family, kind) = (AddressFamily::UNIX, SocketType::STREAM);
        let listener = socket_with(family, kind, flags, None).expect("a socket");
        let address = SocketAddrUnix::new_abstract_name(name.as_bytes()).expect("short");
        rustix::net::bind(&listener, &address).expect("free");
        rustix::net::listen(&listener, 0).expect("bound");
        let address = SocketAddr::from_abstract_name(&name).expect("short");
        let mut first = Vec::new();
        while let Ok(one) = connect_at_once(&address) {
            first.push(one);
        }
        assert!(!first.is_empty());
        let own = rustix::process::geteuid().as_raw();
        assert_eq!(connect(&device, own).err(), Some(Errno::NOTCONN));
    }

    #[test]
    fn who_waits_is_told() {
        let (mut told, waiting) = UnixStream::pair().expect("a pair");
        told.write_all(b"\x03full").expect("open");
        drop(told);
        let ended = hear(waiting).expect("readable").expect("told");
        assert_eq!((ended.code, &*ended.message), (3, "full"));
        let (told, waiting) = UnixStream::pair().expect("a pair");
        drop(told);
        assert_eq!(hear(waiting).expect("readable"), None);
    }
}
