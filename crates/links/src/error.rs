//! [`Error`]: why there is no link, on one line.

use std::io;

/// The result of opening a link.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why there is no link.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A step of opening a device or a program of the host has failed.
    #[error("{what}: {error}{}", advice(.error, .hint))]
    Host {
        /// What was to be done, to what.
        what: String,
        /// The host's answer.
        error: io::Error,
        /// What to do if it was one of permission.
        hint: &'static str,
    },
    /// A descriptor that was given is not one of a link.
    #[error("descriptor {fd}: {why}")]
    Descriptor {
        /// Its number.
        fd: i32,
        /// What is wrong with it, and what is wanted.
        why: String,
    },
    /// A recording cannot be replayed.
    #[error("{what}")]
    Capture {
        /// What is wrong with it, and where.
        what: String,
    },
    /// The name of a link makes no sense.
    #[error("link {text:?}: {why}")]
    Spec {
        /// As it was given.
        text: String,
        /// What is wrong, and what would be right.
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

    /// The same with something to say if a permission is lacking.
    #[must_use]
    pub(crate) fn or_hint(self, hint: &'static str) -> Error {
        match self {
            Error::Host { what, error, .. } => Error::Host { what, error, hint },
            other => other,
        }
    }
}
