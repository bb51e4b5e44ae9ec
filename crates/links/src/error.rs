//! [`Error`]: why a link could not be opened.

use std::io;

/// The result of opening a link.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a link could not be opened. Messages have one line.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A step of opening a device or a program of the host has failed.
    #[error("{what}: {error}{}", advice(.error, .hint))]
    Host {
        /// The step, and the device or program.
        what: String,
        /// The host's error.
        error: io::Error,
        /// What to do if a permission is missing.
        hint: &'static str,
    },
    /// The given descriptor cannot be a link.
    #[error("descriptor {fd}: {why}")]
    Descriptor {
        /// Its number.
        fd: i32,
        /// What is wrong with it, and what is needed.
        why: String,
    },
    /// A recording cannot be replayed.
    #[error("{what}")]
    Capture {
        /// What is wrong with it, and where.
        what: String,
    },
    /// The name of a link is malformed.
    #[error("link {text:?}: {why}")]
    Spec {
        /// The name as it was given.
        text: String,
        /// What is wrong, and what would be correct.
        why: String,
    },
}

fn advice(error: &io::Error, hint: &str) -> String {
    match error.kind() {
        io::ErrorKind::PermissionDenied if !hint.is_empty() => format!(" ({hint})"),
        _ => String::new(),
    }
}

impl Error {
    pub(crate) fn host(what: impl Into<String>, error: impl Into<io::Error>) -> Error {
        Error::Host {
            what: what.into(),
            error: error.into(),
            hint: "",
        }
    }

    /// Adds a hint, which is shown if a permission is missing.
    #[must_use]
    pub(crate) fn or_hint(self, hint: &'static str) -> Error {
        match self {
            Error::Host { what, error, .. } => Error::Host { what, error, hint },
            other => other,
        }
    }
}
