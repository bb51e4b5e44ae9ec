//! What can be wrong with a description, a disk, or both together.

use std::io;
use std::path::PathBuf;

/// A [`Result`](std::result::Result) of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Why there is no partition table.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A line of a definition file.
    #[error("{}:{line}: {reason}", file.display())]
    Setting {
        /// The file.
        file: PathBuf,
        /// The line, from 1; 0: the file as a whole.
        line: usize,
        /// What is wrong, and what to do.
        reason: String,
    },
    /// A file or directory of definitions cannot be read.
    #[error("cannot read {}: {cause}", path.display())]
    Read {
        /// The file or directory.
        path: PathBuf,
        /// The host's error.
        cause: io::Error,
    },
    /// The partitions do not fit on the disk.
    #[error("{file}: the partition needs at least {needed} bytes, and does not fit on the disk")]
    NoRoom {
        /// The first definition without room.
        file: String,
        /// Bytes that it needs, with the padding behind it.
        needed: u64,
    },
    /// The disk cannot have such a partition table.
    #[error("the disk cannot be partitioned: {0}")]
    Disk(String),
    /// The disk cannot be read or written.
    #[error("cannot {operation} the partition table: {cause}")]
    Table {
        /// What was tried: "read", "write".
        operation: &'static str,
        /// Why not.
        cause: gptman::Error,
    },
}
