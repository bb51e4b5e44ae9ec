//! Deadlines for calls that block.

use std::cell::Cell;
use std::time::Instant;

thread_local! {
    static DEADLINE: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// Restores the deadline when it is dropped.
struct Restore(Option<Instant>);

impl Drop for Restore {
    fn drop(&mut self) {
        DEADLINE.set(self.0);
    }
}

/// Runs `f`, whose calls into kernels, by this thread, are to be over by
/// `deadline` (or by an earlier one that is in force already).
///
/// A call that waits for the CPU is not made, one that blocks in the kernel is
/// interrupted; both end with [`Error::TimedOut`](crate::Error::TimedOut). What
/// cannot be interrupted (a disk that is slow, `signal(7)`) is waited for, and a
/// call that is computing is completed. A call that has done part of its work
/// returns that part.
///
/// It costs a call that does not wait nothing.
pub fn with_deadline<T>(deadline: Instant, f: impl FnOnce() -> T) -> T {
    let before = DEADLINE.get();
    let _restore = Restore(before);
    DEADLINE.set(Some(before.map_or(deadline, |outer| outer.min(deadline))));
    f()
}

/// Runs `f` without a deadline: what gives something back must not fail because
/// time is short. Halting and all that a drop does are without one anyway.
pub fn without_deadline<T>(f: impl FnOnce() -> T) -> T {
    let _restore = Restore(DEADLINE.take());
    f()
}

/// The deadline of the current thread's calls.
pub(crate) fn current() -> Option<Instant> {
    DEADLINE.get()
}
