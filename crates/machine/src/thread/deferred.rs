//! [`Deferred`]: work that a thread puts off until it is outside of all kernels.
//!
//! - **Interrupts for other kernels.** A frame that one kernel sends to another arrives
//!   while the sender's CPU is held. Running the receiver right there would keep the
//!   sender waiting, and two kernels that answer each other would nest without end. So
//!   the thread delivers the interrupt after it has released the CPU. It has the frame in
//!   its processor's cache then, and only its own call to wait for.
//! - **Halts.** A kernel whose last handle is dropped inside of another one (by a link, a
//!   disk, a watch's call back) has to be synced and halted, which takes calls, and a
//!   thread can be in one call at a time. So the thread halts it at the end of its own
//!   call; a library thread of a kernel, when it is outside, or when its disk is done.
//! - **The thread's own signal mask**, if that blocks signals of faults (`faults.rs`).

use super::{Context, context};
use crate::instance::Instance;
use drupe_abi::irq;
use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

/// How many deferred interrupts a thread delivers in a row. A helper thread of the next
/// kernel goes on, since two kernels may answer each other for ever.
const MAX_ROUNDS: usize = 8;

/// The deferred work of one thread.
pub(crate) struct Deferred {
    /// Whether there is any work. A call checks only this.
    any: Cell<bool>,
    /// Kernels that have a link interrupt.
    interrupts: RefCell<Vec<Arc<Instance>>>,
    /// Kernels that have to be halted.
    halts: RefCell<Vec<Arc<Instance>>>,
    delivering: Cell<bool>,
}

impl Deferred {
    pub(super) const fn new() -> Deferred {
        Deferred {
            any: Cell::new(false),
            interrupts: RefCell::new(Vec::new()),
            halts: RefCell::new(Vec::new()),
            delivering: Cell::new(false),
        }
    }

    /// There is work at the end of the call.
    pub(super) fn any(&self) {
        self.any.set(true);
    }

    /// The next kernel with a deferred interrupt. Skips those of a parent process: a host
    /// operation may have forked, and this may be the child.
    fn next_interrupt(&self) -> Option<Arc<Instance>> {
        let mut interrupts = self.interrupts.borrow_mut();
        while !interrupts.is_empty() {
            let kernel = interrupts.remove(0);
            if !kernel.is_forked() {
                return Some(kernel);
            }
        }
        None
    }

    /// Lets helper threads take the interrupts, for a thread that cannot.
    pub(crate) fn hand_on(&self) {
        while let Some(kernel) = self.next_interrupt() {
            hand_on(&kernel);
        }
    }

    /// Called when the thread ends: hands the work on, and frees its memory.
    pub(super) fn end(&self) {
        self.hand_on();
        // Empty now: what is dropped is room.
        drop(self.interrupts.take());
        let mut halts = self.halts.borrow_mut();
        if halts.is_empty() {
            *halts = Vec::new();
        }
    }
}

/// Raises a link interrupt in `kernel` once this thread is outside of all kernels.
pub(crate) fn interrupt(kernel: Arc<Instance>) {
    let context = context();
    context.arm();
    let mut interrupts = context.deferred.interrupts.borrow_mut();
    if !interrupts.iter().any(|known| Arc::ptr_eq(known, &kernel)) {
        interrupts.push(kernel);
    }
    context.deferred.any.set(true);
}

/// Halts `kernel` once this thread is outside of all kernels.
pub(crate) fn halt(kernel: Arc<Instance>) {
    let context = context();
    context.deferred.halts.borrow_mut().push(kernel);
    context.deferred.any.set(true);
}

impl Context {
    /// Does the deferred work, unless the thread is inside a kernel still. The thread
    /// holds no CPU.
    #[inline]
    pub(crate) fn do_deferred(&self) {
        if self.deferred.any.get() {
            self.do_all_deferred();
        }
    }

    /// Lets helper threads take the deferred interrupts.
    pub(crate) fn hand_on_deferred(&self) {
        if self.deferred.any.get() {
            self.deferred.hand_on();
        }
    }

    #[cold]
    fn do_all_deferred(&self) {
        let deferred = &self.deferred;
        if deferred.delivering.replace(true) {
            // This is the run of one that has an interrupt.
            return;
        }
        for round in 0.. {
            let Some(kernel) = deferred.next_interrupt() else {
                break;
            };
            if round < MAX_ROUNDS {
                kernel.vcpu().interrupt(irq::LINK);
            } else {
                hand_on(&kernel);
            }
        }
        // The end of a call comes back here once the thread is outside.
        if !self.is_inside() {
            while let Some(kernel) = { deferred.halts.borrow_mut().pop() } {
                // Nobody is left to hear of an error.
                let _ = kernel.halt();
            }
            self.block_fault_signals();
        }
        let halts = !deferred.halts.borrow().is_empty();
        deferred.any.set(halts || self.has_unblocked());
        deferred.delivering.set(false);
    }
}

/// Lets a helper thread of `kernel` take the interrupt.
fn hand_on(kernel: &Instance) {
    let vcpu = kernel.vcpu();
    vcpu.pending().fetch_or(1 << irq::LINK, SeqCst);
    vcpu.timer.take_over();
}
