//! [`Harm`]: what somebody else does to an image file that is in use.

use std::fmt;

/// What has become of an image file while it was in use: locks (flock(2)) hold nobody off
/// who does not ask for one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Harm {
    /// It is shorter than it was: what was behind its new end is lost.
    Cut {
        /// Bytes that it had when it was opened.
        size: u64,
        /// Bytes that it has.
        now: u64,
    },
    /// It has no name any more: nobody can open what was written to it.
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
