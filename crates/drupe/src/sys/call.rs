//! [`Sys`]: the system calls of one kernel; encoding of their arguments.

use std::ffi::CStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use drupe_machine::{Error, Machine};

/// The result of a system call; the error has no context.
pub(crate) type Result<T> = std::result::Result<T, Error>;

/// The system calls of one kernel.
pub(crate) struct Sys {
    machine: Arc<Machine>,
    /// A number that no other kernel of this process has or had.
    id: u64,
}

impl Sys {
    pub(crate) fn new(machine: Arc<Machine>) -> Sys {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        Sys { machine, id }
    }

    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    pub(crate) fn machine(&self) -> &Arc<Machine> {
        &self.machine
    }

    /// Makes any system call.
    ///
    /// # Safety
    /// As for [`Machine::syscall`].
    pub(super) unsafe fn raw<const N: usize>(&self, nr: usize, args: [usize; N]) -> Result<usize> {
        const { assert!(N <= 6) }
        let mut all = [0; 6];
        all[..N].copy_from_slice(&args);
        // SAFETY: the caller's.
        unsafe { self.machine.syscall(nr, all) }
    }

    /// Makes a system call without pointers among its arguments.
    pub(super) fn plain<const N: usize>(&self, nr: usize, args: [usize; N]) -> Result<usize> {
        debug_assert!(super::nr::is_plain(nr), "system call {nr} takes pointers");
        // SAFETY: no argument is a pointer.
        unsafe { self.raw(nr, args) }
    }
}

/// A file descriptor as an argument; [`super::AT_FDCWD`] keeps its sign.
pub(super) fn fd(fd: i32) -> usize {
    fd as isize as usize
}

/// A string as an argument.
pub(super) fn text(text: &CStr) -> usize {
    text.as_ptr() as usize
}
