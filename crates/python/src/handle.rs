//! [`Handle`]: what a Python object has of the library's, until it is closed. Whoever lets
//! go of it last does so without the GIL: that may write to a disk and take its time, and
//! the disk may be Python's own.

use std::cell::Cell;
use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};

use pyo3::prelude::*;

thread_local! {
    /// This thread is one of ours, and has no GIL that it could let go of.
    static OURS: Cell<bool> = const { Cell::new(false) };
}

/// Says that the calling thread is one of ours.
pub(crate) fn is_ours() {
    OURS.set(true);
}

/// What can be closed. A call holds what it uses, so closing waits for none.
pub(crate) struct Handle<T: Send>(Mutex<Option<Held<T>>>);

impl<T: Send> Handle<T> {
    pub(crate) fn new(value: T) -> Handle<T> {
        Handle(Mutex::new(Some(Held(Some(Arc::new(value))))))
    }

    /// `None`: it has been closed.
    pub(crate) fn get(&self) -> Option<Held<T>> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Closes it. The lock is let go of first: who waits for it may have the GIL.
    pub(crate) fn take(&self) -> Option<Held<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// One holder of what a [`Handle`] has.
pub(crate) struct Held<T: Send>(
    // INVARIANT: there until it is dropped.
    Option<Arc<T>>,
);

impl<T: Send> Clone for Held<T> {
    fn clone(&self) -> Self {
        Held(self.0.clone())
    }
}

impl<T: Send> Deref for Held<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // The invariant.
        self.0.as_ref().unwrap_or_else(|| unreachable!())
    }
}

impl<T: Send> Drop for Held<T> {
    fn drop(&mut self) {
        if let Some(last) = self.0.take().and_then(Arc::into_inner) {
            release(last);
        }
    }
}

/// Lets go of something without the GIL.
fn release<T: Send>(value: T) {
    let mut value = Some(value);
    if !OURS.get() {
        let free = || drop(value.take());
        // Not while the interpreter ends: then it is let go of as it is.
        Python::try_attach(|py| py.detach(free));
    }
    drop(value);
}
