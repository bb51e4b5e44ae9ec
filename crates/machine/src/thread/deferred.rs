//! What a thread puts off until it is outside of all kernels.
//!
//! - **Interrupts for other kernels.** A frame that one kernel sends to another
//!   arrives while the sender's CPU is held. Running the receiver right there
//!   would keep the sender waiting, and two kernels that answer each other would
//!   nest without end. So the interrupt waits until the thread has released the
//!   CPU it holds; then this thread, which has the frame in its cache and nothing
//!   more urgent to do than its own call's wait, delivers it.
//! - **Halts.** A kernel whose last handle is dropped inside of another one (by a
//!   link, a disk, a watch's call back) has to be synced and halted, which takes
//!   calls, and a thread can be in one call at a time. So that waits for the end
//!   of the call. A thread of a kernel's own halts it when it is outside.

use super::{Context, context};
use crate::instance::Instance;
use drupe_abi::irq;
use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

/// Kernels that a thread runs for others in a row; a helper thread of the next
/// one goes on. Two kernels may answer each other for ever.
const MAX_ROUNDS: usize = 8;

/// What a thread has put off.
pub(crate) struct Deferred {
    /// Whether there is anything: all that a call looks at.
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

    /// The next kernel that has an interrupt, and belongs to this process: a host
    /// operation may have forked it, and this may be the child.
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

    /// Has helper threads take the interrupts: for a thread that cannot.
    pub(crate) fn hand_on(&self) {
        while let Some(kernel) = self.next_interrupt() {
            hand_on(&kernel);
        }
    }

    /// The thread ends: what is put off is handed on, and its memory given back.
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

/// Has `kernel` get a link interrupt once this thread is outside of all kernels.
pub(crate) fn interrupt(kernel: Arc<Instance>) {
    let context = context();
    context.arm();
    let mut interrupts = context.deferred.interrupts.borrow_mut();
    if !interrupts.iter().any(|known| Arc::ptr_eq(known, &kernel)) {
        interrupts.push(kernel);
    }
    context.deferred.any.set(true);
}

/// Has `kernel` halted once this thread is outside of all kernels.
pub(crate) fn halt(kernel: Arc<Instance>) {
    let context = context();
    context.deferred.halts.borrow_mut().push(kernel);
    context.deferred.any.set(true);
}

impl Context {
    /// Does what was put off, as far as that can be done: the thread holds no
    /// CPU.
    #[inline]
    pub(crate) fn do_deferred(&self) {
        if self.deferred.any.get() {
            self.do_all_deferred();
        }
    }

    /// Has helper threads take the interrupts that were put off.
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
        }
        deferred.any.set(!deferred.halts.borrow().is_empty());
        deferred.delivering.set(false);
    }
}

/// Has a helper thread of `kernel` take the interrupt.
fn hand_on(kernel: &Instance) {
    let vcpu = kernel.vcpu();
    vcpu.pending().fetch_or(1 << irq::LINK, SeqCst);
    vcpu.timer.take_over();
}
