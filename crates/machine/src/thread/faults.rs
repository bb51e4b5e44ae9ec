//! Threads that block the signals of faults.
//!
//! A kernel that is given a bad pointer answers `EFAULT` because of a signal
//! (`process/fault.rs`). The system ends a process whose thread has that signal blocked.
//! So a thread that blocks one has all of them unblocked for the duration of each call.
//!
//! Looking takes a system call. A thread looks before its first call into a kernel, when
//! its task is made, so the way of the other calls is as short as ever. If it finds a
//! blocked signal, `Context::last` stays empty, which leads each call past here.

use super::Context;
use std::cell::Cell;
use std::mem::MaybeUninit;
use std::ptr;

/// The signals of faults.
pub(crate) const SIGNALS: [i32; 4] = [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL];

/// What a thread does with the signals of faults.
pub(super) struct FaultSignals {
    /// One of them was blocked when the thread looked last.
    blocked: Cell<bool>,
    /// The thread's own mask, while another one is in force.
    own: Cell<Option<libc::sigset_t>>,
}

impl FaultSignals {
    pub(super) const fn new() -> FaultSignals {
        FaultSignals {
            blocked: Cell::new(false),
            own: Cell::new(None),
        }
    }
}

impl Context {
    /// Called before the thread makes its first call into a kernel.
    pub(super) fn look_at_fault_signals(&self) {
        self.faults.blocked.set(true);
        self.unblock_fault_signals();
    }

    /// Called before a call: unblocks the signals until [`Context::do_deferred`], if the
    /// thread blocks one.
    pub(super) fn unblock_fault_signals(&self) {
        let faults = &self.faults;
        // A call from inside is refused; it is not to change the mask.
        if !faults.blocked.get() || self.is_inside() {
            return;
        }
        if !self.has_unblocked() {
            let (own, blocked) = unblock();
            faults.blocked.set(blocked);
            faults.own.set(blocked.then_some(own));
        }
        if faults.blocked.get() {
            self.last.set((0, 0));
            self.deferred.any();
        }
    }

    /// Whether each call has to come past [`Context::unblock_fault_signals`].
    pub(super) fn blocks_fault_signals(&self) -> bool {
        self.faults.blocked.get()
    }

    /// Whether another mask than the thread's own is in force.
    pub(super) fn has_unblocked(&self) -> bool {
        let own = self.faults.own.take();
        let has = own.is_some();
        self.faults.own.set(own);
        has
    }

    /// Called at the end of a call: the mask is the thread's own again.
    pub(super) fn block_fault_signals(&self) {
        if let Some(own) = self.faults.own.take() {
            // SAFETY: a mask that the thread had before.
            unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &own, ptr::null_mut()) };
        }
    }
}

/// Unblocks the signals. Returns the mask from before, and whether one was blocked.
fn unblock() -> (libc::sigset_t, bool) {
    let mut faults = MaybeUninit::uninit();
    let mut own = MaybeUninit::uninit();
    // SAFETY: the first set is filled in, and changed; the second is filled in by the
    // last call, which cannot fail.
    unsafe {
        libc::sigemptyset(faults.as_mut_ptr());
        for signal in SIGNALS {
            libc::sigaddset(faults.as_mut_ptr(), signal);
        }
        libc::pthread_sigmask(libc::SIG_UNBLOCK, faults.as_ptr(), own.as_mut_ptr());
        let own = own.assume_init();
        let blocked = SIGNALS
            .iter()
            .any(|&signal| libc::sigismember(&own, signal) == 1);
        (own, blocked)
    }
}
