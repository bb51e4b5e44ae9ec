//! [`Failure`]: the error that C gets, a number and a message. Its numbers are those of
//! `enum drupe_error_code` in `drupe.h`.

use std::ffi::{CStr, CString, c_int};
use std::io;

use drupe::{Cause, Errno, VolumeError};

/// What may be a [`Failure`].
pub(crate) type Result<T, E = Failure> = std::result::Result<T, E>;

/// An error of any call: `drupe_error` of C.
#[derive(Debug)]
pub(crate) struct Failure {
    code: c_int,
    message: CString,
}

/// Numbers above those of errno.
macro_rules! codes {
    ($($(#[$meta:meta])* $name:ident = $value:expr;)*) => {
        $($(#[$meta])* pub(crate) const $name: c_int = $value;)*
    };
}

codes! {
    ARGUMENT = 10_001;
    PANIC = 10_002;
    DEAD = 10_003;
    HALTED = 10_004;
    REENTERED = 10_005;
    DEADLINE = 10_006;
    FORKED = 10_007;
    BOOT = 10_008;
    IMAGE = 10_009;
    IN_USE = 10_010;
    CUT_SHORT = 10_011;
    NO_PARTITION = 10_012;
    NO_FILESYSTEM = 10_013;
    NO_DRIVER = 10_014;
    LOCKED = 10_015;
    PASSPHRASE = 10_016;
    VOLUME = 10_017;
    MISSING_DEVICE = 10_018;
    JOURNAL = 10_019;
    CANCELLED = 10_020;
    INCOMPLETE = 10_021;
    OTHER = 10_022;
}

impl Failure {
    pub(crate) fn new(code: c_int, message: impl Into<Vec<u8>>) -> Failure {
        let mut message = message.into();
        message.retain(|&byte| byte != 0);
        Failure {
            code,
            // Without NULs it is one.
            message: CString::new(message).unwrap_or_default(),
        }
    }

    pub(crate) fn code(&self) -> c_int {
        self.code
    }

    pub(crate) fn message(&self) -> &CStr {
        &self.message
    }

    /// An argument that can't be; [`Failure::of`] adds the function's name.
    pub(crate) fn argument(what: impl Into<Vec<u8>>) -> Failure {
        Failure::new(ARGUMENT, what)
    }

    pub(crate) fn null(name: &'static str) -> Failure {
        Failure::argument(format!("`{name}` is NULL"))
    }

    pub(crate) fn panic(function: &'static str, text: &str) -> Failure {
        let message = format!("{function}: drupe has a bug, and panicked: {text}");
        Failure::new(PANIC, message)
    }

    pub(crate) fn errno(code: c_int, operation: &'static str) -> Failure {
        drupe::Error::new(operation, Errno::from_raw_os_error(code)).into()
    }

    /// An error of a call to the host, or of a file or socket through `std::io`.
    pub(crate) fn io(operation: &'static str, error: io::Error) -> Failure {
        match error.downcast::<drupe::Error>() {
            Ok(error) => error.into(),
            Err(error) => drupe::Error::new(operation, error).into(),
        }
    }

    /// The same error, of a function of C: what is wrong with its arguments has no other
    /// operation.
    pub(crate) fn of(self, function: &'static str) -> Failure {
        match self.code {
            ARGUMENT => {
                let message = [function.as_bytes(), b": ", self.message.as_bytes()].concat();
                Failure::new(ARGUMENT, message)
            }
            _ => self,
        }
    }
}

impl From<drupe::Error> for Failure {
    fn from(error: drupe::Error) -> Failure {
        Failure::from(&error)
    }
}

impl From<&drupe::Error> for Failure {
    fn from(error: &drupe::Error) -> Failure {
        Failure::new(code(error.cause()), error.to_string())
    }
}

impl From<drupe_tree::Error> for Failure {
    fn from(error: drupe_tree::Error) -> Failure {
        let code = match (error.kernel_error(), error.errno()) {
            _ if error.is_interrupted() => CANCELLED,
            (Some(error), _) => code(error.cause()),
            (None, Some(errno)) => errno.raw_os_error(),
            (None, None) => OTHER,
        };
        Failure::new(code, error.to_string())
    }
}

impl From<drupe_links::Error> for Failure {
    fn from(error: drupe_links::Error) -> Failure {
        let code = match &error {
            drupe_links::Error::Host { error, .. } => host_code(error),
            _ => OTHER,
        };
        Failure::new(code, error.to_string())
    }
}

fn host_code(error: &io::Error) -> c_int {
    let errno = Errno::from_io_error(error);
    errno.map_or(OTHER, |errno| errno.raw_os_error())
}

fn code(cause: &Cause) -> c_int {
    match cause {
        Cause::Errno(errno) | Cause::Mount { errno, .. } | Cause::Netlink { errno, .. } => {
            errno.raw_os_error()
        }
        Cause::Host(error) => host_code(error),
        Cause::Dead(_) => DEAD,
        Cause::Halted => HALTED,
        Cause::Reentered => REENTERED,
        Cause::TimedOut => DEADLINE,
        Cause::Forked => FORKED,
        Cause::Boot(_) => BOOT,
        Cause::Image(drupe::ImageError::InUse(_)) => IN_USE,
        Cause::Image(_) => IMAGE,
        Cause::CutShort(_) => CUT_SHORT,
        Cause::NoPartition { .. } => NO_PARTITION,
        Cause::NoFilesystem(_) => NO_FILESYSTEM,
        Cause::NoDriver(_) => NO_DRIVER,
        Cause::Locked => LOCKED,
        Cause::Volume(VolumeError::WrongPassphrase) => PASSPHRASE,
        Cause::Volume(_) => VOLUME,
        Cause::MissingDevice { .. } => MISSING_DEVICE,
        Cause::JournalReplay { .. } => JOURNAL,
        _ => OTHER,
    }
}
