//! [`with_deadline`]: deadlines for a thread's calls into kernels.

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

/// Runs `f` with a deadline for this thread's calls into kernels. An earlier deadline
/// that is in force already stays so.
///
/// At the deadline, a call that still waits for the CPU is given up, and a call that
/// blocks in the kernel is interrupted; both return
/// [`Error::TimedOut`](crate::Error::TimedOut). A call that cannot be interrupted (it
/// waits for a slow disk, see `signal(7)`) or that is computing is completed. A call that
/// has done part of its work returns that part.
///
/// The deadline holds for the thread, so also for calls of a signal handler that
/// interrupts `f`: they may return [`Error::TimedOut`](crate::Error::TimedOut), even
/// where they are not refused with [`Error::Reentered`](crate::Error::Reentered). A
/// handler can make its calls within [`without_deadline`].
///
/// Calls that do not wait take no longer.
pub fn with_deadline<T>(deadline: Instant, f: impl FnOnce() -> T) -> T {
    let context = context();
    let before = context.deadline.get();
    let _restore = Restore { context, before };
    let deadline = before.map_or(deadline, |outer| outer.min(deadline));
    context.deadline.set(Some(deadline));
    f()
}

/// Runs `f` without a deadline, such as code that must release something. Halting a
/// kernel and dropping values never have one.
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
