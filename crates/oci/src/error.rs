//! [`Error`]: what is wrong with an image, or was while it was read or written.

use std::io;

/// An image could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// What should name an image does not.
    #[error("{reference}: {problem}")]
    Reference {
        /// As it was given.
        reference: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A file of the host could not be read or written.
    #[error("{name}: {cause}")]
    File {
        /// Its path.
        name: String,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// The image is damaged, or was not made by the rules.
    #[error("{name}: {problem}")]
    Invalid {
        /// The image, or its part that is at fault.
        name: String,
        /// What is wrong with it.
        problem: String,
    },
    /// There is no such image, or none for this platform.
    #[error("{name}: {problem}")]
    NotFound {
        /// Where it was looked for.
        name: String,
        /// What is not there, and what there is.
        problem: String,
    },
    /// The image is of a kind that this crate does not read.
    #[error("{name}: {problem}")]
    Unsupported {
        /// The image, or its part.
        name: String,
        /// What is not supported.
        problem: String,
    },
    /// A registry did not give what it was asked for.
    #[error("{name}: {problem}")]
    Registry {
        /// What it was asked for.
        name: String,
        /// What it answered, or why it did not.
        problem: String,
        /// The status of HTTP, if it answered.
        status: Option<u16>,
    },
    /// The program has requested the end.
    #[error("interrupted")]
    Interrupted,
}

/// The result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub(crate) fn invalid(name: impl Into<String>, problem: impl Into<String>) -> Error {
        Error::Invalid {
            name: name.into(),
            problem: problem.into(),
        }
    }

    pub(crate) fn not_found(name: impl Into<String>, problem: impl Into<String>) -> Error {
        Error::NotFound {
            name: name.into(),
            problem: problem.into(),
        }
    }

    pub(crate) fn unsupported(name: impl Into<String>, problem: impl Into<String>) -> Error {
        Error::Unsupported {
            name: name.into(),
            problem: problem.into(),
        }
    }

    pub(crate) fn file(name: impl Into<String>, cause: io::Error) -> Error {
        Error::File {
            name: name.into(),
            cause,
        }
    }

    /// As the error of a stream.
    pub(crate) fn into_io(self) -> io::Error {
        let kind = match &self {
            Error::File { cause, .. } => cause.kind(),
            Error::Interrupted => io::ErrorKind::Other,
            Error::Registry { .. } => io::ErrorKind::ConnectionAborted,
            _ => io::ErrorKind::InvalidData,
        };
        io::Error::new(kind, self.to_string())
    }
}
