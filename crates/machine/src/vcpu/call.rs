//! A call into a kernel: from the calling thread to its host task and back.
//!
//! The thread takes the CPU, enters with its request, and runs the kernel until
//! the call is complete. If the call blocks, the machine becomes idle; the
//! thread releases the CPU and waits outside, until whoever runs the kernel
//! later completes it, or until its deadline (`deadline.rs`): then it asks
//! process 1 to interrupt the call, and waits for the end that comes of it.

use crate::error::Error;
use crate::kernel::{Futex, Kernel, lock, result};
use crate::process::fault;
use crate::thread::deadline;
use drupe_abi::{self as abi, Errno, op};
use drupe_cpu::{Completion, Outcome, Refused};
use std::sync::atomic::Ordering::Relaxed;

/// A request and the word its thread waits on. The kernel is given the address
/// of `request`, which is that of the call.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Call {
    pub(crate) request: abi::Request,
    pub(crate) completion: Completion,
}

impl Call {
    pub(crate) fn new(task: u64, nr: u64, args: [u64; 6]) -> Call {
        Call {
            request: abi::Request {
                nr,
                args,
                task,
                ret: 0,
            },
            completion: Completion::new(),
        }
    }
}

impl Kernel {
    /// Runs request `nr` on the host task `task`.
    ///
    /// # Safety
    ///
    /// The arguments must be valid for what the request does with them, until
    /// this returns.
    #[inline]
    pub(crate) unsafe fn call(&self, task: u64, nr: u64, args: [u64; 6]) -> Result<usize, Error> {
        let mut call = Call::new(task, nr, args);
        // SAFETY: passed on.
        unsafe { self.complete(&mut call)? };
        Ok(result(call.request.ret)?)
    }

    /// Runs request `nr` on process 1, which serves one at a time. Without a
    /// deadline: who interrupts a call asks process 1 too.
    ///
    /// # Safety
    ///
    /// As for [`Kernel::call`].
    pub(crate) unsafe fn ask_init(&self, nr: u64, args: [u64; 6]) -> Result<usize, Error> {
        if fault::is_inside() {
            return Err(Error::Reentered);
        }
        if self.is_forked() {
            return Err(Error::Forked);
        }
        let _one = lock(&self.init_lock);
        let init = self.init_task.load(Relaxed);
        // SAFETY: passed on.
        deadline::without_deadline(|| unsafe { self.call(init, nr, args) })
    }

    /// Runs `call` until it is complete.
    ///
    /// # Safety
    ///
    /// As for [`Kernel::call`].
    #[inline]
    pub(crate) unsafe fn complete(&self, call: &mut Call) -> Result<(), Error> {
        if fault::is_inside() {
            return Err(Error::Reentered);
        }
        let _inside = fault::inside(self);
        // SAFETY: passed on.
        unsafe { self.complete_inside(call) }
    }

    /// Like [`Kernel::complete`], for a thread that counts as inside.
    ///
    /// # Safety
    ///
    /// As for [`Kernel::call`]; the thread does not hold the CPU.
    #[inline]
    unsafe fn complete_inside(&self, call: *mut Call) -> Result<(), Error> {
        // SAFETY: the call stays in place until it is complete or refused.
        unsafe { self.run(call) }.map_err(|refused| self.refused(refused))?;
        // SAFETY: a completion may be looked at by anybody.
        let outcome = match unsafe { &(*call).completion }.poll() {
            Some(outcome) => outcome,
            // SAFETY: as above.
            None => unsafe { self.wait_outside(call)? },
        };
        match outcome {
            Outcome::Done => Ok(()),
            Outcome::Abandoned => Err(self.end_error()),
        }
    }

    #[cold]
    fn refused(&self, refused: Refused) -> Error {
        match refused {
            Refused::TimedOut => Error::TimedOut,
            Refused::Halted | Refused::Cancelled => self.end_error(),
        }
    }

    /// Waits until a call that was brought is complete.
    ///
    /// # Safety
    ///
    /// As for [`Kernel::complete_inside`].
    #[cold]
    unsafe fn wait_outside(&self, call: *mut Call) -> Result<Outcome, Error> {
        // SAFETY: the call is in place, and its completion for all to look at.
        let completion = unsafe { &(*call).completion };
        let address = &raw const *completion as usize;
        {
            let mut waiters = lock(&self.waiters);
            if waiters.ended {
                return Ok(completion.poll().unwrap_or(Outcome::Abandoned));
            }
            waiters.waiting.insert(address);
        }
        let in_time = completion.wait(&self.spin, deadline::current(), &Futex);
        let outcome = in_time.unwrap_or_else(|| {
            // SAFETY: passed on.
            unsafe { self.interrupt_own(call) };
            let outcome = completion.wait(&self.spin, None, &Futex);
            outcome.expect("there is no deadline")
        });
        lock(&self.waiters).waiting.remove(&address);
        // SAFETY: what is done is ours again.
        let interrupted = outcome == Outcome::Done
            && unsafe { (*call).request.ret } == -i64::from(Errno::INTR.raw_os_error());
        if in_time.is_none() && interrupted {
            return Err(Error::TimedOut);
        }
        Ok(outcome)
    }

    /// Interrupts a call of this thread that takes too long.
    ///
    /// # Safety
    ///
    /// As for [`Kernel::wait_outside`].
    unsafe fn interrupt_own(&self, call: *mut Call) {
        // SAFETY: the task of a request that was brought does not change.
        let (task, request) = unsafe { ((*call).request.task, &raw const (*call).request) };
        let args = [task, request as u64, 0, 0, 0, 0];
        let init = self.init_task.load(Relaxed);
        let mut interrupt = Call::new(init, op::TASK_INTERRUPT, args);
        let _one = lock(&self.init_lock);
        // A kernel that has ended has abandoned the call.
        // SAFETY: the arguments are valid, and the thread waits outside.
        let _ = deadline::without_deadline(|| unsafe { self.complete_inside(&mut interrupt) });
    }
}
