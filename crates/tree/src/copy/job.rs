//! [`Job`]: options, buffers and error count of one copy, shared by all its groups of
//! sources.

use drupe::{Buffer, Errno, Mount};

use super::keep::{Keep, Refused};
use super::replace::Replacing;
use crate::error::{Error, Result};
use crate::{Interrupt, Outcome, Progress};

/// Bytes of a large file that are copied at once; fewer if the kernel has no contiguous
/// memory of that size.
const PIECE: usize = 1 << 20;
/// The options and the state of a copy.
pub(crate) struct Job<'a> {
    /// A mount on one of the sides, whose kernel provides the buffers.
    pub(super) mount: &'a Mount,
    pub(super) keep: Keep<'a>,
    pub(super) replacing: &'a Replacing,
    pub(super) interrupt: &'a Interrupt,
    pub(super) progress: &'a dyn Progress,
    /// Buffers for [`Data::Large`](super::event::Data::Large), allocated when first
    /// needed.
    pub(super) buffers: Vec<Buffer>,
    /// The number of errors.
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

    /// The value of a result; an error is reported and counted.
    pub(super) fn accept<T>(&mut self, found: Result<T>) -> Option<T> {
        found.map_err(|error| self.report(&error)).ok()
    }

    pub(super) fn report(&mut self, error: &Error) {
        self.progress.error(error);
        self.errors += 1;
    }

    /// The outcome of the copy. With `tell`, warns of attributes that the target refused.
    pub(crate) fn finish(self, done: Result<()>, tell: bool) -> Result<Outcome> {
        if tell {
            self.refused.warn(self.progress);
        }
        done.map(|()| Outcome {
            errors: self.errors,
        })
    }

    /// Takes free buffers, or allocates new ones.
    pub(super) fn take_buffers(&mut self, count: usize) -> Result<Vec<Buffer>> {
        while self.buffers.len() < count {
            self.buffers.push(allocate(self.mount)?);
        }
        let rest = self.buffers.len() - count;
        Ok(self.buffers.split_off(rest))
    }
}

/// Allocates the largest contiguous buffer that the kernel has, up to [`PIECE`].
pub(crate) fn allocate(mount: &Mount) -> Result<Buffer> {
    let mut len = PIECE;
    loop {
        match mount.buffer(len) {
            Err(error) if error.errno() == Some(Errno::NOMEM) && len > 64 << 10 => len /= 2,
            result => return Ok(result?),
        }
    }
}
