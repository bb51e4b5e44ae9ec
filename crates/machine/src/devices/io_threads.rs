//! Threads that wait for disks, so that the CPU does not.
//!
//! A request that may have to wait is queued here; the thread that runs the
//! kernel goes on. When it is served, its thread raises the disk interrupt, and
//! the kernel's handler takes it back. Threads are started when there is more
//! work than they can take, and end with the kernel.

use crate::instance::Instance;
use crate::memory::lent::{Borrower, Loan};
use crate::sync::lock;
use drupe_abi::{Io, io_op, irq};
use std::collections::VecDeque;
use std::ops::Range;
use std::slice;
use std::sync::{Condvar, Mutex, PoisonError};

/// How many requests wait for the host at the same time.
const MAX_THREADS: usize = 4;

/// A request of the kernel, on its way.
///
/// # Invariants
///
/// Ours alone until it is handed back by [`IoThreads::reap`] (`asm/host.h`). The
/// loan is that of the memory that it fills.
#[derive(Debug)]
struct Pending(*mut Io, Option<Loan>);

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
}

impl IoThreads {
    /// Queues `io`. `false`: no thread can be had; the caller must serve it.
    ///
    /// # Safety
    ///
    /// The request is ours until it is handed back.
    pub(crate) unsafe fn submit(&self, kernel: &Instance, io: *mut Io) -> bool {
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
        // SAFETY: ours, and nobody else has it yet. A disk may change the vectors
        // while it works with them: they are looked at now.
        let loan = unsafe {
            match (*io).op {
                io_op::READ => kernel.memory.lend(Borrower::Disk, targets(&*io)),
                _ => None,
            }
        };
        queue.submitted.push_back(Pending(io, loan));
        self.submitted.notify_one();
        true
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
        while let Some(mut io) = self.next() {
            // SAFETY: pending, so ours.
            unsafe { kernel.disks.serve(&mut *io.0) };
            if let Some(loan) = io.1.take() {
                kernel.memory.end_loan(loan);
            }
            lock(&self.queue).completed.push_back(io);
            kernel.vcpu().interrupt(irq::DISK);
        }
    }
}

/// The addresses that a read fills.
///
/// # Safety
///
/// The vectors of `io` are valid while the result lives.
unsafe fn targets(io: &Io) -> impl Iterator<Item = Range<usize>> {
    // SAFETY: as promised.
    let vectors = unsafe { slice::from_raw_parts(io.iov, io.iov_count as usize) };
    vectors.iter().map(|vector| {
        let start = vector.base.addr();
        start..start + vector.len as usize
    })
}
