//! [`Interrupter`]: interrupts calls of another thread.

use crate::error::Error;
use crate::instance::Instance;
use crate::thread::context;
use crate::thread::tasks::Task;
use std::sync::{Arc, Weak};

/// Interrupts the calls of one thread in one kernel. From
/// [`Machine::interrupter`](crate::Machine::interrupter).
#[derive(Debug, Clone)]
pub struct Interrupter {
    pub(crate) kernel: Weak<Instance>,
    pub(crate) task: Arc<Task>,
}

impl Interrupter {
    /// Ends the thread's current call with `EINTR` when it blocks, if `signal(7)` says
    /// that it can be interrupted. If the thread is in no call, this applies to its next
    /// one: a thread that checks a flag before each call cannot miss a flag that was set
    /// before this.
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
        kernel.check_forked()?;
        self.task
            .with_handle(|handle| kernel.interrupt_task(context(), handle, std::ptr::null()))
    }
}
