//! Interrupts for other kernels, raised inside of one.
//!
//! A frame that one kernel sends to another arrives while the sender's CPU is
//! held. Running the receiver right there would keep the sender waiting, and two
//! kernels that answer each other would nest without end. So the interrupt waits
//! until the thread has released the CPU it holds; then this thread, which has
//! the frame in its cache and nothing more urgent to do than its own call's
//! wait, delivers it.

use crate::kernel::Kernel;
use drupe_abi::irq;
use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

/// Kernels that a thread runs for others in a row; a helper thread of the next
/// one goes on. Two kernels may answer each other for ever.
const MAX_ROUNDS: usize = 8;

thread_local! {
    /// Whether `KERNELS` has any: all that a call looks at.
    static ANY: Cell<bool> = const { Cell::new(false) };
    static KERNELS: RefCell<Vec<Arc<Kernel>>> = const { RefCell::new(Vec::new()) };
    static DELIVERING: Cell<bool> = const { Cell::new(false) };
}

/// Has `kernel` get a link interrupt once this thread is outside of all kernels.
pub(crate) fn defer(kernel: Arc<Kernel>) {
    let deferred = KERNELS.try_with(|kernels| {
        let mut kernels = kernels.borrow_mut();
        if !kernels.iter().any(|known| Arc::ptr_eq(known, &kernel)) {
            kernels.push(Arc::clone(&kernel));
        }
        ANY.set(true);
    });
    if deferred.is_err() {
        // The thread is ending.
        hand_on(&kernel);
    }
}

/// Delivers what this thread has deferred. It holds no CPU.
#[inline]
pub(crate) fn deliver() {
    if ANY.get() {
        deliver_all();
    }
}

#[cold]
fn deliver_all() {
    if DELIVERING.replace(true) {
        // This is the run of one that is being delivered.
        return;
    }
    for round in 0.. {
        let kernel = KERNELS.with(|kernels| {
            let mut kernels = kernels.borrow_mut();
            (!kernels.is_empty()).then(|| kernels.remove(0))
        });
        let Some(kernel) = kernel else { break };
        if kernel.is_forked() {
            // A host operation has forked the process, and this is the child.
            continue;
        }
        if round < MAX_ROUNDS {
            kernel.interrupt(irq::LINK);
        } else {
            hand_on(&kernel);
        }
    }
    ANY.set(false);
    DELIVERING.set(false);
}

/// Has a helper thread of `kernel` take the interrupt.
fn hand_on(kernel: &Kernel) {
    kernel.pending().fetch_or(1 << irq::LINK, SeqCst);
    kernel.timer.take_over();
}
