//! Starts the program with its seccomp filter, and so that it dies with its parent.
//!
//! ```text
//!  supervisor ── fork ──▶ keeper ── fork ──▶ program
//!      │  "go"              │                  │ filter installed: "here is its number"
//!      │ ◀───────────────── handshake ─────────┘
//!      │  pidfd_getfd       │
//!      └─────────────────── handshake ────────▶│ exec
//! ```
//!
//! The filter is installed before exec. By then the listener was passed to the
//! supervisor, and the process's own descriptor of it is closed on exec.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};

use libc::{sock_filter, sock_fprog};
use rustix::io::Errno;

use crate::filter::filter;
use crate::listener::last_error;

/// The program's message in the handshake: the number of its listener, or a negative
/// error; and its process ID.
pub(crate) type Hello = [i32; 2];

pub(crate) fn hello_bytes(hello: Hello) -> [u8; 8] {
    let mut bytes = [0; 8];
    bytes[..4].copy_from_slice(&hello[0].to_ne_bytes());
    bytes[4..].copy_from_slice(&hello[1].to_ne_bytes());
    bytes
}

pub(crate) fn hello_from(bytes: [u8; 8]) -> Hello {
    let word = |at: usize| i32::from_ne_bytes([0, 1, 2, 3].map(|i| bytes[at + i]));
    [word(0), word(4)]
}

/// Starts `command` as a child of this process, which must be single-threaded,
/// with the signal mask `mask`.
pub(crate) fn start(
    mut command: Command,
    handshake: &OwnedFd,
    mask: libc::sigset_t,
) -> io::Result<Child> {
    let code = filter();
    let handshake = handshake.as_raw_fd();
    let parent = std::process::id();
    // SAFETY: the closure only makes system calls, and allocates nothing.
    unsafe { command.pre_exec(move || prepare(&code, handshake, parent, &mask)) };
    command.spawn()
}

/// Runs in the new process, before exec.
fn prepare(
    code: &[sock_filter],
    handshake: RawFd,
    parent: u32,
    mask: &libc::sigset_t,
) -> io::Result<()> {
    // SAFETY: these take numbers, and a signal set that is there.
    unsafe {
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        if libc::getppid() as u32 != parent {
            return Err(Errno::SRCH.into());
        }
        libc::sigprocmask(libc::SIG_SETMASK, mask, std::ptr::null_mut());
    }
    let listener = install(code).unwrap_or_else(|errno| -errno.raw_os_error());
    // SAFETY: takes nothing.
    let process = unsafe { libc::getpid() };
    let hello = hello_bytes([listener, process]);
    // SAFETY: reads and writes the buffers.
    let done = unsafe {
        let said = libc::write(handshake, hello.as_ptr().cast(), hello.len());
        let mut taken = 0_u8;
        said == 8 && libc::read(handshake, (&raw mut taken).cast(), 1) == 1
    };
    match done && listener >= 0 {
        true => Ok(()),
        false => Err(Errno::PERM.into()),
    }
}

/// Installs the filter for this process and its descendants. Returns the descriptor of
/// its listener.
fn install(code: &[sock_filter]) -> Result<i32, Errno> {
    let program = sock_fprog {
        len: code.len() as u16,
        filter: code.as_ptr().cast_mut(),
    };
    // SAFETY: these take numbers, and a program that is there.
    let listener = unsafe {
        if libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 {
            return Err(last_error());
        }
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            libc::SECCOMP_FILTER_FLAG_NEW_LISTENER,
            &raw const program,
        )
    };
    match i32::try_from(listener) {
        Ok(listener @ 0..) => Ok(listener),
        _ => Err(last_error()),
    }
}
