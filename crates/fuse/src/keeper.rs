//! [`Keeper`], [`keep`]: a process that mounts on the host, and unmounts, for one that
//! has given up the right to.
//!
//! ```text
//!  the process that serves DIR             its keeper                  drupe umount DIR
//!  ───────────────────────────             ──────────                  ────────────────
//!  mount  ───────────────────────────────▶ mount(2), fusermount3(1)
//!         ◀────────────── the FUSE device
//!                                          listens  ◀──────────────────── who waits
//!                                                                         umount(2)
//!  how it ended  ────────────────────────▶ tells  ───────────────────────▶ that
//! ```
//!
//! A mount whose process has died stays, and says ENOTCONN: without it, whoever writes to
//! it would write to the host's directory below. One that nobody has been told of goes.
//!
//! What the kernel in the first process makes of an image may be whatever the image's
//! maker wants. So the keeper knows beforehand where it mounts and what the source is
//! called, mounts once, and does nothing else that is asked but to unmount that, to log,
//! and to tell those who wait.

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

/// The longest message: one that is logged.
const LONGEST: usize = 4096;

// What begins a message to the keeper.
const MOUNT: u8 = b'm';
const DETACH: u8 = b'd';
const TAKE_AWAY: u8 = b't';
const READY: u8 = b'r';
const UNMOUNTED: u8 = b'u';
const LOG: u8 = b'l';
const ENDED: u8 = b'e';

/// What begins its answers, and what it says to those who wait.
pub(crate) const DONE: u8 = b'+';
const FAILED: u8 = b'-';

/// How a mount has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// The exit code of the process that served it.
    pub code: u8,
    /// What it had to say: nothing, if all is well.
    pub message: String,
}

/// The way to a keeper, a process that calls [`keep`].
#[derive(Debug, Clone)]
pub struct Keeper(Arc<OwnedFd>);

impl Keeper {
    /// The two ends: this one, and that of the process that is to be the keeper.
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

    /// Returns when it is done. A keeper that has gone cannot be helped.
    pub(crate) fn detach(&self) {
        self.ask(DETACH);
    }

    /// The same of a mount that is not served.
    pub(crate) fn take_away(&self) {
        self.ask(TAKE_AWAY);
    }

    fn ask(&self, what: u8) {
        if self.say(&[what]).is_ok() {
            let _ = receive(&self.0, &mut [0]);
        }
    }

    /// Says that somebody may rely on the mount: it stays from now on, even if this process
    /// dies. Until then the keeper takes it away.
    pub fn ready(&self) {
        let _ = self.say(&[READY]);
    }

    /// Says that somebody has unmounted it, so that its number may be another mount's.
    pub(crate) fn unmounted(&self) {
        let _ = self.say(&[UNMOUNTED]);
    }

    /// Hands `log` of [`keep`] a line.
    pub fn log(&self, line: &str) {
        let _ = self.say(&message(LOG, line.as_bytes()));
    }

    /// Says how the mount has ended, which the keeper passes on to those who wait for
    /// that. What ends without is taken for dead.
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
    io::Error::other("the process that mounts for this one has gone")
}

fn message(kind: u8, text: &[u8]) -> Vec<u8> {
    let mut message = vec![kind];
    message.extend(text.iter().take(LONGEST - 1));
    message
}

/// An error as a message: its number, or 0, and what it says.
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

/// Where the keeper of a mount listens for those who wait: one of some abstract
/// addresses, by the number of the mount's device, which `/proc/self/mountinfo` shows to
/// all. The first may be in use: by somebody who has no right to, or by a keeper that is
/// about to hear that its mount, of the same number, is gone.
fn addresses(device: &str) -> impl Iterator<Item = io::Result<SocketAddr>> {
    (0..8).map(move |n| SocketAddr::from_abstract_name(format!("drupe-mount-{device}-{n}")))
}

/// Mounts on `dir` when [`Server::kept`](crate::Server::kept) at the other end of
/// `socket` wants it, and unmounts. Returns when that process has gone.
/// Of `options`, it needs `source` and `allow_other`. `log` is given lines for the
/// system's log.
///
/// # Errors
/// `dir` cannot be found; poll(2) fails.
pub fn keep(
    socket: OwnedFd,
    dir: &Path,
    options: &Options,
    log: &mut dyn FnMut(&str),
) -> io::Result<()> {
    let mut keeping = Keeping {
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

/// What a keeper has.
struct Keeping {
    socket: OwnedFd,
    mount: Option<HostMount>,
    listener: Option<UnixListener>,
    waiting: Vec<UnixStream>,
    /// Somebody may rely on it.
    ready: bool,
    /// The end was told.
    ended: bool,
}

impl Keeping {
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

    /// Takes in one who wants to know how the mount ends: its user, or root. Others
    /// see the connection closed.
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

/// What a keeper says at last to one who waits. `None`: nothing, since what it kept has
/// died.
pub(crate) fn hear(mut keeper: UnixStream) -> io::Result<Option<Ended>> {
    let mut said = Vec::new();
    keeper.read_to_end(&mut said)?;
    Ok(said.split_first().map(|(&code, message)| Ended {
        code,
        message: String::from_utf8_lossy(message).into_owned(),
    }))
}

/// The keeper of the mount with this device, which takes its caller in. `owner` is who
/// has mounted it.
///
/// # Errors
/// ENOTCONN: there is none, at least none of that user's; EACCES: it belongs to somebody
/// else.
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

/// Connects without waiting for a place among those who wait: who listens may be anybody.
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

    /// Nobody is waited for who has no place left for those that come.
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
