//! System calls that mount, unmount, trim and set limits.

use std::ffi::CStr;

use drupe_abi::Errno;
use drupe_machine::Error;

use super::call::{Result, Sys, fd, text};
use super::nr;

impl Sys {
    /// mount(2). EINVAL if `data` is longer than a page less one byte.
    pub(crate) fn mount(
        &self,
        source: &CStr,
        target: &CStr,
        fstype: &CStr,
        flags: u64,
        data: &[u8],
    ) -> Result<()> {
        // The kernel copies a whole page, whatever the length of the string.
        let mut page = [0; 4096];
        match page.get_mut(..data.len()) {
            Some(start) if data.len() < 4096 => start.copy_from_slice(data),
            _ => return Err(Error::Errno(Errno::INVAL)),
        }
        let args = [
            text(source),
            text(target),
            text(fstype),
            flags as usize,
            page.as_ptr() as usize,
        ];
        // SAFETY: reads strings and a page.
        unsafe { self.raw(nr::MOUNT, args) }.map(drop)
    }

    pub(crate) fn umount(&self, target: &CStr, flags: i32) -> Result<()> {
        // SAFETY: reads a string.
        unsafe { self.raw(nr::UMOUNT2, [text(target), flags as usize]) }.map(drop)
    }

    /// FITRIM of ioctl_fitrim(2): discards free space, and returns how many bytes.
    /// `range`: start, length, least length of a discarded range.
    pub(crate) fn trim(&self, dir: i32, mut range: [u64; 3]) -> Result<u64> {
        /// `_IOWR('X', 121, struct fstrim_range)`.
        const FITRIM: usize = 0xc018_5879;
        let args = [fd(dir), FITRIM, range.as_mut_ptr() as usize];
        // SAFETY: reads and writes a struct fstrim_range: three u64.
        unsafe { self.raw(nr::IOCTL, args) }?;
        Ok(range[1])
    }

    pub(crate) fn umask(&self, mask: u32) -> Result<()> {
        self.plain(nr::UMASK, [mask as usize]).map(drop)
    }

    /// Sets the limit of open files, for all host tasks.
    pub(crate) fn set_open_files_limit(&self, limit: u64) -> Result<()> {
        let new = libc::rlimit64 {
            rlim_cur: limit,
            rlim_max: limit,
        };
        let args = [0, libc::RLIMIT_NOFILE as usize, &raw const new as usize, 0];
        // SAFETY: reads a struct rlimit64.
        unsafe { self.raw(nr::PRLIMIT64, args) }.map(drop)
    }
}
