//! Watching files: a call back when one becomes ready
//! (`kernel/arch/drupe/kernel/watch.c`).

use crate::devices::environment::contain;
use crate::error::Error;
use crate::machine::Machine;
use crate::sync::lock;
use crate::thread::deadline::without_deadline;
use drupe_abi::op;
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
    fn insert(&self, notify: Notify) -> u64 {
        let mut table = lock(&self.0);
        table.next += 1;
        let cookie = table.next;
        table.notify.insert(cookie, notify);
        cookie
    }

    fn remove(&self, cookie: u64) {
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

/// A file that is watched, until this is dropped. From
/// [`Machine::watch`](crate::Machine::watch).
#[derive(Debug)]
pub struct Watch {
    machine: Arc<Machine>,
    cookie: u64,
    handle: u64,
}

impl Watch {
    pub(crate) fn new(machine: Arc<Machine>, fd: i32, notify: Notify) -> Result<Watch, Error> {
        machine.kernel.check_forked()?;
        let watches = &machine.kernel.watches;
        let cookie = watches.insert(notify);
        // SAFETY: the arguments are numbers.
        let handle = unsafe { machine.request(op::WATCH, [fd as u64, cookie, 0, 0, 0, 0]) };
        match handle {
            Ok(handle) => Ok(Watch {
                cookie,
                handle: handle as u64,
                machine,
            }),
            Err(error) => {
                watches.remove(cookie);
                Err(error)
            }
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if self.machine.kernel.is_forked() {
            return;
        }
        let args = [self.handle, 0, 0, 0, 0, 0];
        // A kernel that has ended watches nothing.
        // SAFETY: the handle is that of a watch, and is not used again.
        let _ = without_deadline(|| unsafe { self.machine.request(op::UNWATCH, args) });
        self.machine.kernel.watches.remove(self.cookie);
    }
}
