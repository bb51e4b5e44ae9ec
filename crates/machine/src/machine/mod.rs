//! [`Machine`]: the handle to a kernel, and its system calls.
//!
//! - `buffer.rs`: kernel memory that the program can use.
//! - `link.rs`: network links.
//! - `watch.rs`: a call back when a file becomes ready.

mod buffer;
mod link;
mod watch;

pub use buffer::Buffer;
pub use watch::Watch;

use crate::boot;
use crate::config::Config;
use crate::devices::disks::{self, DiskId};
use crate::error::Error;
use crate::instance::Instance;
use crate::thread::interrupt::Interrupter;
use crate::thread::{context, deferred};
use drupe_abi::{Crash, op};
use drupe_host::disk::Disk;
use std::sync::Arc;

/// A running kernel. Any thread may use it; dropping it halts the kernel.
#[derive(Debug)]
pub struct Machine {
    pub(crate) kernel: Arc<Instance>,
}

impl Machine {
    /// Boots a kernel.
    ///
    /// Its root is an empty tmpfs; nothing else is mounted.
    ///
    /// # Errors
    ///
    /// [`Error::Boot`] when the system has no memory or threads left, or the
    /// [host](drupe_host::Host)'s clock or random source fails; [`Error::Dead`] when the
    /// kernel panics while it boots.
    pub fn boot(config: Config) -> Result<Arc<Machine>, Error> {
        let kernel = boot::boot(config)?;
        Ok(Arc::new(Machine { kernel }))
    }

    /// Makes one system call on the calling thread's own task. `nr` is its number in the
    /// generic table (`include/uapi/asm-generic/unistd.h`).
    ///
    /// # Errors
    ///
    /// [`Error::Errno`] with the call's own error; another [`Error`] if it could not be
    /// made.
    ///
    /// # Safety
    ///
    /// The caller must own all memory that the call reads or writes through its
    /// arguments, until it returns. (A pointer to unmapped memory is allowed: `EFAULT`.)
    #[inline]
    pub unsafe fn syscall(&self, nr: usize, args: [usize; 6]) -> Result<usize, Error> {
        let mut nr = nr as u64;
        if nr >= op::BOOT {
            // Not a system call, and no business of the caller's: `ENOSYS`.
            nr = u64::MAX;
        }
        // SAFETY: passed on.
        unsafe { self.request(nr, args.map(|arg| arg as u64)) }
    }

    /// # Safety
    ///
    /// As for [`Machine::syscall`].
    #[inline]
    pub(crate) unsafe fn request(&self, nr: u64, args: [u64; 6]) -> Result<usize, Error> {
        // SAFETY: passed on.
        unsafe { self.kernel.request(nr, args) }
    }

    /// A handle by which other threads interrupt the calling thread's calls into this
    /// kernel.
    ///
    /// # Errors
    ///
    /// Any [`Error`] of making the thread's first call.
    pub fn interrupter(&self) -> Result<Interrupter, Error> {
        Ok(Interrupter {
            kernel: Arc::downgrade(&self.kernel),
            task: context().find_task(&self.kernel)?,
        })
    }

    /// Adds a disk. On return, the kernel has read its partition table.
    ///
    /// # Errors
    ///
    /// `EINVAL` for an invalid geometry, `ENOSPC` when there are 26 disks, or the
    /// kernel's error.
    pub fn add_disk(&self, disk: Arc<dyn Disk>) -> Result<DiskId, Error> {
        self.kernel.check_forked()?;
        let [size, block_size, flags] = disks::describe(&*disk)?;
        let id = self.kernel.disks.insert(disk)?;
        let args = [id.0.into(), size, block_size, flags, 0, 0];
        // SAFETY: the arguments are numbers.
        match unsafe { self.request(op::DISK_ADD, args) } {
            Ok(_) => Ok(id),
            Err(error) => {
                self.kernel.disks.remove(id);
                Err(error)
            }
        }
    }

    /// Removes a disk.
    ///
    /// # Errors
    ///
    /// `EBUSY` while it is mounted or open, `ENODEV` when there is no such disk.
    pub fn remove_disk(&self, id: DiskId) -> Result<(), Error> {
        // SAFETY: the arguments are numbers.
        unsafe { self.request(op::DISK_REMOVE, [id.0.into(), 0, 0, 0, 0, 0])? };
        self.kernel.disks.remove(id);
        Ok(())
    }

    /// The newest part of the kernel log.
    pub fn log(&self) -> String {
        self.log_since(0)
    }

    /// Bytes logged so far, for [`Machine::log_since`].
    pub fn logged(&self) -> u64 {
        match self.kernel.is_forked() {
            true => 0,
            false => self.kernel.log.written(),
        }
    }

    /// The kept part of the log that was written after its first `mark` bytes
    /// ([`Machine::logged`]).
    pub fn log_since(&self, mark: u64) -> String {
        match self.kernel.is_forked() {
            true => String::new(),
            false => self.kernel.log.text_since(mark),
        }
    }

    /// Whether the kernel belongs to the parent process, because this is a child of
    /// `fork(2)`.
    pub fn is_forked(&self) -> bool {
        self.kernel.is_forked()
    }

    /// Makes the kernel crash, to test that the program survives it.
    ///
    /// # Errors
    ///
    /// [`Error::Dead`], always, unless the kernel had ended before.
    pub fn crash(&self, how: Crash) -> Result<(), Error> {
        // SAFETY: the argument is a number.
        unsafe { self.request(op::CRASH, [how as u64, 0, 0, 0, 0, 0])? };
        Ok(())
    }

    /// Writes back dirty data, as sync(2) does, and stops the kernel. Blocked and later
    /// calls return [`Error::Halted`]. Filesystems are not unmounted: unmount them
    /// before. Halting a halted kernel does nothing.
    ///
    /// # Errors
    ///
    /// [`Error::Dead`] when the kernel had died or dies, [`Error::Reentered`],
    /// [`Error::Forked`].
    pub fn halt(&self) -> Result<(), Error> {
        self.kernel.halt()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let context = context();
        let busy = context.is_inside() || context.is_serving(self.kernel.id);
        if busy && !self.kernel.is_forked() {
            // When the call, or the request to a disk, is over.
            deferred::halt(Arc::clone(&self.kernel));
            return;
        }
        // Nobody is left to hear of an error; `halt` tells.
        let _ = self.halt();
    }
}
