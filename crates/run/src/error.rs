//! [`Error`]: why a program could not be run, or its kernel failed.

use std::io;

/// The result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a program could not be run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no such program.
    #[error("{program}: not found")]
    NotFound {
        /// As it was named.
        program: String,
    },
    /// The program exists, but cannot be run.
    #[error("{program}: cannot be run: {error}")]
    NotRunnable {
        /// As it was named.
        program: String,
        /// The error of the host.
        error: io::Error,
    },
    /// The host cannot intercept the program's network calls.
    #[error("cannot intercept the program's network calls: {why}")]
    NoFilter {
        /// What is missing.
        why: String,
    },
    /// The keeper process was killed.
    #[error("the keeper process was killed, and the program with it")]
    KeeperKilled,
    /// A system call of the host failed.
    #[error("{what}: {error}")]
    Host {
        /// The operation.
        what: &'static str,
        /// The error of the host.
        error: io::Error,
    },
    /// An error of the drupe kernel.
    #[error("{0}")]
    Kernel(#[from] drupe::Error),
}

/// Adds the operation to an error of the host.
pub(crate) trait WithOperation<T> {
    fn doing(self, what: &'static str) -> Result<T>;
}

impl<T, E: Into<io::Error>> WithOperation<T> for std::result::Result<T, E> {
    fn doing(self, what: &'static str) -> Result<T> {
        self.map_err(|error| Error::Host {
            what,
            error: error.into(),
        })
    }
}
