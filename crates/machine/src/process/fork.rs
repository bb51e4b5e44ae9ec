//! The handler of `fork(3)`: a child has none of its parent's kernels.
//!
//! The child lacks the threads that a kernel needs; a kernel's memory is partly shared
//! between both processes; its disks would be written twice. So the child gets none of
//! that memory (`MADV_DONTFORK`), calls into a parent's kernel fail with
//! [`Error::Forked`], and dropping one does nothing. The child can boot its own kernels.
//!
//! A lock that another thread holds at the fork stays locked in the child. A kernel's own
//! locks do not matter, since the child does not use its kernels, but state that kernels
//! of a process share does. So that state has no locks: threads that need it at the same
//! time each make it, and the first result is kept (`once_cell::race`). The signal
//! handlers, which cannot be installed twice, are begun anew in the child. Nor does a
//! boot use foreign locks that fork(2) does not release: `std` takes one in each thread
//! that it starts (`crates/host/src/threads.rs`).
//!
//! This holds for `fork(3)`, which runs the handler below; not for a bare `clone(2)`. A
//! child that executes a program at once does not need it.
//!
//! [`Error::Forked`]: crate::Error::Forked

use super::fault;
use crate::generation;
use crate::memory;
use crate::thread;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;

/// Installs the handler.
pub(crate) fn install() {
    static INSTALLED: AtomicBool = AtomicBool::new(false);
    if INSTALLED.load(SeqCst) {
        return;
    }
    // SAFETY: the handler changes thread-locals without a destructor and atomics, and
    // may unmap memory, which a child may do. It fails for want of memory only, and
    // then only a program that forks is worse off.
    unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
    // Afterwards, so that nobody goes on without the handler. Threads that are here at
    // the same time install it more than once, and it does no harm to run it again.
    INSTALLED.store(true, SeqCst);
}

unsafe extern "C" fn in_child() {
    generation::forked();
    fault::forked();
    thread::forked();
    memory::forked();
}
