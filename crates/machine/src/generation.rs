//! The process's number in a chain of `fork(2)`s, to recognise a kernel of the parent
//! (`process/fork.rs`).

use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;

/// The number of forks from the first process to this one. Relaxed: it changes while the
/// process has one thread.
static GENERATION: AtomicU32 = AtomicU32::new(0);

/// This process's number.
pub(crate) fn generation() -> u32 {
    GENERATION.load(Relaxed)
}

/// Called in a child of `fork(2)`: counts.
pub(crate) fn forked() {
    GENERATION.fetch_add(1, Relaxed);
}
