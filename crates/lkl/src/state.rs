//! The one kernel of the process, and the disks and network devices that the program has
//! added: to it, or to one that is yet to be started.

use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};

use drupe::Kernel;

use crate::border::{Errno, Result};
use crate::disk::AddedDisk;
use crate::netdev::AddedDevice;

/// Its own lock: every system call looks at it.
static KERNEL: RwLock<Option<Kernel>> = RwLock::new(None);

static DEVICES: Mutex<Devices> = Mutex::new(Devices {
    disks: Vec::new(),
    netdevs: Vec::new(),
});

/// What the program has added. The place of each is its number; `None` was removed.
pub(crate) struct Devices {
    pub(crate) disks: Vec<Option<AddedDisk>>,
    pub(crate) netdevs: Vec<Option<AddedDevice>>,
}

/// All that was added. Not to be held while the kernel runs for long: the operations of
/// the program's devices are called meanwhile.
pub(crate) fn devices() -> MutexGuard<'static, Devices> {
    DEVICES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The kernel that runs.
pub(crate) fn running() -> Option<Kernel> {
    KERNEL
        .read()
        .unwrap_or_else(PoisonError::into_inner)
        .clone()
}

/// The kernel that runs; ENXIO if none does.
pub(crate) fn kernel() -> Result<Kernel> {
    running().ok_or(Errno::of(libc::ENXIO))
}

/// Another kernel runs from now on, or none. Returns the one before.
pub(crate) fn replace(kernel: Option<Kernel>) -> Option<Kernel> {
    let mut running = KERNEL.write().unwrap_or_else(PoisonError::into_inner);
    std::mem::replace(&mut *running, kernel)
}

/// Puts something into the first free place, whose number is returned.
pub(crate) fn place<T>(places: &mut Vec<Option<T>>, what: T) -> usize {
    match places.iter().position(Option::is_none) {
        Some(free) => {
            places[free] = Some(what);
            free
        }
        None => {
            places.push(Some(what));
            places.len() - 1
        }
    }
}
