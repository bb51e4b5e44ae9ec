//! Interrupting a call of another thread.

use crate::error::Error;
use crate::kernel::Kernel;
use crate::thread::tasks::Task;
use drupe_abi::op;
use std::sync::{Arc, Weak};

/// Interrupts the calls of one thread in one kernel. From
/// [`Machine::interrupter`](crate::Machine::interrupter).
#[derive(Debug, Clone)]
pub struct Interrupter {
    pub(crate) kernel: Weak<Kernel>,
    pub(crate) task: Arc<Task>,
}

impl Interrupter {
    /// The call that the thread is in ends with `EINTR`, if it blocks or will
    /// and `signal(7)` says that it can be interrupted. If the thread is in no
    /// call, this holds for its next one: a thread that looks at a flag before
    /// each call cannot miss one that was set before this.
    ///
    /// A thread that has ended is not an error.
    ///
    /// # Errors
    ///
    /// [`Error::Halted`] or [`Error::Dead`] when the kernel has ended,
    /// [`Error::Reentered`] in a signal handler or a host operation,
    /// [`Error::Forked`].
    pub fn interrupt(&self) -> Result<(), Error> {
        let kernel = self.kernel.upgrade().ok_or(Error::Halted)?;
        self.task.with_handle(|handle| {
            // SAFETY: the task is there while we look at it; no request is meant.
            unsafe { kernel.ask_init(op::TASK_INTERRUPT, [handle, 0, 0, 0, 0, 0])? };
            Ok(())
        })
    }
}
