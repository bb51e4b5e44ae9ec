//! Requests to disks that may have to wait, and are served by threads
//! (`operations/io_threads.rs`), so that the CPU does not wait.

use crate::memory::lent::Loan;
use crate::sync::lock;
use drupe_abi::Io;
use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, PoisonError};

/// How many requests wait for the host at the same time.
const MAX_THREADS: usize = 4;

/// A request of the kernel, on its way.
///
/// # Invariants
///
/// Ours alone until it is handed back by [`IoQueue::reap`] (`asm/host.h`). The
/// loan is that of the memory that it fills.
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

/// Requests to disks that wait, and the threads that serve them.
#[derive(Debug, Default)]
pub(crate) struct IoQueue {
    queue: Mutex<Queue>,
    submitted: Condvar,
}

impl IoQueue {
    /// Queues the request that `io` takes over, and first has `start` start one more
    /// thread if those that there are have enough to do. `false`: there is none, and
    /// `start` starts none; the caller must serve it.
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

    /// The next request, waited for, for one of the threads; `None`: it has to end.
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

    /// A request has been served.
    pub(crate) fn complete(&self, io: Pending) {
        lock(&self.queue).completed.push_back(io);
    }

    /// Hands a completed request back, if there is one.
    pub(crate) fn reap(&self) -> Option<*mut Io> {
        lock(&self.queue).completed.pop_front().map(|io| io.0)
    }

    /// Ends the threads; what they serve at the moment is finished first.
    pub(crate) fn quit(&self) {
        lock(&self.queue).quit = true;
        self.submitted.notify_all();
    }
}
