//! A kernel as its owner sees it.

use crate::boot;
use crate::buffer::Buffer;
use crate::config::Config;
use crate::devices::disks::{self, DiskId};
use crate::devices::netdevs::{self, LinkId};
use crate::devices::watch::{Notify, Watch};
use crate::error::Error;
use crate::instance::{End, Instance};
use crate::thread::deadline::without_deadline;
use crate::thread::interrupt::Interrupter;
use crate::thread::{context, deferred};
use drupe_abi::{Crash, Errno, op};
use drupe_host::disk::Disk;
use drupe_host::link::Link;
use std::ops::Range;
use std::sync::Arc;

/// `sync`, `include/uapi/asm-generic/unistd.h`.
const NR_SYNC: u64 = 81;
/// `reboot`, as above.
const NR_REBOOT: u64 = 142;

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
    /// [`Error::Boot`] when memory or threads cannot be had, or the host has no
    /// clock or random numbers, [`Error::Dead`]
    /// when the kernel panics while it boots.
    pub fn boot(config: Config) -> Result<Arc<Machine>, Error> {
        let kernel = boot::boot(config)?;
        Ok(Arc::new(Machine { kernel }))
    }

    /// Makes one system call on the calling thread's own task: number `nr` of
    /// the generic table (`include/uapi/asm-generic/unistd.h`).
    ///
    /// # Errors
    ///
    /// [`Error::Errno`] with what the call returned, else why it could not be
    /// made.
    ///
    /// # Safety
    ///
    /// What the call reads or writes through its arguments, until it returns,
    /// must be the caller's. (A pointer to nothing is fine: `EFAULT`.)
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
        let context = context();
        let task = context.task(&self.kernel)?;
        // SAFETY: passed on.
        unsafe { self.kernel.call(context, task, nr, args) }
    }

    /// What interrupts the calling thread's calls into this kernel.
    ///
    /// # Errors
    ///
    /// Why the thread cannot make calls here.
    pub fn interrupter(&self) -> Result<Interrupter, Error> {
        Ok(Interrupter {
            kernel: Arc::downgrade(&self.kernel),
            task: context().find_task(&self.kernel)?,
        })
    }

    /// Adds a disk. On return its partitions have been read.
    ///
    /// # Errors
    ///
    /// `EINVAL` for a geometry that cannot be, `ENOSPC` when there are 26 disks,
    /// or what the kernel says.
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
    /// `EBUSY` while it is mounted or open, `ENODEV` when there is none.
    pub fn remove_disk(&self, id: DiskId) -> Result<(), Error> {
        // SAFETY: the arguments are numbers.
        unsafe { self.request(op::DISK_REMOVE, [id.0.into(), 0, 0, 0, 0, 0])? };
        self.kernel.disks.remove(id);
        Ok(())
    }

    /// Adds a network link: an Ethernet device, down, in the network namespace of
    /// the calling thread's task.
    ///
    /// # Errors
    ///
    /// `ENOSPC` when there are 64 links, `EADDRNOTAVAIL` or `EINVAL` for an
    /// address or MTU that cannot be, or what the kernel says.
    pub fn add_link(&self, link: Arc<dyn Link>) -> Result<LinkId, Error> {
        self.kernel.check_forked()?;
        let info = link.info();
        let number = self
            .kernel
            .netdevs
            .insert(&self.kernel, Arc::clone(&link))?;
        let mac = info.mac.as_ref().map_or(0, |mac| mac.as_ptr() as u64);
        let flags = netdevs::flags(info.offloads);
        let args = [number.into(), mac, info.mtu.into(), flags, 0, 0];
        // SAFETY: the address is in place until the call is over.
        match unsafe { self.request(op::LINK_ADD, args) } {
            Ok(index) => Ok(LinkId {
                number,
                index: index as u32,
            }),
            Err(error) => {
                self.kernel.netdevs.remove(number);
                Err(error)
            }
        }
    }

    /// Removes a link, whoever uses it.
    ///
    /// # Errors
    ///
    /// `ENODEV` when there is none.
    pub fn remove_link(&self, id: LinkId) -> Result<(), Error> {
        let args = [id.number.into(), 0, 0, 0, 0, 0];
        // SAFETY: the arguments are numbers.
        unsafe { self.request(op::LINK_REMOVE, args)? };
        self.kernel.netdevs.remove(id.number);
        Ok(())
    }

    /// Calls `notify` whenever the file `fd` becomes ready (`poll(2)`), and at
    /// once if it is, until the [`Watch`] is dropped; and when the kernel ends,
    /// however that comes. An epoll stands for any number of files. The file stays
    /// open meanwhile.
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

    /// Allocates `len` bytes of kernel memory: calls that pin pages (direct I/O,
    /// `MSG_ZEROCOPY`, `vmsplice(2)`, the rings and fixed buffers of io_uring)
    /// cannot use the program's own.
    ///
    /// # Errors
    ///
    /// `ENOMEM` when there is no contiguous piece.
    pub fn buffer(self: &Arc<Self>, len: usize) -> Result<Buffer, Error> {
        Buffer::new(Arc::clone(self), len)
    }

    /// `pread(2)` of `fd` into `buffer[range]`; works with `O_DIRECT`.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    ///
    /// # Panics
    ///
    /// When `range` is not in the buffer, or the buffer another kernel's.
    pub fn pread(
        &self,
        fd: i32,
        buffer: &mut Buffer,
        range: Range<usize>,
        offset: u64,
    ) -> Result<usize, Error> {
        buffer.assert_of(self);
        let piece = &mut buffer[range];
        let args = [
            fd as u64,
            piece.as_mut_ptr() as u64,
            piece.len() as u64,
            offset,
            0,
            0,
        ];
        // SAFETY: the piece is kernel memory, and borrowed for the call.
        unsafe { self.request(op::PREAD, args) }
    }

    /// `pwrite(2)` to `fd` from `buffer[range]`; works with `O_DIRECT`.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    ///
    /// # Panics
    ///
    /// When `range` is not in the buffer, or the buffer another kernel's.
    pub fn pwrite(
        &self,
        fd: i32,
        buffer: &Buffer,
        range: Range<usize>,
        offset: u64,
    ) -> Result<usize, Error> {
        buffer.assert_of(self);
        let piece = &buffer[range];
        let args = [
            fd as u64,
            piece.as_ptr() as u64,
            piece.len() as u64,
            offset,
            0,
            0,
        ];
        // SAFETY: the piece is kernel memory, and borrowed for the call.
        unsafe { self.request(op::PWRITE, args) }
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

    /// What the kernel has logged since [`Machine::logged`] was `mark`.
    pub fn log_since(&self, mark: u64) -> String {
        match self.kernel.is_forked() {
            true => String::new(),
            false => self.kernel.log.text_since(mark),
        }
    }

    /// Whether the kernel stayed with the parent process: this one is a child of
    /// `fork(2)`.
    pub fn is_forked(&self) -> bool {
        self.kernel.is_forked()
    }

    /// Breaks the kernel, to see that the program survives it.
    ///
    /// # Errors
    ///
    /// [`Error::Dead`], always, unless the kernel had ended before.
    pub fn crash(&self, how: Crash) -> Result<(), Error> {
        // SAFETY: the argument is a number.
        unsafe { self.request(op::CRASH, [how as u64, 0, 0, 0, 0, 0])? };
        Ok(())
    }

    /// Writes back what is dirty, and stops the kernel. Calls that are blocked,
    /// and later ones, get [`Error::Halted`]. Filesystems stay mounted: unmount
    /// them before. Halting a halted kernel does nothing.
    ///
    /// # Errors
    ///
    /// [`Error::Dead`] when the kernel had died or dies, [`Error::Reentered`],
    /// [`Error::Forked`].
    pub fn halt(&self) -> Result<(), Error> {
        const MAGIC1: u64 = 0xfee1dead;
        const MAGIC2: u64 = 672274793;
        const HALT: u64 = 0xcdef0123;
        if self.kernel.is_forked() {
            return Err(Error::Forked);
        }
        // SAFETY: `sync` has no arguments, those of `reboot` are numbers.
        let result = without_deadline(|| unsafe {
            self.request(NR_SYNC, [0; 6])
                .and_then(|_| self.request(NR_REBOOT, [MAGIC1, MAGIC2, HALT, 0, 0, 0]))
        });
        if self.kernel.end.get().is_some() {
            self.kernel.join();
            self.kernel.netdevs.clear();
        }
        match (self.kernel.end.get(), result) {
            (Some(End::Halted), _) => Ok(()),
            (Some(end), _) => Err(end.clone().into()),
            (None, Err(error)) => Err(error),
            (None, Ok(_)) => Err(Errno::IO.into()),
        }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if context().is_inside() && !self.kernel.is_forked() {
            // A thread can be in one call at a time: when that is over.
            deferred::halt(Arc::clone(&self.kernel));
            return;
        }
        // Nobody is left to hear of an error; `halt` tells.
        let _ = self.halt();
    }
}
