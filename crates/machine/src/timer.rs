//! The helper thread of a kernel: its timer, and what others left undone.
//!
//! The kernel sets one deadline at a time, often; the thread sleeps until some
//! deadline that was the earliest when it went to sleep. It is woken only for
//! an earlier one: a later one it finds out when it wakes anyway.
//!
//! Memory order: `set` stores the deadline and then reads `armed`; the thread
//! stores `armed` and then reads the deadline again. All four are SeqCst, so at
//! least one of the two sees the other's value: no deadline is slept through.

use crate::kernel::Kernel;
use drupe_abi::{NO_DEADLINE, irq};
use drupe_host::futex;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64};

/// State shared with the helper thread.
#[derive(Debug)]
pub(crate) struct Timer {
    /// What the kernel asked for last.
    deadline: AtomicU64,
    /// Until when the thread sleeps.
    armed: AtomicU64,
    /// Changes whenever the thread must look again; what it sleeps on.
    changed: AtomicU32,
    /// Tasks are runnable and nobody runs them.
    work_left: AtomicBool,
    quit: AtomicBool,
}

impl Timer {
    pub(crate) fn new() -> Timer {
        Timer {
            deadline: AtomicU64::new(NO_DEADLINE),
            armed: AtomicU64::new(NO_DEADLINE),
            changed: AtomicU32::new(0),
            work_left: AtomicBool::new(false),
            quit: AtomicBool::new(false),
        }
    }

    /// The kernel's next timer interrupt is due at `deadline`.
    pub(crate) fn set(&self, deadline: u64) {
        self.deadline.store(deadline, SeqCst);
        if deadline < self.armed.load(SeqCst) {
            self.wake();
        }
    }

    /// The caller leaves runnable tasks behind.
    pub(crate) fn take_over(&self) {
        self.work_left.store(true, SeqCst);
        self.wake();
    }

    /// Ends the thread.
    pub(crate) fn quit(&self) {
        self.quit.store(true, SeqCst);
        self.wake();
    }

    fn wake(&self) {
        self.changed.fetch_add(1, SeqCst);
        futex::wake(&self.changed, 1);
    }

    /// The thread's life.
    pub(crate) fn serve(&self, kernel: &Kernel) {
        loop {
            let seen = self.changed.load(SeqCst);
            if self.quit.load(SeqCst) {
                return;
            }
            if self.work_left.swap(false, SeqCst) {
                // SAFETY: no call is brought.
                if unsafe { kernel.run(std::ptr::null_mut()) }.is_err() {
                    return;
                }
                continue;
            }
            let deadline = self.deadline.load(SeqCst);
            let now = kernel.clock();
            if deadline <= now {
                self.expire(kernel, deadline);
                continue;
            }
            self.armed.store(deadline, SeqCst);
            if self.deadline.load(SeqCst) == deadline {
                let timeout = (deadline != NO_DEADLINE).then(|| deadline - now);
                futex::wait(&self.changed, seen, timeout);
            }
            self.armed.store(0, SeqCst);
        }
    }

    fn expire(&self, kernel: &Kernel, deadline: u64) {
        // Unless the kernel has set another one meanwhile.
        let _ = self
            .deadline
            .compare_exchange(deadline, NO_DEADLINE, SeqCst, SeqCst);
        if kernel.draining.load(Relaxed) {
            // A hint: at worst the holder leaves early, or one tick later.
            kernel.interrupt(irq::YIELD);
        }
        kernel.interrupt(irq::TIMER);
    }
}
