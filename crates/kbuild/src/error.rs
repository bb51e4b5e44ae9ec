//! [`Error`]: why an image could not be built, with the input that was wrong.

use std::io;
use std::path::{Path, PathBuf};

/// A result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Why there is no kernel image. Each message is one line that names the input
/// and says what to do; only [`Error::Build`] adds the compiler's own lines.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Programs, headers or the source package are not on this machine.
    #[error("to build the kernel, this machine lacks {what}; run: {command}")]
    Missing {
        /// What is missing, separated by commas.
        what: String,
        /// The command that installs it.
        command: String,
    },
    /// The source is neither a Linux tree nor a tarball of one.
    #[error("{path}: {reason}; name a Linux 6.12 tree or tarball in DRUPE_LINUX_SOURCE")]
    NotLinux {
        /// The source as it was named.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The source is a Linux of another version.
    #[error("{path} is Linux {version}, and drupe needs 6.12; name another in DRUPE_LINUX_SOURCE")]
    WrongVersion {
        /// The source as it was named.
        path: PathBuf,
        /// Its version.
        version: String,
    },
    /// A kernel was built inside the source tree.
    #[error("{path} holds the result of a build in the tree; run `make -C {path} mrproper`")]
    DirtyTree {
        /// The source tree.
        path: PathBuf,
    },
    /// The overlay is missing.
    #[error("the overlay {path} {reason}")]
    Overlay {
        /// The overlay's directory.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// `make` cannot work in such a directory.
    #[error("the cache directory {path:?} {reason}; name another in DRUPE_CACHE")]
    CachePath {
        /// The directory.
        path: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A line of a configuration fragment is neither a setting nor a comment.
    #[error("{file}:{line}: not a configuration line: {text}")]
    FragmentSyntax {
        /// The fragment.
        file: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The line's text.
        text: String,
    },
    /// Two fragments set a symbol to different values.
    #[error("{symbol} is {first} in {first_file} and {second} in {second_file}; keep one")]
    FragmentConflict {
        /// The symbol, `CONFIG_` included.
        symbol: String,
        /// One value.
        first: String,
        /// The fragment that sets it.
        first_file: PathBuf,
        /// The other value.
        second: String,
        /// The fragment that sets the other value.
        second_file: PathBuf,
    },
    /// Kconfig did not honour all settings of the fragments.
    #[error(
        "the {flavour} configuration lost {lost} (a dependency is missing, or the name is wrong)"
    )]
    ConfigLost {
        /// The flavour that was configured.
        flavour: String,
        /// The symbols with their wanted values and fragments, separated by commas.
        lost: String,
    },
    /// There is no such flavour.
    #[error("no kernel flavour {name:?}; there are: {known}")]
    NoFlavour {
        /// The name that was asked for.
        name: String,
        /// The names that exist.
        known: String,
    },
    /// The kernel's own build failed.
    #[error("the kernel build failed; its log is {log}\n{lines}")]
    Build {
        /// The lines that say why.
        lines: String,
        /// The whole log.
        log: PathBuf,
    },
    /// A program failed.
    #[error("{program} failed ({status}): {message}")]
    Program {
        /// The program, and its task.
        program: String,
        /// How it ended.
        status: String,
        /// Its last line on standard error.
        message: String,
    },
    /// The image cannot be loaded by drupe.
    #[error("{path} is not a drupe kernel image: {reason}")]
    Image {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The source tree is not as it was published.
    #[error("{path} is not as published: {differences}")]
    Touched {
        /// The tree.
        path: PathBuf,
        /// The first few differences.
        differences: String,
    },
    /// An operation on a file failed. …
    #[error("cannot {action} {path}: {source}")]
    Io {
        /// The operation, such as `read`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
}

/// Adds operation and path to an I/O error.
pub(crate) trait IoContext<T> {
    /// Turns the error into [`Error::Io`].
    fn on(self, action: &'static str, path: &Path) -> Result<T>;
}

impl<T> IoContext<T> for io::Result<T> {
    fn on(self, action: &'static str, path: &Path) -> Result<T> {
        self.map_err(|source| Error::Io {
            action,
            path: path.to_owned(),
            source,
        })
    }
}
