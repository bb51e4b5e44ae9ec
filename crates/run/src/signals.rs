//! [`Signals`]: receives signals that are meant for the program, to forward them.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;

use crate::listener::last_error;
use crate::target::owned;

/// The signals that this process blocks and reads from a signalfd.
pub(crate) struct Signals {
    fd: OwnedFd,
    /// The signal mask from before.
    before: libc::sigset_t,
}

impl Signals {
    /// Blocks the signals, also for threads that are started later.
    pub(crate) fn take_over() -> Result<Signals, Errno> {
        // SAFETY: signal sets are filled in by these calls, and then read.
        let (fd, before) = unsafe {
            let mut ours: libc::sigset_t = std::mem::zeroed();
            let mut before: libc::sigset_t = std::mem::zeroed();
            libc::sigemptyset(&mut ours);
            for signal in [libc::SIGINT, libc::SIGQUIT, libc::SIGTERM, libc::SIGHUP] {
                libc::sigaddset(&mut ours, signal);
            }
            libc::pthread_sigmask(libc::SIG_BLOCK, &ours, &mut before);
            let flags = libc::SFD_CLOEXEC | libc::SFD_NONBLOCK;
            (libc::signalfd(-1, &ours, flags), before)
        };
        match fd {
            -1 => Err(last_error()),
            fd => Ok(Signals {
                // SAFETY: it has just been made.
                fd: unsafe { owned(fd) },
                before,
            }),
        }
    }

    /// The signal mask for the program.
    pub(crate) fn before(&self) -> libc::sigset_t {
        self.before
    }

    /// The signals that have come and must be forwarded. SIGINT and SIGQUIT are left out:
    /// a terminal sends them to the whole process group, so the program gets them itself.
    pub(crate) fn take(&self) -> Vec<i32> {
        let mut all = Vec::new();
        let mut bytes = [0; size_of::<libc::signalfd_siginfo>()];
        while rustix::io::read(&self.fd, &mut bytes) == Ok(bytes.len()) {
            // The number is the first field.
            let signal = i32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
            if matches!(signal, libc::SIGTERM | libc::SIGHUP) {
                all.push(signal);
            }
        }
        all
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
