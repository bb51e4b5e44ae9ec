//! Running the kernel: what the thread that holds the CPU does.
//!
//! The holder enters with a request, or with nothing, and goes on entering
//! until its request is complete and nothing is left to do, or until the
//! machine is idle. The thread of another request that completes on the way is
//! woken at once if the holder goes on; if the holder is about to release the
//! CPU it is woken after that, or it would find the CPU taken.
//!
//! What is left when the holder's own request is complete (a kernel thread that
//! writes back, another thread's call that can go on) is run by the holder too,
//! but not for ever: when another thread waits for the CPU, that thread takes
//! over; and at the next tick a helper thread (`timer.rs`) sees `draining` and
//! posts the yield line, and then takes over.
//!
//! A request that takes long does not keep others out: a thread that waits
//! raises the yield line, the machine is left in mid-computation, and the holder
//! hands the CPU over, to get it back in its turn.

use crate::kernel::{Futex, Kernel};
use crate::process::fault;
use crate::thread::{deadline, deferred};
use crate::vcpu::call::Call;
use drupe_abi as abi;
use drupe_cpu::{Outcome, PostIrq, Refused, Release, Sleeper, Waiter};
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

thread_local! {
    static WAITER: Arc<Waiter> = Arc::default();
}

/// What the current thread waits on for its turn.
fn waiter() -> Arc<Waiter> {
    // While the thread ends, the thread-local may be gone: any other will do.
    WAITER.try_with(Arc::clone).unwrap_or_default()
}

/// What a run left undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    /// No task is runnable.
    Idle,
    /// Tasks are runnable; somebody else should take over.
    Left,
    /// The kernel stopped.
    Stopped,
    /// The kernel stopped while another thread had its turn; the CPU is not ours.
    Halted,
}

/// A thread whose call is complete, to be woken.
#[derive(Default)]
struct ToWake(Option<Sleeper>);

impl ToWake {
    /// Wakes it, if there is one.
    fn now(&mut self) {
        if let Some(sleeper) = self.0.take() {
            sleeper.wake(&Futex);
        }
    }
}

/// Ends the draining when it is dropped.
struct Draining<'a>(&'a AtomicBool);

impl Drop for Draining<'_> {
    fn drop(&mut self) {
        self.0.store(false, Relaxed);
    }
}

impl Kernel {
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
    pub(crate) unsafe fn run(&self, call: *mut Call) -> Result<(), Refused> {
        if !self.baton.try_acquire() {
            self.acquire_slowly()?;
        }
        // SAFETY: the CPU is ours; `call` is as promised.
        unsafe { self.run_held(call) };
        Ok(())
    }

    #[cold]
    fn acquire_slowly(&self) -> Result<(), Refused> {
        let deadline = deadline::current();
        self.baton
            .acquire(&waiter(), self.pending(), deadline, &Futex)
    }

    /// Posts the interrupt `line`, and runs its handler unless another thread
    /// holds the CPU and will.
    pub(crate) fn interrupt(&self, line: u32) {
        match self.baton.post_irq(self.pending(), line) {
            // SAFETY: the CPU is ours, and there is no call.
            PostIrq::Enter => unsafe { self.run_held(ptr::null_mut()) },
            PostIrq::Left | PostIrq::Halted => {}
        }
    }

    /// # Safety
    ///
    /// As for [`Kernel::run`]; the caller holds the CPU, and has released it
    /// when this returns.
    pub(crate) unsafe fn run_held(&self, call: *mut Call) {
        let mut to_wake = ToWake::default();
        // SAFETY: passed on.
        let mut ended = unsafe { self.run_until_idle(call, &mut to_wake) };
        loop {
            match ended {
                Ended::Stopped => {
                    self.finish();
                    break;
                }
                Ended::Halted => break,
                Ended::Idle | Ended::Left => {}
            }
            // Who waits takes over what is left; else a helper thread does.
            let left = ended == Ended::Left && !self.baton.has_waiters();
            if self.baton.release(self.pending(), &Futex) == Release::Released {
                if left {
                    self.timer.take_over();
                }
                break;
            }
            // SAFETY: the CPU is ours again; nothing is brought.
            ended = unsafe { self.run_until_idle(ptr::null_mut(), &mut to_wake) };
        }
        to_wake.now();
        deferred::deliver();
    }

    /// # Safety
    ///
    /// As for [`Kernel::run`]; the caller holds the CPU.
    unsafe fn run_until_idle(&self, call: *mut Call, to_wake: &mut ToWake) -> Ended {
        let image = self.image();
        let cpu = image.cpus;
        let mut bring: *mut abi::Request = if call.is_null() {
            ptr::null_mut()
        } else {
            // SAFETY: the call is in place; only its address is taken.
            unsafe { &raw mut (*call).request }
        };
        let mut own_done = call.is_null();
        let _inside = fault::inside(self);
        let _draining = Draining(&self.draining);
        if own_done {
            self.draining.store(true, Relaxed);
        }
        loop {
            // SAFETY: we hold the CPU, and a request that is brought stays in
            // place until it is complete.
            let leave = unsafe { (image.enter)(cpu, bring) };
            bring = ptr::null_mut();
            match leave {
                abi::leave::IDLE => return Ended::Idle,
                abi::leave::DONE => {
                    // SAFETY: we hold the CPU: its state is ours to read.
                    let (done, runnable) = unsafe { ((*cpu).done.cast::<Call>(), (*cpu).runnable) };
                    // Nobody sleeps for our own.
                    own_done |= done == call;
                    to_wake.now();
                    // SAFETY: a call stays in place until its completion says
                    // that it is complete: now.
                    to_wake.0 = unsafe { (*done).completion.complete(Outcome::Done) };
                    if own_done {
                        if runnable == 0 {
                            return Ended::Idle;
                        }
                        if self.baton.has_waiters() {
                            return Ended::Left;
                        }
                        self.draining.store(true, Relaxed);
                    }
                    to_wake.now();
                }
                abi::leave::YIELD => {
                    if own_done {
                        return Ended::Left;
                    }
                    to_wake.now();
                    let back = self.baton.hand_over(&waiter(), self.pending(), &Futex);
                    if back.is_err() {
                        return Ended::Halted;
                    }
                    // SAFETY: the call is in place while it is not complete,
                    // and its thread is this one.
                    own_done = unsafe { (*call).completion.poll().is_some() };
                    self.draining.store(own_done, Relaxed);
                }
                // `STOPPED`, or a code that does not exist.
                _ => return Ended::Stopped,
            }
        }
    }
}
