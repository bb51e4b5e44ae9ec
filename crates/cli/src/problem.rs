//! [`Failed`], a failure of either side, and [`Problem`], one that has a path.

use std::fmt;

use drupe::{Cause, Errno};

/// An operation that failed, without the path, which the caller knows best.
#[derive(Debug)]
pub(crate) struct Failed {
    operation: &'static str,
    errno: Option<Errno>,
    cause: String,
    /// The kernel itself is gone.
    fatal: bool,
}

pub(crate) type Result<T> = std::result::Result<T, Failed>;

impl Failed {
    pub(crate) fn new(operation: &'static str, cause: &str) -> Failed {
        Failed {
            operation,
            errno: None,
            cause: cause.to_owned(),
            fatal: false,
        }
    }

    pub(crate) fn errno(&self) -> Option<Errno> {
        self.errno
    }

    /// The operation is one that this filesystem or user can't do at all.
    pub(crate) fn is_refusal(&self) -> bool {
        matches!(
            self.errno,
            Some(Errno::PERM | Errno::OPNOTSUPP | Errno::INVAL)
        )
    }

    /// No later operation can succeed either.
    pub(crate) fn is_fatal(&self) -> bool {
        self.fatal || matches!(self.errno, Some(Errno::NOSPC | Errno::DQUOT | Errno::ROFS))
    }

    pub(crate) fn at(self, path: impl Into<String>) -> Problem {
        Problem {
            path: path.into(),
            failed: self,
        }
    }
}

impl From<drupe::Error> for Failed {
    fn from(error: drupe::Error) -> Failed {
        Failed {
            operation: error.operation(),
            errno: error.errno(),
            cause: error.cause().to_string(),
            fatal: matches!(error.cause(), Cause::Dead(_) | Cause::Halted),
        }
    }
}

/// Names the operation of a call to the host.
pub(crate) fn host<T>(
    operation: &'static str,
    result: std::result::Result<T, impl Into<std::io::Error>>,
) -> Result<T> {
    result.map_err(|error| {
        let error = error.into();
        let errno = Errno::from_io_error(&error);
        let cause = errno.map(|errno| Cause::Errno(errno).to_string());
        Failed {
            operation,
            errno,
            cause: cause.unwrap_or_else(|| error.to_string()),
            fatal: false,
        }
    })
}

/// A failure and the path it is about.
#[derive(Debug)]
pub(crate) struct Problem {
    path: String,
    pub(crate) failed: Failed,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Failed {
            operation, cause, ..
        } = &self.failed;
        match self.path.contains(char::is_control) {
            true => write!(f, "{operation} {:?}: {cause}", self.path),
            false => write!(f, "{operation} {}: {cause}", self.path),
        }
    }
}

impl std::error::Error for Problem {}
