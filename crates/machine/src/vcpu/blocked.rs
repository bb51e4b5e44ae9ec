//! [`Blocked`]: the list of calls that are blocked in a kernel. When it ends, they are
//! abandoned.
//!
//! An intrusive list: each call, on its thread's stack, has its links in itself. Only the
//! holder of the CPU touches list and links, so there is no lock: the thread of a call
//! inserts it before it releases the CPU, and the thread that completes it, which holds
//! the CPU, removes it.

use super::call::Call;
use std::cell::{Cell, UnsafeCell};
use std::ptr;

/// The links of a call. Only the holder of the CPU touches them.
#[derive(Debug)]
pub(super) struct Place {
    /// The previous call; null in the first one.
    before: Cell<*mut Call>,
    /// The next call; null in the last one.
    after: Cell<*mut Call>,
    listed: Cell<bool>,
}

impl Place {
    /// The links of a call that is in no list.
    pub(super) const fn new() -> Place {
        Place {
            before: Cell::new(ptr::null_mut()),
            after: Cell::new(ptr::null_mut()),
            listed: Cell::new(false),
        }
    }
}

/// The list of one CPU.
///
/// # Invariants
///
/// Each call in it stays at its address: its thread waits until it is complete, and it is
/// removed before.
#[derive(Debug)]
pub(super) struct Blocked(UnsafeCell<*mut Call>);

// SAFETY: addresses; only the holder of the CPU uses them.
unsafe impl Send for Blocked {}
// SAFETY: as above.
unsafe impl Sync for Blocked {}

impl Default for Blocked {
    fn default() -> Blocked {
        Blocked(UnsafeCell::new(ptr::null_mut()))
    }
}

impl Blocked {
    /// Puts `call` into the list, unless it is there.
    ///
    /// # Safety
    ///
    /// The caller holds the CPU, and the call stays in place until it has been
    /// taken out.
    pub(super) unsafe fn insert(&self, call: *mut Call) {
        // SAFETY: the calls in the list are in place, and their links ours.
        unsafe {
            let place = &(*call).place;
            if place.listed.replace(true) {
                return;
            }
            let first = *self.0.get();
            place.before.set(ptr::null_mut());
            place.after.set(first);
            if !first.is_null() {
                (*first).place.before.set(call);
            }
            *self.0.get() = call;
        }
    }

    /// Takes `call` out of the list, if it is there.
    ///
    /// # Safety
    ///
    /// The caller holds the CPU, and the call is in place.
    pub(super) unsafe fn remove(&self, call: *mut Call) {
        // SAFETY: as above.
        unsafe {
            let place = &(*call).place;
            if !place.listed.replace(false) {
                return;
            }
            let (before, after) = (place.before.get(), place.after.get());
            if before.is_null() {
                *self.0.get() = after;
            } else {
                (*before).place.after.set(after);
            }
            if !after.is_null() {
                (*after).place.before.set(before);
            }
        }
    }

    /// Takes any call out of the list.
    ///
    /// # Safety
    ///
    /// The caller holds the CPU, or has retired it.
    pub(super) unsafe fn pop(&self) -> Option<*mut Call> {
        // SAFETY: as above.
        unsafe {
            let first = *self.0.get();
            if first.is_null() {
                return None;
            }
            self.remove(first);
            Some(first)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_come_and_go_in_any_order() {
        let list = Blocked::default();
        let mut calls = [(); 3].map(|()| Call::new(0, 0, [0; 6]));
        let [a, b, c] = calls.each_mut().map(ptr::from_mut);
        // SAFETY: one thread, and the calls stay in place.
        unsafe {
            for call in [a, b, b, c] {
                list.insert(call);
            }
            list.remove(b);
            list.remove(b);
            assert_eq!(list.pop(), Some(c));
            list.insert(b);
            list.remove(a);
            assert_eq!(list.pop(), Some(b));
            assert_eq!(list.pop(), None);
        }
    }
}
