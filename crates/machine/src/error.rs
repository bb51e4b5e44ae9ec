//! [`Error`]: why a call into a kernel failed; [`DeathReport`].

use drupe_abi::Errno;
use std::sync::Arc;

/// Why a call into a kernel failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The kernel answered with an error.
    #[error("{0}")]
    Errno(Errno),
    /// The kernel has been halted.
    #[error("the kernel has been halted")]
    Halted,
    /// The kernel died: a panic, a `BUG()` or an invalid memory access. All later calls
    /// return this.
    #[error("the kernel died: {}", .0.message)]
    Dead(Arc<DeathReport>),
    /// The calling thread is already in a kernel: it called from a host operation, or
    /// from a signal handler that interrupted a call.
    #[error("this thread is inside a kernel already")]
    Reentered,
    /// The call was not complete by its deadline
    /// ([`with_deadline`](crate::with_deadline)).
    #[error("the deadline has passed")]
    TimedOut,
    /// The kernel belongs to the parent process. This process is a child of `fork(2)`,
    /// which can boot its own kernels.
    #[error("the kernel belongs to the parent process: boot another one after fork(2)")]
    Forked,
    /// The kernel could not be loaded or booted.
    #[error("cannot boot the kernel: {0}")]
    Boot(Arc<str>),
}

impl From<Errno> for Error {
    fn from(errno: Errno) -> Self {
        Error::Errno(errno)
    }
}

impl Error {
    /// A boot that failed because of `why`.
    pub(crate) fn boot(why: impl std::fmt::Display) -> Error {
        Error::Boot(why.to_string().into())
    }
}

/// The last messages of a kernel that died.
#[derive(Debug)]
pub struct DeathReport {
    /// The panic message, one line.
    pub message: String,
    /// The kernel log, with the backtrace at its end.
    pub log: String,
}
