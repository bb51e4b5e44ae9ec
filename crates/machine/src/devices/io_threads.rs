//! Threads that wait for disks, so that the CPU does not.
//!
//! A request that may have to wait is queued here; the thread that runs the
//! kernel goes on. When it is served, its thread raises the disk interrupt, and
//! the kernel's handler takes it back. Threads are started when there is more
//! work than they can take, and end with the kernel.

use crate::instance::{Instance, lock};
use drupe_abi::{Io, irq};
use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, PoisonError, RwLock, RwLockWriteGuard};

/// How many requests wait for the host at the same time.
const MAX_THREADS: usize = 4;

/// A request of the kernel, on its way.
///
/// # Invariants
///
/// Ours alone until it is handed back by [`IoThreads::reap`] (`asm/host.h`).
#[derive(Debug)]
struct Pending(*mut Io);

// SAFETY: nobody else touches the request while it is pending.
unsafe impl Send for Pending {}

#[derive(Debug, Default)]
struct Queue {
    submitted: VecDeque<Pending>,
    completed: VecDeque<Pending>,
    threads: usize,
    idle: usize,
    quit: bool,
}

/// Requests to disks that wait, and the threads that serve them.
#[derive(Debug, Default)]
pub(crate) struct IoThreads {
    queue: Mutex<Queue>,
    submitted: Condvar,
    /// Held for reading while a thread serves a request, which may write to
    /// RAM; for writing by who must keep RAM as it is.
    serving: RwLock<()>,
}

impl IoThreads {
    /// Queues `io`. `false`: no thread can be had; the caller must serve it.
    pub(crate) fn submit(&self, kernel: &Instance, io: *mut Io) -> bool {
        let mut queue = lock(&self.queue);
        if queue.idle <= queue.submitted.len() && queue.threads < MAX_THREADS {
            if kernel
                .spawn("drupe-io", |kernel| kernel.io_threads.serve(kernel))
                .is_ok()
            {
                queue.threads += 1;
            } else if queue.threads == 0 {
                return false;
            }
        }
        queue.submitted.push_back(Pending(io));
        self.submitted.notify_one();
        true
    }

    /// Hands a completed request back, if there is one.
    pub(crate) fn reap(&self) -> Option<*mut Io> {
        lock(&self.queue).completed.pop_front().map(|io| io.0)
    }

    /// Waits until no thread serves a request, and lets none begin while the
    /// result lives. They need nothing of who waits here, so they will end.
    pub(crate) fn pause(&self) -> RwLockWriteGuard<'_, ()> {
        self.serving.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the threads; what they serve at the moment is finished first.
    pub(crate) fn quit(&self) {
        lock(&self.queue).quit = true;
        self.submitted.notify_all();
    }

    fn next(&self) -> Option<Pending> {
        let mut queue = lock(&self.queue);
        loop {
            if queue.quit {
                return None;
            }
            if let Some(io) = queue.submitted.pop_front() {
                return Some(io);
            }
            queue.idle += 1;
            queue = self
                .submitted
                .wait(queue)
                .unwrap_or_else(PoisonError::into_inner);
            queue.idle -= 1;
        }
    }

    fn serve(&self, kernel: &Instance) {
        while let Some(io) = self.next() {
            {
                let _serving = self.serving.read().unwrap_or_else(PoisonError::into_inner);
                // SAFETY: pending, so ours.
                unsafe { kernel.disks.serve(&mut *io.0) };
            }
            lock(&self.queue).completed.push_back(io);
            kernel.vcpu().interrupt(irq::DISK);
        }
    }
}
