//! Host tasks: each application thread has one of its own in every kernel it
//! calls, made at the first call, ended with the thread.

use crate::error::Error;
use crate::kernel::{Kernel, lock};
use drupe_abi::op;
use std::cell::{Cell, RefCell};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Weak};

/// The host task of the current thread in one kernel.
struct HostTask {
    kernel: Weak<Kernel>,
    id: u64,
    handle: u64,
}

impl Drop for HostTask {
    fn drop(&mut self) {
        if let Some(kernel) = self.kernel.upgrade() {
            // A kernel that has ended has no tasks.
            // SAFETY: the request has no arguments.
            let _ = unsafe { kernel.call(self.handle, op::TASK_EXIT, [0; 6]) };
        }
    }
}

thread_local! {
    /// Kernel and handle of the last call.
    static LAST: Cell<(u64, u64)> = const { Cell::new((0, 0)) };
    static TASKS: RefCell<Vec<HostTask>> = const { RefCell::new(Vec::new()) };
}

/// The handle of the current thread's host task in `kernel`.
#[inline]
pub(crate) fn current(kernel: &Arc<Kernel>) -> Result<u64, Error> {
    let (id, handle) = LAST.get();
    if id == kernel.id {
        return Ok(handle);
    }
    find(kernel)
}

#[cold]
fn find(kernel: &Arc<Kernel>) -> Result<u64, Error> {
    let known = TASKS
        .try_with(|tasks| {
            let mut tasks = tasks.borrow_mut();
            tasks.retain(|task| task.kernel.strong_count() > 0);
            tasks.iter().find(|t| t.id == kernel.id).map(|t| t.handle)
        })
        // The thread is ending: its tasks have ended already.
        .map_err(|_| Error::Halted)?;
    let handle = match known {
        Some(handle) => handle,
        None => {
            let handle = create(kernel)?;
            let task = HostTask {
                kernel: Arc::downgrade(kernel),
                id: kernel.id,
                handle,
            };
            TASKS.with(|tasks| tasks.borrow_mut().push(task));
            handle
        }
    };
    LAST.set((kernel.id, handle));
    Ok(handle)
}

/// Process 1 makes the task, as a thread of itself.
fn create(kernel: &Kernel) -> Result<u64, Error> {
    let mut name = [0u8; 16];
    // SAFETY: the buffer has the 16 bytes that PR_GET_NAME writes.
    unsafe { libc::prctl(libc::PR_GET_NAME, name.as_mut_ptr()) };
    let init = kernel.init_task.load(Relaxed);
    let _one = lock(&kernel.init_lock);
    // SAFETY: the name is NUL-terminated and lives until the call is complete.
    let handle = unsafe { kernel.call(init, op::TASK_NEW, [name.as_ptr() as u64, 0, 0, 0, 0, 0])? };
    Ok(handle as u64)
}
