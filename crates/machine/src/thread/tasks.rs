//! Host tasks: a thread of the program has one in every kernel that it calls, from its
//! first call until the thread ends.

use super::Context;
use crate::error::Error;
use crate::instance::Instance;
use crate::sync::lock;
use drupe_abi::op;
use std::sync::{Arc, Mutex, Weak};

/// A host task as other threads refer to it, to interrupt it.
#[derive(Debug)]
pub(crate) struct Task {
    handle: u64,
    /// `false` once it has been told to exit.
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

/// The host task of a thread in one kernel.
pub(super) struct HostTask {
    kernel: Weak<Instance>,
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
            let _ =
                unsafe { kernel.call(super::context(), self.task.handle, op::TASK_EXIT, [0; 6]) };
        }
    }
}

impl Context {
    /// The handle of the thread's host task in `kernel`, which is made if need be.
    #[inline]
    pub(crate) fn task(&'static self, kernel: &Arc<Instance>) -> Result<u64, Error> {
        let (id, handle) = self.last.get();
        if id == kernel.id {
            return Ok(handle);
        }
        let handle = self.find_task(kernel)?.handle;
        self.unblock_fault_signals();
        Ok(handle)
    }

    /// The thread's host task in `kernel`, which is made if need be.
    #[cold]
    pub(crate) fn find_task(&'static self, kernel: &Arc<Instance>) -> Result<Arc<Task>, Error> {
        if kernel.is_forked() {
            return Err(Error::Forked);
        }
        // A thread that serves disks has no task, so it comes past here.
        if self.is_serving(kernel.id) {
            return Err(Error::Reentered);
        }
        let known = {
            // In use: this is a signal handler, in the middle of this function.
            let mut tasks = self.tasks.try_borrow_mut().map_err(|_| Error::Reentered)?;
            tasks.retain(|task| task.kernel.strong_count() > 0);
            let mine = tasks.iter().find(|task| task.id == kernel.id);
            mine.map(|mine| Arc::clone(&mine.task))
        };
        let task = match known {
            Some(task) => task,
            None => {
                let task = Arc::new(self.create_task(kernel)?);
                self.arm();
                self.tasks.borrow_mut().push(HostTask {
                    kernel: Arc::downgrade(kernel),
                    id: kernel.id,
                    task: Arc::clone(&task),
                });
                task
            }
        };
        if !self.blocks_fault_signals() {
            self.last.set((kernel.id, task.handle));
        }
        Ok(task)
    }

    /// Has process 1 make the task, as a thread of itself.
    fn create_task(&'static self, kernel: &Instance) -> Result<Task, Error> {
        self.look_at_fault_signals();
        let mut name = [0u8; 16];
        // SAFETY: the buffer has the 16 bytes that PR_GET_NAME writes.
        unsafe { libc::prctl(libc::PR_GET_NAME, name.as_mut_ptr()) };
        let args = [name.as_ptr() as u64, 0, 0, 0, 0, 0];
        // SAFETY: the name is NUL-terminated and lives until the call is complete.
        let handle = unsafe { kernel.ask_init(self, op::TASK_NEW, args)? };
        Ok(Task {
            handle: handle as u64,
            alive: Mutex::new(true),
        })
    }
}
