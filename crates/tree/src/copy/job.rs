//! [`Job`]: what all groups of sources of one copy share.

use drupe::{Buffer, Errno, Mount};

use super::keep::{Keep, Refused};
use super::replace::Replacing;
use crate::error::{Error, Result};
use crate::{Interrupt, Outcome, Progress};

/// Bytes of a large file copied at once; less if the kernel does not have that
/// much in one piece.
const PIECE: usize = 1 << 20;
/// A copy: its options, and how it has gone so far.
pub(crate) struct Job<'a> {
    /// An image at one of the ends: buffers are of its kernel's memory.
    pub(super) mount: &'a Mount,
    pub(super) keep: Keep<'a>,
    pub(super) replacing: &'a Replacing,
    pub(super) interrupt: &'a Interrupt,
    pub(super) progress: &'a dyn Progress,
    /// For [`Data::Large`](super::event::Data::Large); made when first needed.
    pub(super) buffers: Vec<Buffer>,
    /// What could not be copied.
    pub(super) errors: u64,
    pub(super) refused: Refused,
}

impl<'a> Job<'a> {
    pub(crate) fn new(
        mount: &'a Mount,
        keep: Keep<'a>,
        replacing: &'a Replacing,
        interrupt: &'a Interrupt,
        progress: &'a dyn Progress,
    ) -> Job<'a> {
        Job {
            mount,
            keep,
            replacing,
            interrupt,
            progress,
            buffers: Vec::new(),
            errors: 0,
            refused: Refused::default(),
        }
    }

    /// What there is to copy, or `None`, and the error is reported.
    pub(super) fn accept<T>(&mut self, found: Result<T>) -> Option<T> {
        found.map_err(|error| self.report(&error)).ok()
    }

    pub(super) fn report(&mut self, error: &Error) {
        self.progress.error(error);
        self.errors += 1;
    }

    /// How the work went; with `tell`, that the target refused attributes is a warning.
    pub(crate) fn finish(self, done: Result<()>, tell: bool) -> Result<Outcome> {
        if tell {
            self.refused.warn(self.progress);
        }
        done.map(|()| Outcome {
            errors: self.errors,
        })
    }

    /// Takes buffers from those there are, or makes them.
    pub(super) fn take_buffers(&mut self, count: usize) -> Result<Vec<Buffer>> {
        while self.buffers.len() < count {
            self.buffers.push(allocate(self.mount)?);
        }
        let rest = self.buffers.len() - count;
        Ok(self.buffers.split_off(rest))
    }
}

/// As large a buffer as the kernel has in one piece.
pub(crate) fn allocate(mount: &Mount) -> Result<Buffer> {
    let mut len = PIECE;
    loop {
        match mount.buffer(len) {
            Err(error) if error.errno() == Some(Errno::NOMEM) && len > 64 << 10 => len /= 2,
            result => return Ok(result?),
        }
    }
}
