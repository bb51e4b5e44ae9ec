//! [`Watch`]: a call back when a file becomes ready (`kernel/arch/drupe/kernel/watch.c`).

use super::Machine;
use crate::devices::watch::Notify;
use crate::error::Error;
use crate::thread::deadline::without_deadline;
use drupe_abi::op;
use std::sync::Arc;

impl Machine {
    /// Calls `notify` whenever the file `fd` becomes ready (`poll(2)`), at once if it is
    /// ready already, and when the kernel ends or dies, until the [`Watch`] is dropped.
    /// To watch many files, watch an epoll(7) of them. The file stays open meanwhile.
    ///
    /// `notify` is called by the thread that runs the kernel, which stands still
    /// meanwhile: it must not block, and cannot call the kernel.
    ///
    /// # Errors
    ///
    /// `EBADF`; `EPERM` for a file that is always ready, or whose readers and
    /// writers wait in different places, such as a pipe.
    pub fn watch(self: &Arc<Self>, fd: i32, notify: Notify) -> Result<Watch, Error> {
        Watch::new(Arc::clone(self), fd, notify)
    }
}

/// Keeps a file watched until it is dropped. From
/// [`Machine::watch`](crate::Machine::watch).
#[derive(Debug)]
pub struct Watch {
    machine: Arc<Machine>,
    cookie: u64,
    handle: u64,
}

impl Watch {
    fn new(machine: Arc<Machine>, fd: i32, notify: Notify) -> Result<Watch, Error> {
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
