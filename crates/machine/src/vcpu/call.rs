//! [`Call`]: one request to a kernel, from the calling thread to a task and back.
//!
//! The thread takes the CPU, enters with its request, and runs the kernel until the call
//! is complete. If the call blocks, the machine becomes idle; the thread releases the CPU
//! and **waits outside** ([`Vcpu::wait_outside`]) until another thread that runs the
//! kernel completes the call. At its deadline (`deadline.rs`) it interrupts the call, and
//! waits until it ends.
//!
//! An interruption is a request too, but for no task: it is *posted*, and the holder of
//! the CPU takes it as an interrupt. So a deadline is met even while tasks, process 1
//! included, wait for something.

use super::blocked::Place;
use super::enter::Errand;
use super::timer::Guard;
use super::{Futex, Vcpu};
use crate::error::Error;
use crate::instance::{Instance, result};
use crate::thread::Context;
use crate::thread::deadline::without_deadline;
use drupe_abi::{self as abi, Errno, irq, op};
use drupe_cpu::inbox::{self, Post};
use drupe_cpu::{Completion, Outcome, PostIrq, Refused};
use std::ptr;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

/// A request and the word that its thread waits on. The kernel gets the address of
/// `request`, which is also that of the call.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Call {
    pub(crate) request: abi::Request,
    pub(super) completion: Completion,
    pub(super) place: Place,
}

impl Call {
    pub(crate) fn new(task: u64, nr: u64, args: [u64; 6]) -> Call {
        Call {
            request: abi::Request {
                nr,
                args,
                task,
                ret: 0,
                next: AtomicU64::new(0),
            },
            completion: Completion::new(),
            place: Place::new(),
        }
    }
}

/// A call as an inbox knows it, by its address and its link.
struct Posted(*mut Call);

impl Post for Posted {
    fn address(&self) -> u64 {
        self.0 as u64
    }
    fn next(&self) -> &AtomicU64 {
        // SAFETY: the call is in place while it is posted; the word is atomic.
        unsafe { &(*self.0).request.next }
    }
}

impl Instance {
    /// Runs request `nr` on the host task `task`.
    ///
    /// # Safety
    ///
    /// The arguments must be valid for what the request does with them, until
    /// this returns.
    #[inline]
    pub(crate) unsafe fn call(
        &self,
        context: &'static Context,
        task: u64,
        nr: u64,
        args: [u64; 6],
    ) -> Result<usize, Error> {
        let mut call = Call::new(task, nr, args);
        // SAFETY: passed on.
        unsafe { self.complete(context, &mut call)? };
        Ok(result(call.request.ret)?)
    }

    /// Runs request `nr` on process 1, which serves one request after the other.
    ///
    /// # Safety
    ///
    /// As for [`Instance::call`].
    pub(crate) unsafe fn ask_init(
        &self,
        context: &'static Context,
        nr: u64,
        args: [u64; 6],
    ) -> Result<usize, Error> {
        if self.is_forked() {
            return Err(Error::Forked);
        }
        // SAFETY: passed on.
        unsafe { self.call(context, self.init_task.load(Relaxed), nr, args) }
    }

    /// Runs `call` until it is complete.
    ///
    /// # Safety
    ///
    /// As for [`Instance::call`].
    #[inline]
    pub(crate) unsafe fn complete(
        &self,
        context: &'static Context,
        call: &mut Call,
    ) -> Result<(), Error> {
        if context.is_inside() {
            return Err(Error::Reentered);
        }
        let vcpu = self.vcpu();
        let result = {
            let _inside = context.enter(vcpu);
            // SAFETY: passed on.
            unsafe { vcpu.complete(context, call) }
        };
        context.do_deferred();
        result
    }

    /// Interrupts the request `request` of the host task `task`; if it is null, the
    /// task's current or next request.
    ///
    /// # Errors
    ///
    /// The kernel has ended.
    pub(crate) fn interrupt_task(
        &self,
        context: &'static Context,
        task: u64,
        request: *const abi::Request,
    ) -> Result<(), Error> {
        if context.is_inside() {
            return Err(Error::Reentered);
        }
        if self.is_forked() {
            return Err(Error::Forked);
        }
        let result = {
            let _inside = context.enter(self.vcpu());
            self.post_interrupt(task, request)
        };
        context.do_deferred();
        result
    }

    /// Posts the interruption and waits until the kernel has taken it.
    fn post_interrupt(&self, task: u64, request: *const abi::Request) -> Result<(), Error> {
        let args = [task, request as u64, 0, 0, 0, 0];
        let mut call = Call::new(0, op::TASK_INTERRUPT, args);
        let call = &raw mut call;
        let vcpu = self.vcpu();
        // SAFETY: the call is in place until its completion says that it is over:
        // the registry holds it meanwhile.
        let completion = unsafe { &(*call).completion };
        if !self.posted.insert(completion) {
            return Err(self.end_error());
        }
        inbox::post(&vcpu.posted().inbox, &Posted(call));
        vcpu.interrupt(irq::CALL);
        let outcome = completion.wait(&vcpu.spin, None, &Futex);
        self.posted.remove(completion);
        match outcome {
            Some(Outcome::Done) => Ok(()),
            _ => Err(self.end_error()),
        }
    }
}

impl Vcpu {
    /// Runs `call` until it is complete, for a thread that counts as inside.
    ///
    /// # Safety
    ///
    /// As for [`Instance::call`]; the thread does not hold the CPU.
    #[inline]
    unsafe fn complete(&self, context: &'static Context, call: *mut Call) -> Result<(), Error> {
        let deadline_before = self.timer.deadline();
        // SAFETY: the call stays in place until it is complete or refused.
        unsafe { self.run(context, call) }.map_err(|refused| self.refused(refused))?;
        // SAFETY: a completion may be looked at by anybody.
        let outcome = match unsafe { &(*call).completion }.poll() {
            Some(outcome) => outcome,
            // SAFETY: as above.
            None => unsafe { self.wait_outside(context, call, deadline_before)? },
        };
        match outcome {
            Outcome::Done => Ok(()),
            Outcome::Abandoned => Err(self.instance().end_error()),
        }
    }

    #[cold]
    fn refused(&self, refused: Refused) -> Error {
        match refused {
            Refused::TimedOut => Error::TimedOut,
            Refused::Halted | Refused::Cancelled => self.instance().end_error(),
        }
    }

    /// Waits until a call that has blocked is complete. The call is in the list of
    /// blocked calls. `deadline_before` is the kernel's timer deadline from before the
    /// call.
    ///
    /// # Safety
    ///
    /// As for [`Vcpu::complete`].
    #[cold]
    unsafe fn wait_outside(
        &self,
        context: &'static Context,
        call: *mut Call,
        deadline_before: u64,
    ) -> Result<Outcome, Error> {
        // SAFETY: the call is in place, and its completion for all to look at.
        let completion = unsafe { &(*call).completion };
        if let Some(guard) = self.timer.guard(self, deadline_before) {
            // SAFETY: passed on.
            if let Some(outcome) = unsafe { self.wait_as_guard(context, call, &guard) } {
                return Ok(outcome);
            }
        }
        let in_time = completion.wait(&self.spin, context.deadline(), &Futex);
        if let Some(outcome) = in_time {
            return Ok(outcome);
        }
        // SAFETY: the task of a request that was brought does not change.
        let (task, request) = unsafe { ((*call).request.task, &raw const (*call).request) };
        // A kernel that has ended has abandoned the call.
        let _ = without_deadline(|| self.instance().post_interrupt(task, request));
        let outcome = completion.wait(&self.spin, None, &Futex);
        let outcome = outcome.expect("there is no deadline");
        // SAFETY: what is done is ours again.
        let interrupted = outcome == Outcome::Done
            && unsafe { (*call).request.ret } == -i64::from(Errno::INTR.raw_os_error());
        if interrupted {
            return Err(Error::TimedOut);
        }
        Ok(outcome)
    }

    /// Waits until the call is complete, the guarded deadline has passed or changed, or
    /// the thread's own deadline has passed.
    ///
    /// # Safety
    ///
    /// As for [`Vcpu::complete`].
    unsafe fn wait_as_guard(
        &self,
        context: &'static Context,
        call: *mut Call,
        guard: &Guard<'_>,
    ) -> Option<Outcome> {
        // SAFETY: the call is in place, and its completion for all to look at.
        let completion = unsafe { &(*call).completion };
        let own = context.deadline();
        let left = guard.timeout()?;
        if !left.is_zero() {
            let until = Instant::now().checked_add(left)?;
            let first = own.map_or(until, |own| own.min(until));
            if let Some(outcome) = completion.wait(&self.spin, Some(first), &Futex) {
                return Some(outcome);
            }
            if first != until || guard.timeout() != Some(Duration::ZERO) {
                return None;
            }
        }
        if guard.expire() == PostIrq::Enter {
            // SAFETY: the CPU is ours; the call has been brought, and is in place.
            unsafe { self.run_held(context, call, Errand::Waited) };
        }
        completion.poll()
    }

    /// Abandons all blocked calls, after the kernel has ended.
    ///
    /// # Safety
    ///
    /// The caller has retired the CPU, which it held.
    pub(crate) unsafe fn abandon_blocked(&self) {
        // SAFETY: passed on; a call is in place until it is told.
        unsafe {
            while let Some(call) = self.blocked.pop() {
                if let Some(sleeper) = (*call).completion.complete(Outcome::Abandoned) {
                    sleeper.wake(&Futex);
                }
            }
        }
    }

    /// Takes the CPU and runs the kernel until it is idle, for a helper thread.
    ///
    /// # Errors
    ///
    /// The kernel has ended.
    pub(super) fn run_rest(&self, context: &'static Context) -> Result<(), Refused> {
        // SAFETY: no call is brought.
        unsafe { self.run(context, ptr::null_mut()) }
    }
}

#[cfg(test)]
#[path = "call_tests.rs"]
mod tests;
