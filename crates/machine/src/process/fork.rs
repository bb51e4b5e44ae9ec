//! `fork(2)` of the program: its kernels stay with the parent.
//!
//! The child has one thread, and none of those that a kernel needs; a kernel's
//! memory is partly shared, so two cannot run it; its disks would be written
//! twice. So the child gets none of that memory (`MADV_DONTFORK`), every call
//! into a kernel of before the fork fails with [`Error::Forked`], and dropping
//! one does nothing. The child can boot kernels of its own.
//!
//! Another thread may be anywhere in the library while the process forks, and what it
//! has locked stays locked in the child. That concerns no lock of a kernel, whose
//! memory the child does not have, but all that the kernels of a process share. So
//! none of that is locked: threads that need it at the same time each make it, and
//! the first one's is kept (`once_cell::race`). What cannot be made twice, the signal
//! handlers, is begun anew by the child. Nor does a boot use locks of others that
//! fork(2) does not release: `std` takes one in each thread that it starts
//! (`crates/host/src/threads.rs`).
//!
//! This holds for `fork(3)`, which runs the handler below; not for a bare
//! `clone(2)`. A child that executes a program at once needs none of it.
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
