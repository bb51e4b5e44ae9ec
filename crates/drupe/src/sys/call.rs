//! [`Sys`]: one system call, from typed arguments to a result.

use std::ffi::CStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use drupe_machine::{Error, Machine};

use crate::net::Notice;

/// What a system call gives: a value or the machine's error, without context.
pub(crate) type Result<T> = std::result::Result<T, Error>;

/// The system calls of one kernel.
pub(crate) struct Sys {
    machine: Arc<Machine>,
    /// Tells kernels of this process apart, also those that are gone.
    id: u64,
    /// Raised when it has ended.
    ends: Mutex<Vec<Weak<Notice>>>,
}

impl Sys {
    pub(crate) fn new(machine: Arc<Machine>) -> Sys {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        Sys {
            machine,
            id,
            ends: Mutex::default(),
        }
    }

    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    pub(crate) fn machine(&self) -> &Arc<Machine> {
        &self.machine
    }

    /// Any system call.
    ///
    /// # Safety
    /// As for [`Machine::syscall`].
    pub(super) unsafe fn raw<const N: usize>(&self, nr: usize, args: [usize; N]) -> Result<usize> {
        const { assert!(N <= 6) }
        let mut all = [0; 6];
        all[..N].copy_from_slice(&args);
        // SAFETY: the caller's.
        let result = unsafe { self.machine.syscall(nr, all) };
        if let Err(Error::Dead(_) | Error::Halted) = result {
            self.ended();
        }
        result
    }

    /// Has a notice raised when the kernel has ended: when it has been halted,
    /// or when a call finds that it has died.
    pub(crate) fn tell_of_end(&self, notice: &Arc<Notice>) {
        let mut ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        ends.retain(|notice| notice.strong_count() > 0);
        ends.push(Arc::downgrade(notice));
    }

    /// Tells of the end.
    #[cold]
    pub(crate) fn ended(&self) {
        let ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        let notices = ends.iter().filter_map(Weak::upgrade);
        notices.for_each(|notice| notice.raise());
    }

    /// A system call none of whose arguments is a pointer.
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
