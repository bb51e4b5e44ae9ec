//! [`Keeper`]: the process between supervisor and program, which kills the program's
//! processes at the end.
//!
//! It adopts orphans of the program (`PR_SET_CHILD_SUBREAPER`), and kills them all when
//! the supervisor says so or dies. If the keeper is killed, the program dies with it
//! (`PR_SET_PDEATHSIG`), and the supervisor adopts and kills the others.
//!
//! It is forked before the kernel is booted, and has one thread.

use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, Shutdown, SocketFlags, SocketType, recv, send, shutdown,
    socketpair,
};
use rustix::process::{
    Pid, PidfdFlags, PidfdGetfdFlags, Signal, pidfd_getfd, pidfd_open, pidfd_send_signal,
};

use crate::error::{Error, Result, WithOperation};
use crate::listener::{Listener, last_error};
use crate::program::{self, hello_bytes, hello_from};
use crate::target::owned;

/// Kinds of the keeper's messages about the program, each with a number.
const STARTED: i32 = 0;
const FAILED: i32 = 1;
const ENDED: i32 = 2;

/// The supervisor's handle to the keeper.
pub(crate) struct Keeper {
    control: OwnedFd,
    handshake: OwnedFd,
    pid: libc::pid_t,
    program: String,
}

/// A program that has been started.
pub(crate) struct Started {
    pub(crate) listener: Listener,
    /// A pidfd, for signals.
    pub(crate) process: OwnedFd,
}

impl Keeper {
    /// Forks the keeper. The calling process must have one thread.
    pub(crate) fn fork(command: Command, mask: libc::sigset_t) -> Result<Keeper> {
        // We adopt what the keeper leaves, if it is killed.
        rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
            .doing("cannot adopt processes")?;
        let pair = || {
            let flags = SocketFlags::CLOEXEC;
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)
        };
        let (control, theirs) = pair().doing("cannot make a socket pair")?;
        let (handshake, programs) = pair().doing("cannot make a socket pair")?;
        let program = command.get_program().to_string_lossy().into_owned();
        // SAFETY: there is one thread, so the child can do what we can.
        match unsafe { libc::fork() } {
            -1 => Err(io::Error::from(last_error())).doing("cannot fork"),
            0 => {
                drop((control, handshake));
                keep(command, &theirs, &programs, mask);
                // SAFETY: ends this process, without what the parent has
                // registered for its own end.
                unsafe { libc::_exit(0) }
            }
            pid => Ok(Keeper {
                control,
                handshake,
                pid,
                program,
            }),
        }
    }

    /// Makes the keeper start the program.
    pub(crate) fn start(&self) -> Result<Started> {
        send(&self.control, b"g", SendFlags::NOSIGNAL).doing("cannot reach the keeper")?;
        let mut fds = [
            PollFd::new(&self.handshake, PollFlags::IN),
            PollFd::new(&self.control, PollFlags::IN),
        ];
        while let Err(errno) = poll(&mut fds, None) {
            if errno != Errno::INTR {
                return Err(errno).doing("cannot wait for the program");
            }
        }
        let mut started = None;
        if fds[0].revents().contains(PollFlags::IN) {
            started = Some(self.take_listener()?);
        }
        match (self.said(), started) {
            (Some([STARTED, _]), Some(started)) => Ok(started),
            (Some([FAILED, errno]), _) => Err(self.failed(io::Error::from_raw_os_error(errno))),
            _ => Err(io::Error::from(Errno::CHILD)).doing("the keeper has ended"),
        }
    }

    fn failed(&self, error: io::Error) -> Error {
        let program = self.program.clone();
        match error.kind() {
            io::ErrorKind::NotFound => Error::NotFound { program },
            _ => Error::NotRunnable { program, error },
        }
    }

    fn take_listener(&self) -> Result<Started> {
        let mut bytes = [0; 8];
        recv(&self.handshake, &mut bytes, RecvFlags::empty()).doing("cannot hear the program")?;
        let [number, process] = hello_from(bytes);
        if number < 0 {
            let errno = Errno::from_raw_os_error(-number);
            let why = match errno {
                Errno::BUSY => {
                    "it is within such a program already (drupe run in drupe run?)".into()
                }
                Errno::INVAL | Errno::NOSYS => "Linux 5.14 or later is needed".into(),
                errno => io::Error::from(errno).to_string(),
            };
            return Err(Error::NoFilter { why });
        }
        let take = || -> Result<(OwnedFd, OwnedFd), Errno> {
            let pid = Pid::from_raw(process).ok_or(Errno::SRCH)?;
            let process = pidfd_open(pid, PidfdFlags::empty())?;
            let listener = pidfd_getfd(&process, number, PidfdGetfdFlags::empty())?;
            Ok((listener, process))
        };
        let (listener, process) = take().map_err(|errno| Error::NoFilter {
            why: format!("pidfd_getfd: {}", io::Error::from(errno)),
        })?;
        send(&self.handshake, b"k", SendFlags::NOSIGNAL).doing("cannot reach the program")?;
        Ok(Started {
            listener: Listener::new(listener),
            process,
        })
    }

    /// The keeper's next message; `None`: it has ended.
    fn said(&self) -> Option<program::Hello> {
        let mut bytes = [0; 8];
        loop {
            match recv(&self.control, &mut bytes, RecvFlags::empty()) {
                Ok((8, _)) => return Some(hello_from(bytes)),
                Err(Errno::INTR) => {}
                _ => return None,
            }
        }
    }

    /// The program's exit status, once [`Keeper::as_fd`] is readable. `None`: the keeper
    /// itself was killed.
    pub(crate) fn ended(&self) -> Option<ExitStatus> {
        match self.said() {
            Some([ENDED, status]) => Some(ExitStatus::from_raw(status)),
            _ => None,
        }
    }

    /// Kills all processes of the program, and waits until they have ended.
    pub(crate) fn finish(&mut self) {
        if self.pid == 0 {
            return;
        }
        let _ = send(&self.control, b"e", SendFlags::NOSIGNAL);
        // A program that waits there, because of an error here, waits no more.
        let _ = shutdown(&self.handshake, Shutdown::Both);
        let mut status = 0;
        // SAFETY: waits for our own child, and writes an int.
        unsafe { libc::waitpid(self.pid, &mut status, 0) };
        self.pid = 0;
        if libc::WIFSIGNALED(status) {
            // We have what it had.
            kill_children();
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.finish();
    }
}

impl AsFd for Keeper {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.control.as_fd()
    }
}

/// Sends a signal to the program.
pub(crate) fn forward(process: &OwnedFd, signal: i32) {
    if let Some(signal) = Signal::from_named_raw(signal) {
        // It may have ended.
        let _ = pidfd_send_signal(process, signal);
    }
}

/// The keeper's main function.
fn keep(command: Command, control: &OwnedFd, handshake: &OwnedFd, mask: libc::sigset_t) {
    // What is sent to all of the terminal's group is for the program.
    let Ok(children) = watch_children() else {
        return;
    };
    if rustix::process::set_child_subreaper(Some(rustix::process::getpid())).is_err()
        || !heard(control)
    {
        return;
    }
    let say = |kind, value| {
        let _ = send(control, &hello_bytes([kind, value]), SendFlags::NOSIGNAL);
    };
    let child = match program::start(command, handshake, mask) {
        Ok(child) => child,
        Err(error) => return say(FAILED, error.raw_os_error().unwrap_or(libc::EIO)),
    };
    say(STARTED, 0);
    let program = child.id() as libc::pid_t;
    loop {
        let mut fds = [
            PollFd::new(control, PollFlags::IN),
            PollFd::new(&children, PollFlags::IN),
        ];
        let waited = poll(&mut fds, None);
        if waited.is_err_and(|errno| errno != Errno::INTR) || !fds[0].revents().is_empty() {
            break;
        }
        // The signals themselves say nothing that waiting does not.
        let mut signals = [0; 1024];
        let _ = rustix::io::read(&children, &mut signals);
        while let Some((pid, status)) = reap(libc::WNOHANG) {
            if pid == program {
                say(ENDED, status);
            }
        }
    }
    kill_children();
}

/// Waits for "go". `false`: the supervisor has ended.
fn heard(control: &OwnedFd) -> bool {
    let mut byte = [0];
    loop {
        match recv(control, &mut byte, RecvFlags::empty()) {
            Ok((len, _)) => return len == 1 && byte == *b"g",
            Err(Errno::INTR) => {}
            Err(_) => return false,
        }
    }
}

/// Blocks all signals except those of job control. Returns a signalfd that tells of ended
/// children.
fn watch_children() -> Result<OwnedFd, Errno> {
    // SAFETY: signal sets are filled in by these calls, and then read.
    let fd = unsafe {
        let mut all: libc::sigset_t = std::mem::zeroed();
        libc::sigfillset(&mut all);
        for signal in [libc::SIGTSTP, libc::SIGTTIN, libc::SIGTTOU, libc::SIGCONT] {
            libc::sigdelset(&mut all, signal);
        }
        libc::sigprocmask(libc::SIG_BLOCK, &all, std::ptr::null_mut());
        let mut child: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut child);
        libc::sigaddset(&mut child, libc::SIGCHLD);
        libc::signalfd(-1, &child, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK)
    };
    match fd {
        -1 => Err(last_error()),
        // SAFETY: it has just been made.
        fd => Ok(unsafe { owned(fd) }),
    }
}

/// Waits for any child.
fn reap(flags: i32) -> Option<(libc::pid_t, i32)> {
    let mut status = 0;
    // SAFETY: writes an int.
    let pid = unsafe { libc::waitpid(-1, &mut status, flags) };
    (pid > 0).then_some((pid, status))
}

/// Kills all children and their descendants, which this process adopts as orphans.
fn kill_children() {
    loop {
        for child in children() {
            // SAFETY: a child that nobody has waited for keeps its number.
            unsafe { libc::kill(child, libc::SIGKILL) };
        }
        if reap(0).is_none() {
            break;
        }
    }
}

/// The children of this thread, or of the process if it has no other.
fn children() -> Vec<libc::pid_t> {
    let mut all = Vec::new();
    let Ok(threads) = fs::read_dir("/proc/self/task") else {
        return all;
    };
    for thread in threads.flatten() {
        let text = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
        all.extend(
            text.split_whitespace()
                .filter_map(|pid| pid.parse::<i32>().ok()),
        );
    }
    all
}
