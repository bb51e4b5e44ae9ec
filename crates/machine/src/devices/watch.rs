//! Who is called back when a file becomes ready (`machine/watch.rs`).

use crate::devices::environment::contain;
use crate::sync::lock;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

/// What is called when a file becomes ready.
pub(crate) type Notify = Arc<dyn Fn() + Send + Sync>;

/// The watches of one kernel, by the cookie that it knows them by.
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

    /// The kernel has ended: whoever waits is to look, and to find that out.
    pub(crate) fn end(&self) {
        let all: Vec<Notify> = lock(&self.0).notify.values().cloned().collect();
        for notify in all {
            let _ = contain(|| notify());
        }
    }

    /// The kernel says that a file is ready.
    pub(crate) fn notify(&self, cookie: u64) {
        let notify = lock(&self.0).notify.get(&cookie).cloned();
        if let Some(notify) = notify {
            let _ = contain(|| notify());
        }
    }
}
