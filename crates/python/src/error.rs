//! [`Failure`]: why a call failed, before it is a Python exception: an `OSError` with
//! errno, text and file name, or one of those in `drupe/_errors.py`.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;

use drupe::{Cause, Errno, ImageError, VolumeError};
use pyo3::exceptions::{PyOSError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyAny;

/// Why a call failed.
#[derive(Debug)]
pub(crate) struct Failure {
    /// One of `drupe._errors`; empty: an OSError by its number.
    class: &'static str,
    errno: i32,
    /// Empty: what strerror(3) says.
    text: String,
    path: Option<OsString>,
    to: Option<OsString>,
}

/// A ValueError.
pub(crate) fn value(text: impl Into<String>) -> PyErr {
    PyValueError::new_err(text.into())
}

impl Failure {
    pub(crate) fn new(class: &'static str, errno: i32, text: impl Into<String>) -> Failure {
        Failure {
            class,
            errno,
            text: text.into(),
            path: None,
            to: None,
        }
    }

    /// What a cause means, of a file that somebody else names.
    pub(crate) fn of_cause(cause: &Cause) -> Failure {
        let (class, errno) = class(cause);
        Failure::new(class, errno, text(cause))
    }

    pub(crate) fn errno(errno: i32) -> Failure {
        Failure::new("", errno, "")
    }

    /// A panic of ours.
    pub(crate) fn bug() -> Failure {
        Failure::new("bug", 0, "drupe has a bug, and panicked")
    }

    /// An error of the host.
    pub(crate) fn host(operation: &'static str, error: io::Error) -> Failure {
        of_io(operation, error).into()
    }

    /// The same failure, of the file that the caller has named.
    pub(crate) fn at(mut self, path: impl Into<OsString>) -> Failure {
        self.path = Some(path.into());
        self
    }

    /// As a Python exception.
    pub(crate) fn raise(self, py: Python<'_>) -> PyErr {
        if self.class == "bug" {
            return PyRuntimeError::new_err(self.text);
        }
        let made = self.make(py);
        made.unwrap_or_else(|error| error)
    }

    fn make(self, py: Python<'_>) -> PyResult<PyErr> {
        let text = match self.text.is_empty() {
            true => strerror(self.errno),
            false => self.text,
        };
        if self.class.is_empty() {
            return Ok(match (self.path, self.to) {
                (None, _) => PyOSError::new_err((self.errno, text)),
                (Some(path), None) => PyOSError::new_err((self.errno, text, path)),
                (Some(path), Some(to)) => {
                    PyOSError::new_err((self.errno, text, path, py.None(), to))
                }
            });
        }
        let class = py.import("drupe._errors")?.getattr(self.class)?;
        let error: Bound<'_, PyAny> = match self.path {
            None => class.call1((self.errno, text))?,
            Some(path) => class.call1((self.errno, text, path))?,
        };
        Ok(PyErr::from_value(error))
    }
}

/// "No such file or directory".
fn strerror(errno: i32) -> String {
    let text = io::Error::from_raw_os_error(errno).to_string();
    match text.rfind(" (os error ") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}

/// An error of `std::io`, which may have one of the library in it.
pub(crate) fn of_io(operation: &'static str, error: io::Error) -> drupe::Error {
    match error.downcast::<drupe::Error>() {
        Ok(error) => error,
        Err(error) => match Errno::from_io_error(&error) {
            Some(errno) => drupe::Error::new(operation, errno),
            None => drupe::Error::new(operation, error),
        },
    }
}

/// Class and errno of a cause.
fn class(cause: &Cause) -> (&'static str, i32) {
    match cause {
        Cause::Errno(errno) | Cause::Netlink { errno, .. } => ("", errno.raw_os_error()),
        Cause::Mount { errno, .. } => ("MountError", errno.raw_os_error()),
        Cause::Host(error) => ("", host_errno(error)),
        Cause::Dead(_) => ("KernelDied", libc::EIO),
        Cause::Halted => ("KernelHalted", libc::ESHUTDOWN),
        Cause::Reentered => ("", libc::EDEADLK),
        Cause::TimedOut => ("", libc::ETIMEDOUT),
        Cause::Forked => ("ForkedError", libc::ESTALE),
        Cause::Boot(_) => ("BootError", libc::ENOMEM),
        Cause::Image(ImageError::InUse(_)) => ("ImageInUse", libc::EBUSY),
        Cause::Image(_) => ("ImageError", libc::EINVAL),
        Cause::CutShort(_) => ("ImageError", libc::EIO),
        Cause::NoPartition { .. } => ("NoPartition", libc::ENXIO),
        Cause::NoFilesystem(_) => ("NoFilesystem", libc::EMEDIUMTYPE),
        Cause::NoDriver(_) => ("NoFilesystem", libc::EOPNOTSUPP),
        Cause::Locked => ("Locked", libc::ENOKEY),
        Cause::Volume(VolumeError::WrongPassphrase) => ("WrongPassphrase", libc::EKEYREJECTED),
        Cause::Volume(_) => ("ImageError", libc::EINVAL),
        Cause::MissingDevice { .. } => ("MissingDevice", libc::ENXIO),
        Cause::JournalReplay { .. } => ("JournalReplay", libc::EROFS),
        _ => ("", libc::EIO),
    }
}

fn host_errno(error: &io::Error) -> i32 {
    Errno::from_io_error(error).map_or(libc::EIO, |errno| errno.raw_os_error())
}

/// What an error says beyond its errno.
fn text(cause: &Cause) -> String {
    match cause {
        Cause::Errno(_) => String::new(),
        Cause::Host(error) if Errno::from_io_error(error).is_some() => String::new(),
        Cause::Mount { log, .. } => log.clone(),
        Cause::JournalReplay { fstype } => format!(
            "the {fstype} journal must be replayed first: it was not unmounted cleanly; \
             open it with mode=\"c\" to replay it in memory, or with \"r+\""
        ),
        Cause::Locked => "is encrypted; give its passphrase with passphrase=".to_owned(),
        Cause::MissingDevice { .. } => format!("{cause}; give the other images with extra="),
        Cause::Forked => format!("{cause}; a child of fork can open images of its own"),
        cause => cause.to_string(),
    }
}

impl From<drupe::Error> for Failure {
    fn from(error: drupe::Error) -> Failure {
        let (class, errno) = class(error.cause());
        Failure {
            class,
            errno,
            text: text(error.cause()),
            path: error.path().map(|path| path.as_os_str().to_owned()),
            to: error.to_path().map(|path| path.as_os_str().to_owned()),
        }
    }
}

impl From<drupe_tree::Error> for Failure {
    fn from(error: drupe_tree::Error) -> Failure {
        let path = error.path().map(OsString::from);
        let mut failure = match (error.kernel_error(), error.errno()) {
            (Some(kernel), _) => {
                let (class, errno) = class(kernel.cause());
                Failure::new(class, errno, text(kernel.cause()))
            }
            (None, Some(errno)) => Failure::errno(errno.raw_os_error()),
            (None, None) => {
                let mut shown = error.to_string();
                // The path is told beside it.
                if let Some((_, cause)) = shown.rsplit_once(": ").filter(|_| path.is_some()) {
                    shown = cause.to_owned();
                }
                Failure::new("TreeError", libc::EIO, shown)
            }
        };
        failure.path = path;
        failure
    }
}

impl From<drupe_links::Error> for Failure {
    fn from(error: drupe_links::Error) -> Failure {
        let errno = match &error {
            drupe_links::Error::Host { error, .. } => host_errno(error),
            _ => libc::EINVAL,
        };
        Failure::new("", errno, error.to_string())
    }
}

/// A path that Python gives: a string, bytes, or what has one.
#[derive(Debug, Clone)]
pub(crate) struct Name(pub(crate) PathBuf);

impl FromPyObject<'_, '_> for Name {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, '_, PyAny>) -> PyResult<Name> {
        use std::os::unix::ffi::OsStringExt;
        if let Ok(bytes) = object.cast::<pyo3::types::PyBytes>() {
            let bytes = bytes.as_bytes().to_vec();
            return Ok(Name(OsString::from_vec(bytes).into()));
        }
        if !object.is_instance_of::<pyo3::types::PyString>() {
            // A `drupe.Path` is no path of the host's, so it has no `__fspath__`.
            if let Ok(text) = object.getattr(pyo3::intern!(object.py(), "_drupe_path")) {
                return Ok(Name(text.extract()?));
            }
        }
        Ok(Name(object.extract()?))
    }
}
