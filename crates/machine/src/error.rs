//! How calls into a kernel fail.

use drupe_abi::Errno;
use std::sync::Arc;

/// Why a call did not succeed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The kernel answered with an error.
    #[error("{0}")]
    Errno(Errno),
    /// The kernel has been halted.
    #[error("the kernel has been halted")]
    Halted,
    /// The kernel died: a panic, a `BUG()`, a wild access. Every later call
    /// gets this.
    #[error("the kernel died: {}", .0.message)]
    Dead(Arc<DeathReport>),
    /// A call from inside a host operation or a signal handler, by a thread
    /// that is in a kernel at that moment.
    #[error("this thread is inside a kernel already")]
    Reentered,
    /// The call was not over by its deadline
    /// ([`with_deadline`](crate::with_deadline)).
    #[error("the deadline has passed")]
    TimedOut,
    /// The kernel is that of the parent process: this one is a child of
    /// `fork(2)`, and can boot kernels of its own.
    #[error("the kernel stayed with the parent process")]
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

/// What a kernel that died left behind.
#[derive(Debug)]
pub struct DeathReport {
    /// The panic message, one line.
    pub message: String,
    /// The kernel log, with the backtrace at its end.
    pub log: String,
}
