//! Atomics and the queues' locks: std's, or loom's when the models run.

#[cfg(loom)]
pub(crate) use loom::{
    hint::spin_loop,
    sync::atomic::{AtomicU32, AtomicU64, Ordering},
    sync::{Condvar, Mutex, MutexGuard},
};
use std::sync::PoisonError;
#[cfg(not(loom))]
pub(crate) use std::{
    hint::spin_loop,
    sync::atomic::{AtomicU32, AtomicU64, Ordering},
    sync::{Condvar, Mutex, MutexGuard},
};

/// Locks `mutex`; nothing panics while it is locked.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
