//! [`IoQueue`]: disk requests that may block. Threads serve them
//! (`operations/io_threads.rs`) while the CPU goes on.

use crate::memory::lent::Loan;
use crate::sync::lock;
use drupe_abi::Io;
use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, PoisonError};

/// The number of threads, and so of requests that are served at the same time.
const MAX_THREADS: usize = 4;

/// A disk request of the kernel that is not complete.
///
/// # Invariants
///
/// The kernel does not touch the request until [`IoQueue::reap`] returns it
/// (`asm/host.h`). The loan covers the memory that the request fills.
#[derive(Debug)]
pub(crate) struct Pending(pub(crate) *mut Io, pub(crate) Option<Loan>);

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

/// Disk requests that wait to be served or to be returned to the kernel.
#[derive(Debug, Default)]
pub(crate) struct IoQueue {
    queue: Mutex<Queue>,
    submitted: Condvar,
}

impl IoQueue {
    /// Queues the request that `io` returns. Calls `start` first, to start one more
    /// thread, if all threads are busy. `false`: there is no thread, and `start` could
    /// not start one; the caller must serve the request.
    pub(crate) fn submit(
        &self,
        start: impl FnOnce() -> bool,
        io: impl FnOnce() -> Pending,
    ) -> bool {
        let mut queue = lock(&self.queue);
        if queue.idle <= queue.submitted.len() && queue.threads < MAX_THREADS {
            if start() {
                queue.threads += 1;
            } else if queue.threads == 0 {
                return false;
            }
        }
        queue.submitted.push_back(io());
        self.submitted.notify_one();
        true
    }

    /// Waits for the next request. `None`: the calling thread has to end.
    pub(crate) fn next(&self) -> Option<Pending> {
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

    /// Puts back a request that has been served.
    pub(crate) fn complete(&self, io: Pending) {
        lock(&self.queue).completed.push_back(io);
    }

    /// Takes a served request, for the kernel, if there is one.
    pub(crate) fn reap(&self) -> Option<*mut Io> {
        lock(&self.queue).completed.pop_front().map(|io| io.0)
    }

    /// Ends the threads once they have finished their current requests.
    pub(crate) fn quit(&self) {
        lock(&self.queue).quit = true;
        self.submitted.notify_all();
    }
}
