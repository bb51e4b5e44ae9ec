//! Locks of the standard library, as this crate takes them.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks `mutex`; a panic of another holder has not broken what it protects.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
