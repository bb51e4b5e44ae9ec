//! Running the kernel: what the thread that holds the CPU does.
//!
//! The holder enters with a request, or with nothing, and goes on entering
//! until its request is complete and nothing is left to do, or until the
//! machine is idle. Requests of other threads that complete on the way are
//! noted, and published after the CPU is released: a thread that is woken
//! before would find the CPU taken.
//!
//! What is left when the holder's own request is complete (a kernel thread that
//! writes back, another thread's call that can go on) is run by the holder too,
//! but not for ever: at the next tick a helper thread (`timer.rs`) sees
//! `draining` and posts the yield line, and then takes over.

use crate::call::Call;
use crate::fault;
use crate::kernel::{Futex, Kernel};
use drupe_abi as abi;
use drupe_cpu::{Halted, Outcome, PostIrq, Release};
use std::ptr;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

/// What a run left undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    /// No task is runnable.
    Idle,
    /// Tasks are runnable; somebody else should take over.
    Left,
    /// The kernel stopped.
    Stopped,
}

/// Calls to publish once the CPU is released.
type Completed = Vec<*mut Call>;

/// Tells the threads that wait for `completed` calls.
fn publish(completed: &mut Completed) {
    for call in completed.drain(..) {
        // SAFETY: a completed call stays in place until it is published, and is
        // published once: here.
        unsafe { (*call).completion.publish(Outcome::Done, &Futex) };
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
    pub(crate) unsafe fn run(&self, call: *mut Call) -> Result<(), Halted> {
        self.baton.acquire(&Futex)?;
        // SAFETY: the CPU is ours; `call` is as promised.
        unsafe { self.run_held(call) };
        Ok(())
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
        let mut completed = Completed::new();
        // SAFETY: passed on.
        let mut ended = unsafe { self.run_until_idle(call, &mut completed) };
        loop {
            if ended == Ended::Stopped {
                // First, or `finish` takes them for waiting, and they are gone
                // when we come to them.
                publish(&mut completed);
                self.finish();
                break;
            }
            if self.baton.release(self.pending(), &Futex) == Release::Released {
                break;
            }
            // SAFETY: the CPU is ours again; nothing is brought.
            ended = unsafe { self.run_until_idle(ptr::null_mut(), &mut completed) };
        }
        if ended == Ended::Left {
            self.timer.take_over();
        }
        publish(&mut completed);
    }

    /// # Safety
    ///
    /// As for [`Kernel::run`]; the caller holds the CPU.
    unsafe fn run_until_idle(&self, call: *mut Call, completed: &mut Completed) -> Ended {
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
                    if done == call && !own_done {
                        own_done = true;
                        // Nobody else waits for it: no wake, no hand-over.
                        // SAFETY: complete, so the call is ours again.
                        unsafe { (*call).completion.publish(Outcome::Done, &Futex) };
                    } else {
                        completed.push(done);
                    }
                    if own_done {
                        if runnable == 0 {
                            return Ended::Idle;
                        }
                        self.draining.store(true, Relaxed);
                    }
                }
                abi::leave::YIELD => {
                    if own_done {
                        return Ended::Left;
                    }
                }
                // `STOPPED`, or a code that does not exist.
                _ => return Ended::Stopped,
            }
        }
    }
}
