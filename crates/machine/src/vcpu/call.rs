//! A call into a kernel: from the calling thread to its host task and back.
//!
//! The thread takes the CPU, enters with its request, and runs the kernel until
//! the call is complete. If the call blocks, the machine becomes idle; the thread
//! releases the CPU and **waits outside** ([`Vcpu::wait_outside`]), until whoever
//! runs the kernel later completes it, or until its deadline (`deadline.rs`): then
//! it interrupts the call, and waits for the end that comes of it.
//!
//! Interrupting is a request too, but of no task: it is *posted*, to be taken as
//! an interrupt by whoever has the CPU. So nothing that a task waits for, process
//! 1 included, keeps a deadline from being met.

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

/// A request and the word its thread waits on. The kernel is given the address
/// of `request`, which is that of the call.
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

/// A call that is being posted.
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

    /// Runs request `nr` on process 1, which serves them in turn.
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

    /// Interrupts the request `request` of the host task `task`, or, if it is
    /// null, what the task is asked to do now or next.
    ///
    /// # Errors
    ///
    /// Why the kernel cannot be told.
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

    /// Posts the interrupt and waits until it is taken.
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

    /// Waits until a call that was brought is complete. It is in the list of
    /// those that are told when the kernel ends. The kernel's timer was set to
    /// `deadline_before` before it was brought.
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

    /// Waits until the call is complete, or the deadline is no more the guard's
    /// business, or the thread's own deadline has passed.
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

    /// The kernel has ended: so have all calls that are blocked in it.
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

    /// Takes the CPU and runs what there is to run, for a helper thread.
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
