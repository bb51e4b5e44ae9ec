//! [`Handles`]: the files and directories that the host has open, by number.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use drupe::Errno;

/// Open files, or open directories.
pub(crate) struct Handles<T> {
    open: RwLock<HashMap<u64, Arc<T>>>,
    next: AtomicU64,
}

impl<T> Handles<T> {
    pub(crate) fn new() -> Handles<T> {
        Handles {
            open: RwLock::default(),
            next: AtomicU64::new(1),
        }
    }

    /// Keeps `opened` until it is removed.
    pub(crate) fn insert(&self, opened: T) -> u64 {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.write().insert(number, Arc::new(opened));
        number
    }

    /// The open file of a handle; EBADF if there is none.
    pub(crate) fn get(&self, handle: u64) -> Result<Arc<T>, Errno> {
        let found = self.read().get(&handle).cloned();
        found.ok_or(Errno::BADF)
    }

    /// Removes a handle. Its file is closed when current requests have finished with it.
    pub(crate) fn remove(&self, handle: u64) {
        let removed = self.write().remove(&handle);
        // Closing is a system call: not under the lock.
        drop(removed);
    }

    fn read(&self) -> RwLockReadGuard<'_, HashMap<u64, Arc<T>>> {
        self.open.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, HashMap<u64, Arc<T>>> {
        self.open.write().unwrap_or_else(PoisonError::into_inner)
    }
}
