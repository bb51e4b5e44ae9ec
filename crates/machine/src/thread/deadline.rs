//! Deadlines for calls that block.

use super::{Context, context};
use std::time::Instant;

/// Restores the deadline when it is dropped.
struct Restore {
    context: &'static Context,
    before: Option<Instant>,
}

impl Drop for Restore {
    fn drop(&mut self) {
        self.context.deadline.set(self.before);
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
/// The deadline is the thread's. A signal handler that interrupts `f` and calls into a
/// kernel has it too: it may get [`Error::TimedOut`](crate::Error::TimedOut), also
/// where the thread was on its way into a call or out of it, and the handler's call is
/// not refused ([`Error::Reentered`](crate::Error::Reentered)). Calls that a handler
/// makes within [`without_deadline`] do not.
///
/// It costs a call that does not wait nothing.
pub fn with_deadline<T>(deadline: Instant, f: impl FnOnce() -> T) -> T {
    let context = context();
    let before = context.deadline.get();
    let _restore = Restore { context, before };
    let deadline = before.map_or(deadline, |outer| outer.min(deadline));
    context.deadline.set(Some(deadline));
    f()
}

/// Runs `f` without a deadline: what gives something back must not fail because
/// time is short. Halting and all that a drop does are without one anyway.
pub fn without_deadline<T>(f: impl FnOnce() -> T) -> T {
    let context = context();
    let before = context.deadline.take();
    let _restore = Restore { context, before };
    f()
}

impl Context {
    /// The deadline of the thread's calls.
    #[inline]
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.deadline.get()
    }
}
