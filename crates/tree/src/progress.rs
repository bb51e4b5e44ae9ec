//! [`Progress`]: what hears how far work is.

use crate::Error;

/// Hears how far work is, and of what could not be done. Does nothing by itself.
pub trait Progress: Sync {
    /// Whether to find out first how much there is to do, which takes a walk.
    fn wants_total(&self) -> bool {
        false
    }

    /// So many bytes more are to be done.
    fn add_total(&self, _bytes: u64) {}

    /// So many bytes are done.
    fn bytes(&self, _count: u64) {}

    /// A file is done.
    fn file(&self) {}

    /// Whether to tell names.
    fn wants_names(&self) -> bool {
        false
    }

    /// The path of what comes next.
    fn name(&self, _path: &str) {}

    /// A file, or something of it, could not be done; the rest is.
    fn error(&self, _error: &Error) {}

    /// Something that is no error.
    fn warning(&self, _text: &str) {}
}

/// Hears nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {}
