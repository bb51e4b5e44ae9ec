//! [`Kernel`]: a running kernel. Its disks, mounts, links and so on are in modules of
//! their own, which use this one.

#[cfg(feature = "tokio")]
use std::any::Any;
use std::ffi::{CStr, CString};
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use drupe_machine::{Machine, without_deadline};

use crate::error::{Error, Result};
use crate::sys::{self, AT_FDCWD, Sys};
use crate::watched_disk::WriteError;

/// A running Linux kernel.
///
/// Clones are handles to the same kernel. It halts with the last handle to it;
/// disks, partitions, mounts and files count as handles.
#[derive(Clone)]
pub struct Kernel {
    pub(crate) inner: Arc<KernelInner>,
}

impl fmt::Debug for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Kernel").field(&self.inner.sys.id()).finish()
    }
}

/// A kernel, and what this crate keeps for it.
pub(crate) struct KernelInner {
    pub(crate) sys: Arc<Sys>,
    /// Which filesystems of [`Pseudo`] are mounted.
    pseudo: Mutex<[bool; Pseudo::COUNT]>,
    next_mount: AtomicU32,
    /// Of all its disks.
    pub(crate) write_error: Arc<WriteError>,
    mounts: Mutex<Vec<Weak<dyn Settle>>>,
    /// What other modules keep for this kernel, one of each type.
    #[cfg(feature = "tokio")]
    extensions: Mutex<Vec<Arc<dyn Any + Send + Sync>>>,
    /// Who halts it: another one waits until the mounts are settled.
    halting: Mutex<()>,
}

/// A mount, as [`Kernel::halt`] uses it.
pub(crate) trait Settle: Send + Sync {
    /// Writes everything out, and makes the mount read-only.
    fn settle(&self) -> Result<()>;
}

/// The kernel's own filesystems, which are mounted when they are first needed.
#[derive(Clone, Copy)]
pub(crate) enum Pseudo {
    Dev,
    Proc,
    Sys,
}

impl Pseudo {
    const COUNT: usize = 3;

    fn names(self) -> (&'static CStr, &'static CStr) {
        match self {
            Pseudo::Dev => (c"devtmpfs", c"/dev"),
            Pseudo::Proc => (c"proc", c"/proc"),
            Pseudo::Sys => (c"sysfs", c"/sys"),
        }
    }
}

impl Kernel {
    /// Allocates memory of the kernel, for [`File::read_buffer_at`] and
    /// [`File::write_buffer_at`]. Physically contiguous: up to 4 MiB at a time.
    ///
    /// [`File::read_buffer_at`]: crate::File::read_buffer_at
    /// [`File::write_buffer_at`]: crate::File::write_buffer_at
    pub fn buffer(&self, len: usize) -> Result<Buffer> {
        let buffer = self.inner.sys.machine().buffer(len);
        Ok(Buffer(buffer.map_err(|e| Error::new("buffer", e))?))
    }

    /// A handle by which any other thread interrupts the calling thread's calls into this
    /// kernel, which then fail with EINTR. Functions of [`std::io`] that loop try again
    /// after it. [`with_deadline`](crate::with_deadline) limits the time of calls.
    pub fn interrupter(&self) -> Result<Interrupter> {
        let interrupter = self.inner.sys.machine().interrupter();
        let interrupter = interrupter.map_err(|e| Error::new("interrupter", e))?;
        Ok(Interrupter(interrupter))
    }

    /// Fills `bytes` from the kernel's generator of random numbers (getrandom(2)),
    /// which [`Host::random`](crate::Host::random) has seeded.
    pub fn random(&self, mut bytes: &mut [u8]) -> Result<()> {
        while !bytes.is_empty() {
            let filled = self.inner.sys.random(bytes);
            bytes = &mut bytes[filled.map_err(|e| Error::new("random", e))?..];
        }
        Ok(())
    }

    /// The newest 256 KiB of the kernel's log.
    pub fn log(&self) -> String {
        self.inner.sys.machine().log()
    }

    /// Makes any system call, by its number in the generic table ([`crate::nr`]), on the
    /// calling thread's own task. Its errors are [`Cause::Errno`](crate::Cause::Errno).
    ///
    /// `FUTEX_WAIT` and the other operations of `futex(2)` on the program's own memory
    /// need `FUTEX_PRIVATE_FLAG`. Without the flag the call fails with `EFAULT`, because
    /// the kernel identifies a shared futex by its page, and has no pages for the
    /// program's memory.
    ///
    /// # Safety
    /// Memory that the arguments point to must be valid for what the call does
    /// with it, and file descriptors that this crate owns must stay open.
    pub unsafe fn syscall(&self, nr: usize, args: [usize; 6]) -> Result<usize> {
        // SAFETY: the caller's.
        let result = unsafe { self.inner.sys.machine().syscall(nr, args) };
        result.map_err(|e| Error::new("syscall", e))
    }

    /// Halts the kernel now, even if there are other handles, which get
    /// [`Cause::Halted`](crate::Cause::Halted) from then on.
    ///
    /// Each mount is written out and made read-only, which leaves a clean filesystem. If
    /// files of it are open for writing, it is left as after sync(2), and its journal
    /// must be replayed. All mounts are done in any case; the first error is returned.
    pub fn halt(&self) -> Result<()> {
        let machine = self.inner.sys.machine();
        if machine.is_forked() {
            // Another thread of the parent may have the locks, for ever.
            return Err(Error::new("halt", drupe_machine::Error::Forked));
        }
        let halting = &self.inner.halting;
        let _one = halting.lock().unwrap_or_else(PoisonError::into_inner);
        let mounts = std::mem::take(&mut *self.inner.mounts());
        let settle = || {
            let mounts = mounts.iter().filter_map(Weak::upgrade);
            mounts.map(|mount| mount.settle()).fold(Ok(()), Result::and)
        };
        let settled = without_deadline(settle);
        let halted = machine.halt();
        settled.and(halted.map_err(|e| Error::new("halt", e)))
    }
}

/// Interrupts the calls of one thread into one kernel. From
/// [`Kernel::interrupter`].
#[derive(Debug, Clone)]
pub struct Interrupter(drupe_machine::Interrupter);

impl Interrupter {
    /// Ends the thread's current call with EINTR when it blocks, if signal(7) says that
    /// it can be interrupted. If the thread is in no call, this applies to its next one:
    /// a thread that checks a flag before each call cannot miss a flag that was set
    /// before this.
    ///
    /// Fails if the kernel has ended ([`Cause::Halted`](crate::Cause::Halted),
    /// [`Cause::Dead`](crate::Cause::Dead)), and in a signal handler or a host operation
    /// ([`Cause::Reentered`](crate::Cause::Reentered)). That the thread has ended is not
    /// an error.
    pub fn interrupt(&self) -> Result<()> {
        self.0.interrupt().map_err(|e| Error::new("interrupt", e))
    }
}

impl KernelInner {
    /// A kernel that has just been booted.
    pub(crate) fn new(machine: Arc<Machine>) -> sys::Result<KernelInner> {
        let inner = KernelInner {
            sys: Arc::new(Sys::new(machine)),
            pseudo: Mutex::default(),
            next_mount: AtomicU32::new(0),
            write_error: Arc::default(),
            mounts: Mutex::default(),
            #[cfg(feature = "tokio")]
            extensions: Mutex::default(),
            halting: Mutex::default(),
        };
        inner.prepare()?;
        Ok(inner)
    }

    /// A value that another module keeps for this kernel, made at the first use.
    #[cfg(feature = "tokio")]
    pub(crate) fn extension<T: Any + Default + Send + Sync>(&self) -> Arc<T> {
        let extensions = self.extensions.lock();
        let mut extensions = extensions.unwrap_or_else(PoisonError::into_inner);
        let mut known = extensions.iter().map(Arc::clone);
        if let Some(found) = known.find_map(|extension| extension.downcast().ok()) {
            return found;
        }
        let new = Arc::<T>::default();
        extensions.push(Arc::<T>::clone(&new));
        new
    }

    /// Prepares a booted kernel: no umask, since this crate's modes are exact, and a high
    /// limit of open files.
    fn prepare(&self) -> sys::Result<()> {
        self.sys.umask(0)?;
        self.sys.set_open_files_limit(1 << 20)?;
        ignore_exists(self.sys.mkdirat(AT_FDCWD, c"/mnt", 0o755))
    }

    /// Mounts a pseudo filesystem unless it is mounted.
    pub(crate) fn need(&self, pseudo: Pseudo) -> sys::Result<()> {
        let mut mounted = self.pseudo.lock().unwrap_or_else(PoisonError::into_inner);
        let mounted = &mut mounted[pseudo as usize];
        if !*mounted {
            let (fstype, target) = pseudo.names();
            ignore_exists(self.sys.mkdirat(AT_FDCWD, target, 0o755))?;
            self.sys.mount(fstype, target, fstype, 0, b"")?;
            *mounted = true;
        }
        Ok(())
    }

    /// `/dev/NAME`, with devtmpfs mounted.
    pub(crate) fn device(&self, name: &str) -> sys::Result<CString> {
        self.need(Pseudo::Dev)?;
        // The kernel's device names have no NUL; sysfs turns "/" into "!".
        Ok(CString::new(format!("/dev/{name}")).unwrap_or_default())
    }

    /// A number that no other mount or volume of this kernel has.
    pub(crate) fn mount_number(&self) -> u32 {
        self.next_mount.fetch_add(1, Ordering::Relaxed)
    }

    /// Remembers a mount for [`Kernel::halt`].
    pub(crate) fn register(&self, mount: Weak<dyn Settle>) {
        let mut mounts = self.mounts();
        mounts.retain(|mount| mount.strong_count() > 0);
        mounts.push(mount);
    }

    fn mounts(&self) -> MutexGuard<'_, Vec<Weak<dyn Settle>>> {
        self.mounts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for KernelInner {
    fn drop(&mut self) {
        // Nothing is mounted any more: a mount is a handle.
        let _ = self.sys.machine().halt();
    }
}

fn ignore_exists(result: sys::Result<()>) -> sys::Result<()> {
    match result {
        Err(drupe_machine::Error::Errno(drupe_abi::Errno::EXIST)) => Ok(()),
        result => result,
    }
}

/// Memory of a kernel that the program uses as a slice. Direct I/O needs it. From
/// [`Kernel::buffer`].
pub struct Buffer(pub(crate) drupe_machine::Buffer);

impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buffer").field("len", &self.len()).finish()
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}
