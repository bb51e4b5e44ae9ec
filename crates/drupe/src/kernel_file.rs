//! [`KernelFile`]: a file of the kernel's own tree (`/proc`, `/sys`, `/dev`), not of a
//! disk.

use std::ffi::CString;
use std::fmt;
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use drupe_abi::Errno;

use crate::error::{Error, Result, io_error};
use crate::kernel::{Kernel, KernelInner, Pseudo};
use crate::sys::{AT_FDCWD, OwnedFd};

/// An open file of the kernel's own tree: of `/proc` or `/sys`, or a device of `/dev`.
/// From [`Kernel::open`].
pub struct KernelFile {
    // Closed before the kernel is let go.
    fd: OwnedFd,
    kernel: Arc<KernelInner>,
}

impl Kernel {
    /// Opens a file of the kernel's own tree, with `flags` of open(2). `/proc`,
    /// `/sys` and `/dev` are mounted when first needed.
    ///
    /// ```no_run
    /// # let kernel = drupe::Kernel::boot()?;
    /// let mut text = Vec::new();
    /// kernel.open("/proc/meminfo", libc::O_RDONLY)?.read_to_end(&mut text)?;
    /// # Ok::<(), drupe::Error>(())
    /// ```
    pub fn open(&self, path: impl AsRef<Path>, flags: i32) -> Result<KernelFile> {
        let path = path.as_ref();
        let failed = |e: drupe_machine::Error| Error::at("open", path, e);
        let pseudo = [
            ("/dev", Pseudo::Dev),
            ("/proc", Pseudo::Proc),
            ("/sys", Pseudo::Sys),
        ];
        for (root, pseudo) in pseudo {
            if path.starts_with(root) {
                self.inner.need(pseudo).map_err(failed)?;
            }
        }
        let name = CString::new(path.as_os_str().as_bytes());
        let name = name.map_err(|_| Error::at("open", path, Errno::INVAL))?;
        let fd = self.inner.sys.openat(AT_FDCWD, &name, flags, 0);
        Ok(KernelFile {
            fd: fd.map_err(failed)?,
            kernel: Arc::clone(&self.inner),
        })
    }
}

impl KernelFile {
    #[cfg(feature = "net")]
    pub(crate) fn descriptor(&self) -> &OwnedFd {
        &self.fd
    }

    /// Its descriptor in the kernel, for [`Kernel::syscall`].
    pub fn raw_fd(&self) -> i32 {
        self.fd.raw()
    }

    /// The kernel it is a file of.
    pub fn kernel(&self) -> Kernel {
        Kernel {
            inner: Arc::clone(&self.kernel),
        }
    }

    /// One read(2). Returns the number of bytes, 0 at the end.
    pub fn read(&self, bytes: &mut [u8]) -> Result<usize> {
        let read = self.kernel.sys.read(self.fd.raw(), bytes);
        read.map_err(|e| Error::new("read", e))
    }

    /// Reads the rest of the file and appends it to `bytes`. Returns the number of bytes.
    pub fn read_to_end(&self, bytes: &mut Vec<u8>) -> Result<usize> {
        let before = bytes.len();
        loop {
            bytes.reserve(4096);
            let read = self.kernel.sys.read_more(self.fd.raw(), bytes);
            if read.map_err(|e| Error::new("read", e))? == 0 {
                return Ok(bytes.len() - before);
            }
        }
    }

    /// One write(2). Write a whole setting with one call: the kernel takes each call as a
    /// new value.
    pub fn write(&self, bytes: &[u8]) -> Result<usize> {
        let written = self.kernel.sys.write(self.fd.raw(), bytes);
        written.map_err(|e| Error::new("write", e))
    }

    /// Writes everything at an offset, as to a block device.
    pub fn write_all_at(&self, mut bytes: &[u8], mut offset: u64) -> Result<()> {
        while !bytes.is_empty() {
            let written = self.kernel.sys.pwrite(self.fd.raw(), bytes, offset);
            match written.map_err(|e| Error::new("write", e))? {
                0 => return Err(Error::new("write", Errno::NOSPC)),
                len => {
                    bytes = &bytes[len..];
                    offset += len as u64;
                }
            }
        }
        Ok(())
    }

    /// Waits until what was written to a block device is on it (fsync(2)).
    pub fn sync_all(&self) -> Result<()> {
        let synced = self.kernel.sys.fsync(self.fd.raw());
        synced.map_err(|e| Error::new("sync", e))
    }

    /// Whether calls fail with `WouldBlock` rather than block.
    pub fn set_nonblocking(&self, yes: bool) -> Result<()> {
        let set = self.kernel.sys.set_nonblocking(self.fd.raw(), yes);
        set.map_err(|e| Error::new("set non-blocking", e))
    }
}

impl Read for &KernelFile {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let read = self.kernel.sys.read(self.fd.raw(), bytes);
        read.map_err(|e| io_error("read", e))
    }
}

impl Write for &KernelFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.kernel.sys.write(self.fd.raw(), bytes);
        written.map_err(|e| io_error("write", e))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl fmt::Debug for KernelFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KernelFile({:?})", self.fd)
    }
}
