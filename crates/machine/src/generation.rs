//! Which process this is, of those that come from each other by `fork(2)`: what a
//! kernel is compared with that may be the parent's (`process/fork.rs`).

use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;

/// How many forks lie between this process and the first one. Relaxed: it
/// changes while the process has one thread.
static GENERATION: AtomicU32 = AtomicU32::new(0);

/// The number of this process.
pub(crate) fn generation() -> u32 {
    GENERATION.load(Relaxed)
}

/// This is a child of `fork(2)`.
pub(crate) fn forked() {
    GENERATION.fetch_add(1, Relaxed);
}
