//! System calls that read, write, allocate and copy a file's data.

use std::ffi::CStr;
use std::sync::Arc;

use super::call::{Result, Sys, fd, text};
use super::nr;

impl Sys {
    pub(crate) fn read(&self, raw: i32, bytes: &mut [u8]) -> Result<usize> {
        let args = [fd(raw), bytes.as_mut_ptr() as usize, bytes.len()];
        // SAFETY: writes within `bytes`.
        unsafe { self.raw(nr::READ, args) }
    }

    pub(crate) fn pread(&self, raw: i32, bytes: &mut [u8], offset: u64) -> Result<usize> {
        let args = [
            fd(raw),
            bytes.as_mut_ptr() as usize,
            bytes.len(),
            offset as usize,
        ];
        // SAFETY: writes within `bytes`.
        unsafe { self.raw(nr::PREAD64, args) }
    }

    /// read(2) into the spare capacity of the vector.
    pub(crate) fn read_more(&self, raw: i32, bytes: &mut Vec<u8>) -> Result<usize> {
        let spare = bytes.spare_capacity_mut();
        let args = [fd(raw), spare.as_mut_ptr() as usize, spare.len()];
        // SAFETY: writes within the vector's spare capacity.
        let len = unsafe { self.raw(nr::READ, args) }?;
        // SAFETY: the kernel has written `len` bytes of the spare capacity.
        unsafe { bytes.set_len(bytes.len() + len) };
        Ok(len)
    }

    /// getrandom(2). Returns the number of bytes, which is all if they are at most 256.
    pub(crate) fn random(&self, bytes: &mut [u8]) -> Result<usize> {
        let args = [bytes.as_mut_ptr() as usize, bytes.len(), 0];
        // SAFETY: writes within `bytes`.
        unsafe { self.raw(nr::GETRANDOM, args) }
    }

    pub(crate) fn write(&self, raw: i32, bytes: &[u8]) -> Result<usize> {
        let args = [fd(raw), bytes.as_ptr() as usize, bytes.len()];
        // SAFETY: reads `bytes`.
        unsafe { self.raw(nr::WRITE, args) }
    }

    pub(crate) fn pwrite(&self, raw: i32, bytes: &[u8], offset: u64) -> Result<usize> {
        let args = [
            fd(raw),
            bytes.as_ptr() as usize,
            bytes.len(),
            offset as usize,
        ];
        // SAFETY: reads `bytes`.
        unsafe { self.raw(nr::PWRITE64, args) }
    }

    pub(crate) fn lseek(&self, raw: i32, offset: i64, whence: i32) -> Result<u64> {
        self.plain(nr::LSEEK, [fd(raw), offset as usize, whence as usize])
            .map(|position| position as u64)
    }

    pub(crate) fn ftruncate(&self, raw: i32, len: u64) -> Result<()> {
        self.plain(nr::FTRUNCATE, [fd(raw), len as usize]).map(drop)
    }

    /// truncate(2) of a path of the kernel's own tree, links followed.
    pub(crate) fn truncate(&self, path: &CStr, len: u64) -> Result<()> {
        // SAFETY: reads a string.
        unsafe { self.raw(nr::TRUNCATE, [text(path), len as usize]) }.map(drop)
    }

    pub(crate) fn fallocate(&self, raw: i32, mode: i32, offset: u64, len: u64) -> Result<()> {
        let args = [fd(raw), mode as usize, offset as usize, len as usize];
        self.plain(nr::FALLOCATE, args).map(drop)
    }

    pub(crate) fn fsync(&self, raw: i32) -> Result<()> {
        self.plain(nr::FSYNC, [fd(raw)]).map(drop)
    }

    pub(crate) fn fdatasync(&self, raw: i32) -> Result<()> {
        self.plain(nr::FDATASYNC, [fd(raw)]).map(drop)
    }

    pub(crate) fn syncfs(&self, raw: i32) -> Result<()> {
        self.plain(nr::SYNCFS, [fd(raw)]).map(drop)
    }

    /// fcntl(2) with `F_SETFL`.
    pub(crate) fn set_status_flags(&self, raw: i32, flags: i32) -> Result<()> {
        let args = [fd(raw), libc::F_SETFL as usize, flags as usize];
        self.plain(nr::FCNTL, args).map(drop)
    }

    /// fcntl(2) with `F_GETFL`.
    pub(crate) fn status_flags(&self, raw: i32) -> Result<i32> {
        self.plain(nr::FCNTL, [fd(raw), libc::F_GETFL as usize])
            .map(|flags| flags as i32)
    }

    /// Sets or clears `O_NONBLOCK`.
    pub(crate) fn set_nonblocking(&self, raw: i32, yes: bool) -> Result<()> {
        let flags = self.status_flags(raw)? & !libc::O_NONBLOCK;
        let nonblocking = if yes { libc::O_NONBLOCK } else { 0 };
        self.set_status_flags(raw, flags | nonblocking)
    }

    /// fcntl(2) with `F_DUPFD_CLOEXEC`.
    pub(crate) fn duplicate(self: &Arc<Self>, raw: i32) -> Result<super::OwnedFd> {
        let args = [fd(raw), libc::F_DUPFD_CLOEXEC as usize, 0];
        let new = self.plain(nr::FCNTL, args)?;
        Ok(super::OwnedFd::new(self, new))
    }

    /// copy_file_range(2) from one offset to another.
    pub(crate) fn copy_file_range_at(
        &self,
        (from, mut from_offset): (i32, u64),
        (to, mut to_offset): (i32, u64),
        len: usize,
    ) -> Result<usize> {
        let args = [
            fd(from),
            &raw mut from_offset as usize,
            fd(to),
            &raw mut to_offset as usize,
            len,
            0,
        ];
        // SAFETY: reads and writes two numbers that live until it returns.
        unsafe { self.raw(nr::COPY_FILE_RANGE, args) }
    }

    /// copy_file_range(2) at the two files' positions, which it advances.
    pub(crate) fn copy_file_range(&self, from: i32, to: i32, len: usize) -> Result<usize> {
        // SAFETY: the two offset pointers are null, so no memory is touched.
        unsafe { self.raw(nr::COPY_FILE_RANGE, [fd(from), 0, fd(to), 0, len, 0]) }
    }
}
