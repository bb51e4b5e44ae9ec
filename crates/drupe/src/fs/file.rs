//! [`File`]: an open file.

use std::fmt;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::sync::Arc;

use drupe_abi::Errno;
use drupe_machine::Error as MachineError;

use crate::error::{Error, Result};
use crate::kernel::Buffer;
use crate::mount::MountInner;
use crate::sys;
use crate::sys::{OwnedFd, Sys};

/// An open file, as [`std::fs::File`]. Closed when dropped; keeps its mount.
pub struct File {
    // Closed before the mount is let go.
    pub(super) fd: OwnedFd,
    pub(super) mount: Arc<MountInner>,
}

/// Adds the name of an operation to its error.
pub(super) fn named<T>(operation: &'static str, result: sys::Result<T>) -> Result<T> {
    result.map_err(|e| Error::new(operation, e))
}

impl File {
    pub(super) fn new(fd: OwnedFd, mount: &Arc<MountInner>) -> File {
        File {
            fd,
            mount: Arc::clone(mount),
        }
    }

    pub(super) fn sys(&self) -> &Arc<Sys> {
        self.fd.sys()
    }

    #[cfg(feature = "net")]
    pub(crate) fn descriptor(&self) -> &OwnedFd {
        &self.fd
    }

    /// Its descriptor in the kernel, for [`Kernel::syscall`](crate::Kernel::syscall).
    pub fn raw_fd(&self) -> i32 {
        self.fd.raw()
    }

    /// Another handle to the same open file, with the same position.
    pub fn try_clone(&self) -> Result<File> {
        let fd = named("duplicate", self.sys().duplicate(self.fd.raw()))?;
        Ok(File::new(fd, &self.mount))
    }

    /// Reads at an offset. Returns less than requested only at the end (or on EINTR).
    pub fn read_at(&self, bytes: &mut [u8], offset: u64) -> Result<usize> {
        named("read", self.sys().pread(self.fd.raw(), bytes, offset))
    }

    /// Writes at an offset. Returns the number of bytes.
    pub fn write_at(&self, bytes: &[u8], offset: u64) -> Result<usize> {
        named("write", self.sys().pwrite(self.fd.raw(), bytes, offset))
    }

    /// Writes everything at an offset.
    pub fn write_all_at(&self, mut bytes: &[u8], mut offset: u64) -> Result<()> {
        while !bytes.is_empty() {
            match self.write_at(bytes, offset)? {
                0 => return Err(Error::new("write", Errno::IO)),
                len => {
                    bytes = &bytes[len..];
                    offset += len as u64;
                }
            }
        }
        Ok(())
    }

    /// Reads at an offset into `range` of kernel memory; works with [`File::set_direct`].
    /// Returns less than requested only at the end.
    ///
    /// # Panics
    /// If the range is not within the buffer.
    pub fn read_buffer_at(
        &self,
        buffer: &mut Buffer,
        range: Range<usize>,
        offset: u64,
    ) -> Result<usize> {
        assert!(range.start <= range.end && range.end <= buffer.len());
        let machine = self.sys().machine();
        named(
            "read",
            machine.pread(self.fd.raw(), &mut buffer.0, range, offset),
        )
    }

    /// Writes all of `range` of kernel memory at an offset; works with
    /// [`File::set_direct`].
    ///
    /// # Panics
    /// If the range is not within the buffer.
    pub fn write_buffer_at(
        &self,
        buffer: &Buffer,
        mut range: Range<usize>,
        mut offset: u64,
    ) -> Result<()> {
        assert!(range.start <= range.end && range.end <= buffer.len());
        let machine = self.sys().machine();
        while !range.is_empty() {
            let part = machine.pwrite(self.fd.raw(), &buffer.0, range.clone(), offset);
            match named("write", part)? {
                0 => return Err(Error::new("write", Errno::IO)),
                len => {
                    range.start += len;
                    offset += len as u64;
                }
            }
        }
        Ok(())
    }

    /// Turns direct I/O (`O_DIRECT`) on or off: data goes straight between the disk and
    /// [`Buffer`]s, at offsets and in lengths that are multiples of the filesystem's
    /// block size (4096 is nearly always enough). Returns `false` if the filesystem does
    /// not support it.
    pub fn set_direct(&self, yes: bool) -> Result<bool> {
        let set = |sys: &Sys| {
            let flags = sys.status_flags(self.fd.raw())? & !libc::O_DIRECT;
            let direct = if yes { libc::O_DIRECT } else { 0 };
            match sys.set_status_flags(self.fd.raw(), flags | direct) {
                Err(MachineError::Errno(Errno::INVAL)) if yes => Ok(false),
                result => result.map(|()| true),
            }
        };
        named("set direct I/O", set(self.sys()))
    }

    /// Sets the file's size: cuts it off, or extends it with a hole.
    pub fn set_len(&self, len: u64) -> Result<()> {
        named("set length", self.sys().ftruncate(self.fd.raw(), len))
    }

    /// Makes contents and metadata durable (fsync(2)).
    pub fn sync_all(&self) -> Result<()> {
        named("sync", self.sys().fsync(self.fd.raw()))
    }

    /// Makes contents durable (fdatasync(2)).
    pub fn sync_data(&self) -> Result<()> {
        named("sync", self.sys().fdatasync(self.fd.raw()))
    }

    /// Allocates space, and extends the file if `offset + len` is beyond its end
    /// (fallocate(2)).
    pub fn allocate(&self, offset: u64, len: u64) -> Result<()> {
        named(
            "allocate",
            self.sys().fallocate(self.fd.raw(), 0, offset, len),
        )
    }

    /// Makes a hole that reads as zeroes; the size stays.
    pub fn punch_hole(&self, offset: u64, len: u64) -> Result<()> {
        let mode = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
        named(
            "punch hole",
            self.sys().fallocate(self.fd.raw(), mode, offset, len),
        )
    }

    /// fallocate(2) with any mode (`FALLOC_FL_*`).
    pub fn fallocate(&self, mode: i32, offset: u64, len: u64) -> Result<()> {
        let done = self.sys().fallocate(self.fd.raw(), mode, offset, len);
        named("fallocate", done)
    }

    /// Copies within the kernel, by sharing blocks where the filesystem can
    /// (copy_file_range(2)). Returns the number of bytes, which may be less than `len`
    /// not only at the end.
    pub fn copy_range_to(
        &self,
        offset: u64,
        to: &File,
        to_offset: u64,
        len: usize,
    ) -> Result<usize> {
        let (from, to) = ((self.fd.raw(), offset), (to.fd.raw(), to_offset));
        named("copy", self.sys().copy_file_range_at(from, to, len))
    }

    /// The offset of the first data at or after `offset`. `None`: only a hole follows.
    /// Moves the position.
    pub fn seek_data(&self, offset: u64) -> Result<Option<u64>> {
        self.seek_next(offset, libc::SEEK_DATA)
    }

    /// The offset of the first hole at or after `offset`; the end of the file counts as
    /// one. `None`: `offset` is beyond the end. Moves the position.
    pub fn seek_hole(&self, offset: u64) -> Result<Option<u64>> {
        self.seek_next(offset, libc::SEEK_HOLE)
    }

    fn seek_next(&self, offset: u64, whence: i32) -> Result<Option<u64>> {
        match self.sys().lseek(self.fd.raw(), offset as i64, whence) {
            Err(MachineError::Errno(Errno::NXIO)) => Ok(None),
            result => named("seek", result).map(Some),
        }
    }
}

/// Flags of the inode, as chattr(1), xfs_io(8) and project quotas use them. EOPNOTSUPP or
/// ENOTTY where the filesystem has none.
impl File {
    /// `FS_*_FL` (ioctl_iflags(2)).
    pub fn flags(&self) -> Result<u32> {
        named("get flags", self.sys().flags(self.fd.raw()))
    }

    /// Sets `FS_*_FL`.
    pub fn set_flags(&self, flags: u32) -> Result<()> {
        named("set flags", self.sys().set_flags(self.fd.raw(), flags))
    }

    /// A `struct fsxattr`, as it is (ioctl_fsgetxattr(2)).
    pub fn fsxattr(&self) -> Result<[u8; 28]> {
        named("get fsxattr", self.sys().fsxattr(self.fd.raw()))
    }

    /// Sets a `struct fsxattr`.
    pub fn set_fsxattr(&self, attributes: &[u8; 28]) -> Result<()> {
        let set = self.sys().set_fsxattr(self.fd.raw(), attributes);
        named("set fsxattr", set)
    }
}

impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "File({:?})", self.fd)
    }
}

// Every call is its own critical section in the kernel, so that shared handles
// can read, write and seek, as std's can.
impl Read for &File {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        Ok(named("read", self.sys().read(self.fd.raw(), bytes))?)
    }

    fn read_to_end(&mut self, bytes: &mut Vec<u8>) -> io::Result<usize> {
        let start = bytes.len();
        loop {
            bytes.reserve(32 << 10);
            if named("read", self.sys().read_more(self.fd.raw(), bytes))? == 0 {
                return Ok(bytes.len() - start);
            }
        }
    }
}

impl Write for &File {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(named("write", self.sys().write(self.fd.raw(), bytes))?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for &File {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let (offset, whence) = match to {
            SeekFrom::Start(offset) => (offset as i64, libc::SEEK_SET),
            SeekFrom::Current(by) => (by, libc::SEEK_CUR),
            SeekFrom::End(by) => (by, libc::SEEK_END),
        };
        Ok(named(
            "seek",
            self.sys().lseek(self.fd.raw(), offset, whence),
        )?)
    }
}

impl Read for File {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        (&*self).read(bytes)
    }

    fn read_to_end(&mut self, bytes: &mut Vec<u8>) -> io::Result<usize> {
        (&*self).read_to_end(bytes)
    }
}

impl Write for File {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (&*self).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for File {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        (&*self).seek(to)
    }
}
