//! [`Error`]: what failed, of which file, and why.

use std::fmt;
use std::io;

use drupe::{Cause, Errno};

/// An operation on a file that failed.
///
/// Who calls knows the path best, and adds it with [`Error::at`].
#[derive(Debug)]
pub struct Error {
    operation: &'static str,
    path: Option<String>,
    errno: Option<Errno>,
    kind: io::ErrorKind,
    cause: String,
    /// What the image's kernel, or the library, has told.
    kernel: Option<Box<drupe::Error>>,
    /// The kernel itself is gone.
    is_dead: bool,
    is_interrupted: bool,
}

/// What may be an [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error that no kernel told.
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

    /// The work ends because [`Interrupt`](crate::Interrupt) says so.
    pub(crate) fn interrupted(operation: &'static str) -> Error {
        Error {
            is_interrupted: true,
            ..Error::new(operation, "interrupted")
        }
    }

    /// The same error, of the file at `path`.
    pub fn at(self, path: impl Into<String>) -> Error {
        Error {
            path: Some(path.into()),
            ..self
        }
    }

    /// What was tried: "open", "write" and the like.
    pub fn operation(&self) -> &'static str {
        self.operation
    }

    /// The file, as the caller names it: with the name of its image.
    pub fn path(&self) -> Option<&str> {
        self.path.as_deref()
    }

    /// The error number of the host or of the image's kernel, if one told it.
    pub fn errno(&self) -> Option<Errno> {
        self.errno
    }

    /// What kind of error of the host it is; `Other` if it is none.
    pub fn kind(&self) -> io::ErrorKind {
        self.kind
    }

    /// What an operation on an image has failed with; its path is that in the image.
    pub fn kernel_error(&self) -> Option<&drupe::Error> {
        self.kernel.as_deref()
    }

    fn told_by(self, error: drupe::Error) -> Error {
        Error {
            kernel: Some(Box::new(error)),
            ..self
        }
    }

    /// The work was ended by its [`Interrupt`](crate::Interrupt).
    pub fn is_interrupted(&self) -> bool {
        self.is_interrupted
    }

    /// The operation is one that this filesystem or user can't do at all.
    pub(crate) fn is_refusal(&self) -> bool {
        matches!(
            self.errno,
            Some(Errno::PERM | Errno::OPNOTSUPP | Errno::INVAL)
        )
    }

    /// No later operation can succeed either: the target is full, read-only or gone.
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

/// Names the operation of a call to the host.
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
