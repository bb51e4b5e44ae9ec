//! [`Progress`]: the trait that receives progress, errors and warnings of work.

use crate::Error;

/// Receives progress, errors and warnings. The default methods do nothing.
pub trait Progress: Sync {
    /// Whether to compute the total first, which takes a walk through the tree.
    fn wants_total(&self) -> bool {
        false
    }

    /// Adds bytes to the total.
    fn add_total(&self, _bytes: u64) {}

    /// Called when `count` more bytes are done.
    fn bytes(&self, _count: u64) {}

    /// Called when a file is done.
    fn file(&self) {}

    /// Whether to call [`Progress::name`].
    fn wants_names(&self) -> bool {
        false
    }

    /// Called with the path of the next file.
    fn name(&self, _path: &str) {}

    /// Called with an error of one file or attribute. The work goes on.
    fn error(&self, _error: &Error) {}

    /// Called with a warning.
    fn warning(&self, _text: &str) {}
}

/// A [`Progress`] that ignores everything.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {}
