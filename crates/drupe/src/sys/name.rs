//! System calls that open, create, remove, rename and list names.

use std::ffi::CStr;
use std::sync::Arc;

use drupe_abi::Errno;
use drupe_machine::Error;

use super::call::{Result, Sys, fd, text};
use super::fd::OwnedFd;
use super::nr;

/// `struct open_how` of openat2(2).
#[repr(C)]
struct OpenHow {
    flags: u64,
    mode: u64,
    resolve: u64,
}

/// `RESOLVE_IN_ROOT`: the directory is the root of the walk, for `..` and for
/// absolute symbolic links too.
const RESOLVE_IN_ROOT: u64 = 0x10;

/// How often openat2(2) is tried again after EAGAIN, which means that a rename has
/// interfered.
const WALK_TRIES: usize = 1000;

impl Sys {
    /// openat2(2) with `RESOLVE_IN_ROOT`.
    pub(crate) fn open_in_root(
        self: &Arc<Self>,
        root: i32,
        path: &CStr,
        flags: i32,
        mode: u32,
    ) -> Result<OwnedFd> {
        let how = OpenHow {
            flags: (flags | libc::O_CLOEXEC) as u64,
            mode: u64::from(mode),
            resolve: RESOLVE_IN_ROOT,
        };
        let args = [
            fd(root),
            text(path),
            &raw const how as usize,
            size_of::<OpenHow>(),
        ];
        for _ in 1..WALK_TRIES {
            // SAFETY: reads a string and a struct that live to the end of this function.
            match unsafe { self.raw(nr::OPENAT2, args) } {
                Err(Error::Errno(Errno::AGAIN)) => {}
                result => return result.map(|raw| OwnedFd::new(self, raw)),
            }
        }
        Err(Error::Errno(Errno::AGAIN))
    }

    /// openat(2): an absolute path of the kernel's own tree, or one plain name
    /// with `O_NOFOLLOW`.
    pub(crate) fn openat(
        self: &Arc<Self>,
        dir: i32,
        path: &CStr,
        flags: i32,
        mode: u32,
    ) -> Result<OwnedFd> {
        let args = [
            fd(dir),
            text(path),
            (flags | libc::O_CLOEXEC) as usize,
            mode as usize,
        ];
        // SAFETY: reads a string.
        let raw = unsafe { self.raw(nr::OPENAT, args) }?;
        Ok(OwnedFd::new(self, raw))
    }

    pub(crate) fn mkdirat(&self, dir: i32, name: &CStr, mode: u32) -> Result<()> {
        // SAFETY: reads a string.
        unsafe { self.raw(nr::MKDIRAT, [fd(dir), text(name), mode as usize]) }.map(drop)
    }

    pub(crate) fn mknodat(&self, dir: i32, name: &CStr, mode: u32, dev: u64) -> Result<()> {
        // The call takes 32 bits, the kernel's own layout of device numbers: 12 of the
        // major and 20 of the minor number.
        let dev = u32::try_from(dev).map_err(|_| Errno::OVERFLOW)?;
        let args = [fd(dir), text(name), mode as usize, dev as usize];
        // SAFETY: reads a string.
        unsafe { self.raw(nr::MKNODAT, args) }.map(drop)
    }

    pub(crate) fn symlinkat(&self, target: &CStr, dir: i32, name: &CStr) -> Result<()> {
        // SAFETY: reads two strings.
        unsafe { self.raw(nr::SYMLINKAT, [text(target), fd(dir), text(name)]) }.map(drop)
    }

    /// linkat(2); with an empty `old` and `AT_EMPTY_PATH`, links `old_dir` itself.
    pub(crate) fn linkat(
        &self,
        old_dir: i32,
        old: &CStr,
        dir: i32,
        name: &CStr,
        flags: i32,
    ) -> Result<()> {
        let args = [fd(old_dir), text(old), fd(dir), text(name), flags as usize];
        // SAFETY: reads two strings.
        unsafe { self.raw(nr::LINKAT, args) }.map(drop)
    }

    pub(crate) fn unlinkat(&self, dir: i32, name: &CStr, flags: i32) -> Result<()> {
        // SAFETY: reads a string.
        unsafe { self.raw(nr::UNLINKAT, [fd(dir), text(name), flags as usize]) }.map(drop)
    }

    /// renameat2(2).
    pub(crate) fn renameat(
        &self,
        old_dir: i32,
        old: &CStr,
        dir: i32,
        name: &CStr,
        flags: u32,
    ) -> Result<()> {
        let flags = flags as usize;
        let args = [fd(old_dir), text(old), fd(dir), text(name), flags];
        // SAFETY: reads two strings.
        unsafe { self.raw(nr::RENAMEAT2, args) }.map(drop)
    }

    /// readlinkat(2), whatever the length of the target.
    pub(crate) fn readlinkat(&self, dir: i32, name: &CStr) -> Result<Vec<u8>> {
        let mut target = Vec::with_capacity(256);
        loop {
            let room = target.capacity();
            let args = [fd(dir), text(name), target.as_mut_ptr() as usize, room];
            // SAFETY: writes at most `room` bytes to the vector's own memory.
            let len = unsafe { self.raw(nr::READLINKAT, args) }?;
            if len < room {
                // SAFETY: the kernel has written `len` bytes, and `len` < capacity.
                unsafe { target.set_len(len) };
                return Ok(target);
            }
            target.reserve(room * 2);
        }
    }

    /// getdents64(2): fills the vector, up to its capacity, with records.
    pub(crate) fn getdents(&self, dir: i32, records: &mut Vec<u8>) -> Result<()> {
        records.clear();
        let args = [fd(dir), records.as_mut_ptr() as usize, records.capacity()];
        // SAFETY: writes at most `capacity` bytes to the vector's own memory.
        let len = unsafe { self.raw(nr::GETDENTS64, args) }?;
        // SAFETY: the kernel has written `len` bytes, and `len` <= capacity.
        unsafe { records.set_len(len) };
        Ok(())
    }
}
