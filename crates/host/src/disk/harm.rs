//! [`Harm`]: an image file in use was cut short or removed by another program.

use std::fmt;

/// What another program did to an image file while it was in use. Locks (flock(2)) do not
/// prevent this, since they bind only programs that lock too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Harm {
    /// The file is shorter than before: the data behind its new end is lost.
    Cut {
        /// Its size in bytes when it was opened.
        size: u64,
        /// Its size in bytes now.
        now: u64,
    },
    /// The file has no name any more, so what was written to it cannot be opened again.
    Removed,
}

impl fmt::Display for Harm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Harm::Cut { size, now } => write!(
                f,
                "the image file was cut from {size} to {now} bytes while it was in use"
            ),
            Harm::Removed => f.write_str(
                "the image file was removed while it was in use: \
                 what was written went to a file that nobody can find any more",
            ),
        }
    }
}
