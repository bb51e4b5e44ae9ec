//! `fork(2)` of the program: its kernels stay with the parent.
//!
//! The child has one thread, and none of those that a kernel needs; a kernel's
//! memory is partly shared, so two cannot run it; its disks would be written
//! twice. So the child gets none of that memory (`MADV_DONTFORK`), every call
//! into a kernel of before the fork fails with [`Error::Forked`], and dropping
//! one does nothing. The child can boot kernels of its own.
//!
//! This holds for `fork(3)`, which runs the handler below; not for a bare
//! `clone(2)`. A child that executes a program at once needs none of it.
//!
//! [`Error::Forked`]: crate::Error::Forked

use crate::memory::mapping;
use crate::thread;
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// How many forks lie between this process and the first one. Relaxed: it
/// changes while the process has one thread.
static GENERATION: AtomicU32 = AtomicU32::new(0);

pub(crate) fn generation() -> u32 {
    GENERATION.load(Relaxed)
}

/// Installs the handler, once per process.
pub(crate) fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: the handler changes thread-locals without a destructor and
        // atomics, and may unmap memory, which a child may do. It fails for want
        // of memory only, and then only a program that forks is worse off.
        unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
    });
}

unsafe extern "C" fn in_child() {
    GENERATION.fetch_add(1, Relaxed);
    thread::forked();
    mapping::forked();
}
