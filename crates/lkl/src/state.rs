//! The one kernel of the process, and lists of what the program has added, to it or to one
//! that is yet to be started.

use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};

use drupe::Kernel;

use crate::border::{Errno, Result};

/// Every system call looks at it.
static KERNEL: RwLock<Option<Kernel>> = RwLock::new(None);

/// The kernel that runs.
pub(crate) fn running() -> Option<Kernel> {
    KERNEL
        .read()
        .unwrap_or_else(PoisonError::into_inner)
        .clone()
}

/// The kernel that runs; ENXIO if none does.
pub(crate) fn kernel() -> Result<Kernel> {
    running().ok_or(Errno::of(libc::ENXIO))
}

/// Another kernel runs from now on, or none. Returns the one before.
pub(crate) fn replace(kernel: Option<Kernel>) -> Option<Kernel> {
    let mut running = KERNEL.write().unwrap_or_else(PoisonError::into_inner);
    std::mem::replace(&mut *running, kernel)
}

/// Things that the program has added. The place of each is its number.
pub(crate) struct List<T>(Mutex<Vec<Option<T>>>);

impl<T> List<T> {
    pub(crate) const fn new() -> List<T> {
        List(Mutex::new(Vec::new()))
    }

    /// All places; `None` was removed. Not to be kept while operations of the program's
    /// are called that may add something themselves.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Vec<Option<T>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts something into the first free place, whose number is returned.
    pub(crate) fn add(&self, what: T) -> usize {
        let mut places = self.lock();
        match places.iter().position(Option::is_none) {
            Some(free) => {
                places[free] = Some(what);
                free
            }
            None => {
                places.push(Some(what));
                places.len() - 1
            }
        }
    }
}
