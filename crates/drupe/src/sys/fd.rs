//! Owned file descriptors of a kernel.

use std::fmt;
use std::sync::Arc;

use drupe_machine::without_deadline;

use super::call::Sys;
use super::nr;

/// A file descriptor that is closed when dropped.
///
/// # Invariants
/// `raw` is open in the kernel behind `sys` and nothing else closes it.
pub(crate) struct OwnedFd {
    sys: Arc<Sys>,
    raw: i32,
}

impl OwnedFd {
    /// Takes over `raw`, fresh from a system call that opens.
    pub(super) fn new(sys: &Arc<Sys>, raw: usize) -> OwnedFd {
        // INVARIANT: only the functions of this module's parent call this, with
        // what an opening system call has just returned.
        OwnedFd {
            sys: Arc::clone(sys),
            raw: raw as i32,
        }
    }

    pub(crate) fn raw(&self) -> i32 {
        self.raw
    }

    pub(crate) fn sys(&self) -> &Arc<Sys> {
        &self.sys
    }
}

impl Drop for OwnedFd {
    fn drop(&mut self) {
        // A dead or halted kernel has no descriptors left to leak.
        let _ = without_deadline(|| self.sys.plain(nr::CLOSE, [self.raw as usize]));
    }
}

impl fmt::Debug for OwnedFd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "fd {}", self.raw)
    }
}
