//! [`Error`]: why a program could not be run, or its kernel not kept running.

use std::io;

/// The result of everything in this crate that can fail.
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
    /// It is there, and cannot be run.
    #[error("{program}: cannot be run: {error}")]
    NotRunnable {
        /// As it was named.
        program: String,
        /// What the host says.
        error: io::Error,
    },
    /// The host does not let us have the program's network calls.
    #[error("cannot take over the program's sockets: {why}")]
    NoFilter {
        /// What is missing.
        why: String,
    },
    /// Somebody has killed a process of ours.
    #[error("the process that keeps the program was killed, and so was the program")]
    KeeperKilled,
    /// What a call to the host was for, and its answer.
    #[error("{what}: {error}")]
    Host {
        /// What was being done.
        what: &'static str,
        /// What the host says.
        error: io::Error,
    },
    /// What the drupe kernel says.
    #[error("{0}")]
    Kernel(#[from] drupe::Error),
}

/// Says what a failed call to the host was for.
pub(crate) trait Doing<T> {
    fn doing(self, what: &'static str) -> Result<T>;
}

impl<T, E: Into<io::Error>> Doing<T> for std::result::Result<T, E> {
    fn doing(self, what: &'static str) -> Result<T> {
        self.map_err(|error| Error::Host {
            what,
            error: error.into(),
        })
    }
}
