//! [`Watches`]: the call backs of watched files (`machine/watch.rs`).

use crate::devices::environment::contain;
use crate::sync::lock;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

/// The call back for a file that has become ready.
pub(crate) type Notify = Arc<dyn Fn() + Send + Sync>;

/// The call backs of one kernel, by the cookie that the kernel was given.
#[derive(Default)]
pub(crate) struct Watches(Mutex<Table>);

#[derive(Default)]
struct Table {
    next: u64,
    notify: HashMap<u64, Notify>,
}

impl std::fmt::Debug for Watches {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watches").finish_non_exhaustive()
    }
}

impl Watches {
    pub(crate) fn insert(&self, notify: Notify) -> u64 {
        let mut table = lock(&self.0);
        table.next += 1;
        let cookie = table.next;
        table.notify.insert(cookie, notify);
        cookie
    }

    pub(crate) fn remove(&self, cookie: u64) {
        let notify = lock(&self.0).notify.remove(&cookie);
        // Not under the lock: it is not ours what it drops.
        drop(notify);
    }

    /// Called when the kernel has ended: calls all call backs, so that waiters notice.
    pub(crate) fn end(&self) {
        let all: Vec<Notify> = lock(&self.0).notify.values().cloned().collect();
        for notify in all {
            let _ = contain(|| notify());
        }
    }

    /// Calls the call back of `cookie`: its file is ready.
    pub(crate) fn notify(&self, cookie: u64) {
        let notify = lock(&self.0).notify.get(&cookie).cloned();
        if let Some(notify) = notify {
            let _ = contain(|| notify());
        }
    }
}
