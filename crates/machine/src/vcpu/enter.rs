//! The loop that runs the kernel in the thread that holds the CPU.
//!
//! The holder enters with a request or without, and enters again until its request is
//! complete and no task is runnable, or until the machine is idle. When another thread's
//! request completes on the way, that thread is woken at once if the holder goes on. If
//! the holder is about to release the CPU, it wakes the thread after that, so that the
//! thread finds the CPU free.
//!
//! When the holder's own request is complete, other tasks may be runnable (a kernel
//! thread that writes back, another thread's call). The holder runs these too, but not
//! for ever: it stops when another thread waits for the CPU. At the next tick a helper
//! thread (`timer.rs`) sees `draining`, posts the yield line, and takes over.
//!
//! A long request does not keep other threads out: a waiting thread raises the yield
//! line, the kernel leaves in mid-computation, and the holder hands the CPU over and
//! queues up for it again.

use super::call::Call;
use super::{Futex, Vcpu};
use crate::thread::{Context, context};
use drupe_abi as abi;
use drupe_cpu::{Outcome, PostIrq, Refused, Release, Sleeper};
use std::ptr;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

/// Why the holder runs the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Errand {
    /// For its own call, or an interrupt that it delivers. It runs other tasks after that
    /// until the next tick at most.
    Own,
    /// For its own blocked call, which a deadline may complete. It runs other tasks as
    /// above.
    Waited,
    /// For tasks that other threads have left: it is a helper thread.
    Rest,
}

/// How a run of the loop ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RunEnd {
    /// No task is runnable.
    Idle,
    /// Tasks are runnable; another thread should run them.
    Left,
    /// The kernel stopped.
    Stopped,
    /// The kernel stopped while another thread held the CPU; this one does not hold it.
    Halted,
}

/// The thread of a completed call, which must be woken; it is when this is dropped.
#[derive(Default)]
struct ToWake(Option<Sleeper>);

impl ToWake {
    /// Wakes the thread, if there is one.
    fn now(&mut self) {
        if let Some(sleeper) = self.0.take() {
            sleeper.wake(&Futex);
        }
    }
}

/// Clears `draining` when dropped.
struct Draining<'a>(&'a AtomicBool);

impl Drop for Draining<'_> {
    fn drop(&mut self) {
        self.0.store(false, Relaxed);
    }
}

impl Vcpu {
    /// Takes the CPU and runs the kernel: with `call`, until that is complete or
    /// blocked; without, until nothing is runnable. Then releases the CPU.
    ///
    /// Whether `call` is complete is in its `completion`.
    ///
    /// # Safety
    ///
    /// `call` is null, or stays in place until its completion says `Done` or
    /// `Abandoned`; its request's arguments are as `Machine::syscall` demands.
    #[inline]
    pub(super) unsafe fn run(
        &self,
        context: &'static Context,
        call: *mut Call,
    ) -> Result<(), Refused> {
        if !self.baton.try_acquire() {
            self.acquire_slowly(context)?;
        }
        let errand = if call.is_null() {
            Errand::Rest
        } else {
            Errand::Own
        };
        // SAFETY: the CPU is ours; `call` is as promised.
        unsafe { self.run_held(context, call, errand) };
        Ok(())
    }

    #[cold]
    fn acquire_slowly(&self, context: &'static Context) -> Result<(), Refused> {
        let deadline = context.deadline();
        self.baton
            .acquire(&context.waiter(), self.pending(), deadline, &Futex)
    }

    /// Calls `job` while the calling thread holds the CPU, so that nothing runs the
    /// kernel.
    pub(crate) fn hold(&self, job: impl FnOnce()) -> Result<(), Refused> {
        if !self.baton.try_acquire() {
            self.acquire_slowly(context())?;
        }
        job();
        // SAFETY: the CPU is ours, and there is no call.
        unsafe { self.run_held(context(), ptr::null_mut(), Errand::Own) };
        Ok(())
    }

    /// Posts the interrupt `line`. Runs the kernel to handle it, unless another thread
    /// holds the CPU, which then does.
    pub(crate) fn interrupt(&self, line: u32) {
        match self.baton.post_irq(self.pending(), line) {
            // SAFETY: the CPU is ours, and there is no call.
            PostIrq::Enter => unsafe {
                self.run_held(context(), ptr::null_mut(), Errand::Own);
            },
            PostIrq::Left | PostIrq::Halted => {}
        }
    }

    /// # Safety
    ///
    /// As for [`Vcpu::run`]; the caller holds the CPU, and has released it
    /// when this returns.
    pub(super) unsafe fn run_held(
        &self,
        context: &'static Context,
        call: *mut Call,
        errand: Errand,
    ) {
        let mut to_wake = ToWake::default();
        // SAFETY: passed on.
        let mut ended = unsafe { self.run_until_idle(context, call, errand, &mut to_wake) };
        loop {
            match ended {
                RunEnd::Stopped => {
                    self.instance().finish(self);
                    break;
                }
                RunEnd::Halted => break,
                RunEnd::Idle | RunEnd::Left => {}
            }
            // Who waits takes over what is left; else a helper thread does.
            let left = ended == RunEnd::Left && !self.baton.has_waiters();
            if self.baton.release(self.pending(), &Futex) == Release::Released {
                if left {
                    self.timer.take_over();
                }
                break;
            }
            // SAFETY: the CPU is ours again; nothing is brought.
            ended = unsafe { self.run_until_idle(context, ptr::null_mut(), errand, &mut to_wake) };
        }
        to_wake.now();
        context.do_deferred();
    }

    /// Enters the kernel until the errand is done and no task is runnable. A call that is
    /// not complete then is in the list of blocked calls.
    ///
    /// # Safety
    ///
    /// As for [`Vcpu::run`]; the caller holds the CPU.
    unsafe fn run_until_idle(
        &self,
        context: &'static Context,
        call: *mut Call,
        errand: Errand,
        to_wake: &mut ToWake,
    ) -> RunEnd {
        let enter = self.instance().image().enter;
        let cpu = self.state();
        let mut bring: *mut abi::Request = if call.is_null() || errand == Errand::Waited {
            ptr::null_mut()
        } else {
            // SAFETY: the call is in place; only its address is taken.
            unsafe { &raw mut (*call).request }
        };
        // Who waited may have been served before it got the CPU.
        // SAFETY: the call is in place, and its completion for all to look at.
        let is_done = || unsafe { (*call).completion.poll().is_some() };
        let mut own_done = call.is_null() || errand == Errand::Waited && is_done();
        let _inside = context.enter(self);
        let _draining = Draining(&self.draining);
        if own_done && errand != Errand::Rest {
            self.draining.store(true, Relaxed);
        }
        let ended = loop {
            // SAFETY: we hold the CPU, and a request that is brought stays in
            // place until it is complete.
            let leave = unsafe { enter(cpu, bring) };
            bring = ptr::null_mut();
            match leave {
                abi::leave::IDLE => break RunEnd::Idle,
                abi::leave::DONE => {
                    // SAFETY: we hold the CPU: its state is ours to read.
                    let (done, runnable) = unsafe { ((*cpu).done.cast::<Call>(), (*cpu).runnable) };
                    to_wake.now();
                    if done == call {
                        // SAFETY: it is ours, and in place.
                        unsafe {
                            self.blocked.remove(done);
                            (*done).completion.complete_own();
                        }
                        own_done = true;
                    } else {
                        // SAFETY: a call stays in place until its completion says
                        // that it is complete: now.
                        to_wake.0 = unsafe {
                            self.blocked.remove(done);
                            (*done).completion.complete(Outcome::Done)
                        };
                    }
                    if own_done {
                        if runnable == 0 {
                            break RunEnd::Idle;
                        }
                        if self.baton.has_waiters() {
                            break RunEnd::Left;
                        }
                        if errand != Errand::Rest {
                            self.draining.store(true, Relaxed);
                        }
                    }
                    to_wake.now();
                }
                abi::leave::YIELD => {
                    if own_done {
                        break RunEnd::Left;
                    }
                    to_wake.now();
                    // SAFETY: we hold the CPU, and wait for the call.
                    unsafe { self.blocked.insert(call) };
                    let back = self
                        .baton
                        .hand_over(&context.waiter(), self.pending(), &Futex);
                    if back.is_err() {
                        return RunEnd::Halted;
                    }
                    // SAFETY: the call is in place while it is not complete,
                    // and its thread is this one.
                    own_done = unsafe { (*call).completion.poll().is_some() };
                    self.draining.store(own_done, Relaxed);
                }
                // `STOPPED`, or a code that does not exist.
                _ => break RunEnd::Stopped,
            }
        };
        if !own_done {
            // SAFETY: we hold the CPU, and the thread waits for its call.
            unsafe { self.blocked.insert(call) };
        }
        ended
    }
}
