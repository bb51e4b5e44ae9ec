//! [`lock()`]: takes a `std` mutex, also after a holder has panicked.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks `mutex`, also after another holder has panicked: no holder leaves the data
/// inconsistent.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
