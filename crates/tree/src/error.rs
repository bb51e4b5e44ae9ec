//! [`Error`]: an operation on a file that failed, with path and cause.

use std::fmt;
use std::io;

use drupe::{Cause, Errno};

/// An operation on a file that failed.
///
/// The caller adds the path with [`Error::at`], as it names the file.
#[derive(Debug)]
pub struct Error {
    operation: &'static str,
    path: Option<String>,
    errno: Option<Errno>,
    kind: io::ErrorKind,
    cause: String,
    /// The error of the library `drupe`, if it was one.
    kernel: Option<Box<drupe::Error>>,
    /// Whether the image's kernel has ended.
    is_dead: bool,
    is_interrupted: bool,
}

/// The result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error that is not of a system call.
    pub fn new(operation: &'static str, cause: impl Into<String>) -> Error {
        Error {
            operation,
            path: None,
            errno: None,
            kind: io::ErrorKind::Other,
            cause: cause.into(),
            kernel: None,
            is_dead: false,
            is_interrupted: false,
        }
    }

    /// The error of work that was ended by its [`Interrupt`](crate::Interrupt).
    pub(crate) fn interrupted(operation: &'static str) -> Error {
        Error {
            is_interrupted: true,
            ..Error::new(operation, "interrupted")
        }
    }

    /// Sets the path.
    pub fn at(self, path: impl Into<String>) -> Error {
        Error {
            path: Some(path.into()),
            ..self
        }
    }

    /// The operation: "open", "write" and the like.
    pub fn operation(&self) -> &'static str {
        self.operation
    }

    /// The path of the file, with the name of its image in front.
    pub fn path(&self) -> Option<&str> {
        self.path.as_deref()
    }

    /// The errno value of the host or of the image's kernel, if a system call failed.
    pub fn errno(&self) -> Option<Errno> {
        self.errno
    }

    /// The kind of an error of the host; `Other` for other errors.
    pub fn kind(&self) -> io::ErrorKind {
        self.kind
    }

    /// The error of the library `drupe`, if an operation on an image failed. Its path is
    /// that in the image.
    pub fn kernel_error(&self) -> Option<&drupe::Error> {
        self.kernel.as_deref()
    }

    fn told_by(self, error: drupe::Error) -> Error {
        Error {
            kernel: Some(Box::new(error)),
            ..self
        }
    }

    /// Whether the work was ended by its [`Interrupt`](crate::Interrupt).
    pub fn is_interrupted(&self) -> bool {
        self.is_interrupted
    }

    /// Whether this filesystem or user cannot do the operation at all.
    pub(crate) fn is_refusal(&self) -> bool {
        matches!(
            self.errno,
            Some(Errno::PERM | Errno::OPNOTSUPP | Errno::INVAL)
        )
    }

    /// Whether no later operation can succeed either: the target is full or read-only, or
    /// its kernel has ended.
    pub fn is_fatal(&self) -> bool {
        self.is_dead || matches!(self.errno, Some(Errno::NOSPC | Errno::DQUOT | Errno::ROFS))
    }
}

impl From<drupe::Error> for Error {
    fn from(error: drupe::Error) -> Error {
        Error {
            errno: error.errno(),
            is_dead: matches!(error.cause(), Cause::Dead(_) | Cause::Halted),
            ..Error::new(error.operation(), error.cause().to_string())
        }
        .told_by(error)
    }
}

/// Adds the operation to the result of a system call of the host.
pub fn host<T>(
    operation: &'static str,
    result: std::result::Result<T, impl Into<io::Error>>,
) -> Result<T> {
    result.map_err(|error| {
        let error = error.into();
        let errno = Errno::from_io_error(&error);
        let cause = errno.map(|errno| Cause::Errno(errno).to_string());
        Error {
            errno,
            kind: error.kind(),
            ..Error::new(operation, cause.unwrap_or_else(|| error.to_string()))
        }
    })
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Error {
            operation, cause, ..
        } = self;
        match &self.path {
            None => write!(f, "{operation}: {cause}"),
            Some(path) if path.contains(char::is_control) => {
                write!(f, "{operation} {path:?}: {cause}")
            }
            Some(path) => write!(f, "{operation} {path}: {cause}"),
        }
    }
}

impl std::error::Error for Error {}
