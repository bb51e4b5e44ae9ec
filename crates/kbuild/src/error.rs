//! What can go wrong, each with the input it went wrong with.

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
    /// Somebody has built a kernel inside the source tree.
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
    /// A line of a configuration fragment that says nothing.
    #[error("{file}:{line}: not a configuration line: {text}")]
    FragmentSyntax {
        /// The fragment.
        file: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The line's text.
        text: String,
    },
    /// Two fragments want different things.
    #[error("{symbol} is {first} in {first_file} and {second} in {second_file}; keep one")]
    FragmentConflict {
        /// The symbol, `CONFIG_` included.
        symbol: String,
        /// One value.
        first: String,
        /// The fragment that asks for it.
        first_file: PathBuf,
        /// The other value.
        second: String,
        /// The fragment that asks for that.
        second_file: PathBuf,
    },
    /// Kconfig did not accept what the fragments ask for.
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
        /// Program and what it was to do.
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
    /// A file could not be read, written, …
    #[error("cannot {action} {path}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// Says what an I/O error was about.
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
