//! [`Error`]: an operation that failed, its path and its [`Cause`].

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use drupe_abi::Errno;
use drupe_machine::DeathReport;
use drupe_ondisk::probe::NoDriver;
use drupe_ondisk::{CutShort, Error as VolumeError};

/// The result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An operation that failed: its name, the path it was given, the [`Cause`].
///
/// Shown as `open /etc/passwd: No such file or directory (ENOENT)`, always on
/// one line. Converts to [`io::Error`], which keeps the errno value as its
/// `raw_os_error` (and nothing else then).
pub struct Error(Box<Context>);

struct Context {
    operation: &'static str,
    path: Option<PathBuf>,
    /// The second path, of an operation that takes two.
    to: Option<PathBuf>,
    cause: Cause,
}

/// Why an operation failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Cause {
    /// The error of a system call.
    #[error("{}", describe(*.0))]
    Errno(Errno),
    /// The kernel has died: a panic, a BUG or an invalid memory access. The report has
    /// its log. Every later call fails with this too.
    #[error("the kernel died: {}", .0.message)]
    Dead(Arc<DeathReport>),
    /// The kernel has been halted.
    #[error("the kernel has been halted")]
    Halted,
    /// This thread is inside the kernel already: the call came from a signal
    /// handler, a [disk](crate::BlockDevice), a [host](crate::Host) or a log
    /// callback.
    #[error("this thread is inside the kernel already")]
    Reentered,
    /// The call was not complete by its deadline
    /// ([`with_deadline`](crate::with_deadline)).
    #[error("the deadline has passed")]
    TimedOut,
    /// The kernel belongs to the parent process. This process is a child of fork(2),
    /// which can boot its own kernels.
    #[error("the kernel belongs to the parent process: boot another one after fork(2)")]
    Forked,
    /// The kernel could not be loaded or booted.
    #[error("cannot boot the kernel: {0}")]
    Boot(Arc<str>),
    /// A system call of the host failed.
    #[error("{}", describe_host(.0))]
    Host(#[source] io::Error),
    /// The kernel cannot mount a filesystem; its log says why.
    #[error("{}: {log}", describe(*.errno))]
    Mount {
        /// The error of the system call.
        errno: Errno,
        /// What the kernel has logged about it, on one line.
        log: String,
    },
    /// The filesystem is on several devices, and not all were given
    /// ([`MountOptions::device`](crate::MountOptions::device)).
    #[error("the {fstype} is on several devices, and one is missing")]
    MissingDevice {
        /// "btrfs".
        fstype: String,
    },
    /// The kernel refused a netlink request, with a message.
    #[error("{}: {message}", describe(*.errno))]
    Netlink {
        /// The errno value of the answer.
        errno: Errno,
        /// The kernel's message.
        message: String,
    },
    /// The image is damaged, or of an unsupported kind.
    #[error("{0}")]
    Image(drupe_formats::Error),
    /// The disk is shorter than its content: a partition or filesystem ends behind its
    /// end.
    #[error("{0}")]
    CutShort(CutShort),
    /// The disk has no partition of this number.
    #[error("there is no partition {number}; {}", list(.present))]
    NoPartition {
        /// The requested number.
        number: u32,
        /// The numbers of the existing partitions.
        present: Vec<u32>,
    },
    /// There is no filesystem that this kernel can mount. The string is the type of the
    /// content, if it is known: "swap", "crypto_LUKS" and so on.
    #[error("{}", no_filesystem(*.0))]
    NoFilesystem(Option<&'static str>),
    /// The content is a filesystem or volume for which this kernel has no driver.
    #[error("{0}")]
    NoDriver(NoDriver),
    /// The volume is encrypted, and no passphrase was given.
    #[error("is encrypted, and there is no passphrase for it")]
    Locked,
    /// A volume (LUKS, LVM, md) or a partition table cannot be used.
    #[error("{0}")]
    Volume(VolumeError),
    /// The filesystem was not unmounted cleanly and the disk is read-only, so
    /// its journal cannot be replayed.
    #[error(
        "the {fstype} journal needs to be replayed and the disk is read-only; \
         mount it writable once, or give it a copy-on-write layer"
    )]
    JournalReplay {
        /// Type of the filesystem.
        fstype: String,
    },
}

fn list(present: &[u32]) -> String {
    match present {
        [] => "the disk has no partition table".into(),
        numbers => {
            let numbers: Vec<String> = numbers.iter().map(u32::to_string).collect();
            format!("there are: {}", numbers.join(", "))
        }
    }
}

fn no_filesystem(found: Option<&str>) -> String {
    match found {
        Some(found) => format!("holds {found}, not a filesystem"),
        None => "holds no filesystem known to this kernel".into(),
    }
}

/// "No such file or directory (ENOENT)".
fn describe(errno: Errno) -> String {
    let known = nix::errno::Errno::from_raw(errno.raw_os_error());
    match known {
        nix::errno::Errno::UnknownErrno => format!("error {}", errno.raw_os_error()),
        known => format!("{} ({known:?})", known.desc()),
    }
}

fn describe_host(error: &io::Error) -> String {
    match Errno::from_io_error(error) {
        Some(errno) => describe(errno),
        None => error.to_string(),
    }
}

impl Error {
    /// An error of an operation without a path. For crates that add operations.
    pub fn new(operation: &'static str, cause: impl Into<Cause>) -> Error {
        Error(Box::new(Context {
            operation,
            path: None,
            to: None,
            cause: cause.into(),
        }))
    }

    /// An error of an operation on `path`, which may also be the name of an interface, a
    /// device and so on.
    pub fn at(operation: &'static str, path: impl AsRef<Path>, cause: impl Into<Cause>) -> Error {
        let mut error = Error::new(operation, cause);
        error.0.path = Some(path.as_ref().to_owned());
        error
    }

    pub(crate) fn between(
        operation: &'static str,
        from: impl AsRef<Path>,
        to: impl AsRef<Path>,
        cause: impl Into<Cause>,
    ) -> Error {
        let mut error = Error::at(operation, from, cause);
        error.0.to = Some(to.as_ref().to_owned());
        error
    }

    /// Replaces the operation's name, to name the function that the user called.
    pub fn with_operation(mut self, operation: &'static str) -> Error {
        self.0.operation = operation;
        self
    }

    /// Replaces the path, to name the one that the user gave.
    pub fn with_path(mut self, path: impl AsRef<Path>) -> Error {
        self.0.path = Some(path.as_ref().to_owned());
        self
    }

    pub(crate) fn with_to(mut self, to: impl AsRef<Path>) -> Error {
        self.0.to = Some(to.as_ref().to_owned());
        self
    }

    /// The operation, usually the name of the function.
    pub fn operation(&self) -> &'static str {
        self.0.operation
    }

    /// The path of the operation, as it was given.
    pub fn path(&self) -> Option<&Path> {
        self.0.path.as_deref()
    }

    /// The second path of an operation that has two, as it was given.
    pub fn to_path(&self) -> Option<&Path> {
        self.0.to.as_deref()
    }

    /// Why it failed.
    pub fn cause(&self) -> &Cause {
        &self.0.cause
    }

    /// The errno value, if a system call failed.
    pub fn errno(&self) -> Option<Errno> {
        match self.0.cause {
            Cause::Errno(errno) | Cause::Mount { errno, .. } | Cause::Netlink { errno, .. } => {
                Some(errno)
            }
            _ => None,
        }
    }

    /// The corresponding kind of `std::io`.
    pub fn kind(&self) -> io::ErrorKind {
        match &self.0.cause {
            Cause::Errno(errno) | Cause::Mount { errno, .. } | Cause::Netlink { errno, .. } => {
                errno.kind()
            }
            Cause::Image(drupe_formats::Error::InUse(_)) => io::ErrorKind::ResourceBusy,
            Cause::Image(_) | Cause::CutShort(_) => io::ErrorKind::InvalidData,
            Cause::Host(error) => error.kind(),
            Cause::TimedOut => io::ErrorKind::TimedOut,
            Cause::NoPartition { .. } => io::ErrorKind::NotFound,
            Cause::NoFilesystem(_) => io::ErrorKind::InvalidData,
            Cause::NoDriver(_) => io::ErrorKind::Unsupported,
            Cause::JournalReplay { .. } => io::ErrorKind::ReadOnlyFilesystem,
            _ => io::ErrorKind::Other,
        }
    }
}

impl From<drupe_machine::Error> for Cause {
    fn from(error: drupe_machine::Error) -> Cause {
        use drupe_machine::Error as E;
        match error {
            E::Errno(errno) => Cause::Errno(errno),
            E::Halted => Cause::Halted,
            E::Dead(report) => Cause::Dead(report),
            E::Reentered => Cause::Reentered,
            E::TimedOut => Cause::TimedOut,
            E::Forked => Cause::Forked,
            E::Boot(why) => Cause::Boot(why),
        }
    }
}

impl From<Errno> for Cause {
    fn from(errno: Errno) -> Cause {
        Cause::Errno(errno)
    }
}

impl From<io::Error> for Cause {
    fn from(error: io::Error) -> Cause {
        Cause::Host(error)
    }
}

impl From<VolumeError> for Cause {
    fn from(error: VolumeError) -> Cause {
        match error {
            VolumeError::Io(error) => Cause::Host(error),
            error => Cause::Volume(error),
        }
    }
}

impl From<drupe_formats::Error> for Cause {
    fn from(error: drupe_formats::Error) -> Cause {
        match error {
            drupe_formats::Error::Io(error) => Cause::Host(error),
            error => Cause::Image(error),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Context {
            operation,
            path,
            to,
            cause,
        } = &*self.0;
        f.write_str(operation)?;
        if let Some(path) = path {
            write!(f, " {}", OneLine(path))?;
        }
        if let Some(to) = to {
            write!(f, " to {}", OneLine(to))?;
        }
        write!(f, ": {cause}")
    }
}

/// Displays a path on one line: other bytes than printable text are escaped.
struct OneLine<'a>(&'a Path);

impl fmt::Display for OneLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.to_string_lossy();
        if text.contains(char::is_control) || text.is_empty() {
            write!(f, "{:?}", self.0)
        } else {
            f.write_str(&text)
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Error({self})")
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.0.cause {
            Cause::Host(error) => Some(error),
            _ => None,
        }
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> io::Error {
        match error.errno() {
            Some(errno) => errno.into(),
            None => io::Error::new(error.kind(), error),
        }
    }
}

/// Converts an error directly, without the allocation of an [`Error`]: `WouldBlock` is
/// frequent.
pub(crate) fn io_error(operation: &'static str, error: drupe_machine::Error) -> io::Error {
    match error {
        drupe_machine::Error::Errno(errno) => errno.into(),
        error => Error::new(operation, error).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_operation_path_and_errno() {
        let error = Error::at("open", "/etc/passwd", Errno::NOENT);
        assert_eq!(
            error.to_string(),
            "open /etc/passwd: No such file or directory (ENOENT)"
        );
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        assert_eq!(io::Error::from(error).raw_os_error(), Some(2));
    }

    #[test]
    fn stays_on_one_line() {
        let error = Error::between("rename", "a\nb", "", Errno::from_raw_os_error(4000));
        assert_eq!(error.to_string(), r#"rename "a\nb" to "": error 4000"#);
    }

    #[test]
    fn lists_the_partitions() {
        let cause = Cause::NoPartition {
            number: 7,
            present: vec![1, 2],
        };
        let error = Error::new("partition", cause);
        assert_eq!(
            error.to_string(),
            "partition: there is no partition 7; there are: 1, 2"
        );
    }
}
