//! Host tasks: each application thread has one of its own in every kernel it
//! calls, made at the first call, ended with the thread.

use crate::error::Error;
use crate::kernel::{Kernel, lock};
use drupe_abi::op;
use std::cell::{Cell, RefCell};
use std::sync::{Arc, Mutex, Weak};

/// A task that others may speak of.
#[derive(Debug)]
pub(crate) struct Task {
    handle: u64,
    /// It has not been told to exit.
    alive: Mutex<bool>,
}

impl Task {
    /// Calls `f` with the task's handle, which is valid meanwhile; or does
    /// nothing if the task has ended.
    pub(crate) fn with_handle(
        &self,
        f: impl FnOnce(u64) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let alive = lock(&self.alive);
        if *alive { f(self.handle) } else { Ok(()) }
    }
}

/// The host task of the current thread in one kernel.
struct HostTask {
    kernel: Weak<Kernel>,
    id: u64,
    task: Arc<Task>,
}

impl Drop for HostTask {
    fn drop(&mut self) {
        // A kernel that has ended has no tasks; one of the parent process keeps
        // those of the parent.
        if let Some(kernel) = self.kernel.upgrade()
            && !kernel.is_forked()
        {
            *lock(&self.task.alive) = false;
            // SAFETY: the request has no arguments.
            let _ = unsafe { kernel.call(self.task.handle, op::TASK_EXIT, [0; 6]) };
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
    Ok(find(kernel)?.handle)
}

/// Makes the current thread look again, at its next call.
pub(crate) fn forget_last() {
    LAST.set((0, 0));
}

/// The current thread's host task in `kernel`, made if there is none.
#[cold]
pub(crate) fn find(kernel: &Arc<Kernel>) -> Result<Arc<Task>, Error> {
    if kernel.is_forked() {
        return Err(Error::Forked);
    }
    let known = TASKS
        .try_with(|tasks| {
            let mut tasks = tasks.borrow_mut();
            tasks.retain(|task| task.kernel.strong_count() > 0);
            let mine = tasks.iter().find(|task| task.id == kernel.id);
            mine.map(|mine| Arc::clone(&mine.task))
        })
        // The thread is ending: its tasks have ended already.
        .map_err(|_| Error::Halted)?;
    let task = match known {
        Some(task) => task,
        None => {
            let task = Arc::new(create(kernel)?);
            let mine = HostTask {
                kernel: Arc::downgrade(kernel),
                id: kernel.id,
                task: Arc::clone(&task),
            };
            TASKS.with(|tasks| tasks.borrow_mut().push(mine));
            task
        }
    };
    LAST.set((kernel.id, task.handle));
    Ok(task)
}

/// Process 1 makes the task, as a thread of itself.
fn create(kernel: &Kernel) -> Result<Task, Error> {
    let mut name = [0u8; 16];
    // SAFETY: the buffer has the 16 bytes that PR_GET_NAME writes.
    unsafe { libc::prctl(libc::PR_GET_NAME, name.as_mut_ptr()) };
    let args = [name.as_ptr() as u64, 0, 0, 0, 0, 0];
    // SAFETY: the name is NUL-terminated and lives until the call is complete.
    let handle = unsafe { kernel.ask_init(op::TASK_NEW, args)? };
    Ok(Task {
        handle: handle as u64,
        alive: Mutex::new(true),
    })
}
