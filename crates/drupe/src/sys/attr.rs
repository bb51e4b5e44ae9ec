//! System calls on attributes: statx, modes, owners, times, extended attributes.
//!
//! Calls that take a directory and a name also accept an empty name with `AT_EMPTY_PATH`,
//! and then act on the descriptor, which may be `O_PATH`.

use std::ffi::CStr;
use std::mem::MaybeUninit;

use drupe_abi::Errno;
use drupe_machine::Error;

use super::call::{Result, Sys, fd, text};
use super::nr;

/// The file on which an extended attribute call acts.
#[derive(Clone, Copy)]
pub(crate) enum XattrOf<'a> {
    /// An open file or directory (not `O_PATH`).
    Fd(i32),
    /// A path of the kernel's own tree, symbolic links followed.
    Follow(&'a CStr),
    /// A path of the kernel's own tree; a symbolic link at its end is not followed.
    NoFollow(&'a CStr),
}

impl XattrOf<'_> {
    /// The system call's number, of the three given (by descriptor, following links, not
    /// following), and its first argument.
    fn call(self, [of_fd, follow, nofollow]: [usize; 3]) -> (usize, usize) {
        match self {
            XattrOf::Fd(raw) => (of_fd, fd(raw)),
            XattrOf::Follow(path) => (follow, text(path)),
            XattrOf::NoFollow(path) => (nofollow, text(path)),
        }
    }
}

impl Sys {
    pub(crate) fn statx(&self, dir: i32, name: &CStr, flags: i32) -> Result<libc::statx> {
        let mut stat = MaybeUninit::<libc::statx>::zeroed();
        let args = [
            fd(dir),
            text(name),
            flags as usize,
            (libc::STATX_BASIC_STATS | libc::STATX_BTIME) as usize,
            stat.as_mut_ptr() as usize,
        ];
        // SAFETY: reads a string, writes a struct statx.
        unsafe { self.raw(nr::STATX, args) }?;
        // SAFETY: all of it was zeroed, and all bit patterns are values.
        Ok(unsafe { stat.assume_init() })
    }

    /// statx(2) of a descriptor.
    pub(crate) fn fstat(&self, raw: i32) -> Result<libc::statx> {
        self.statx(raw, c"", libc::AT_EMPTY_PATH)
    }

    pub(crate) fn fstatfs(&self, raw: i32) -> Result<libc::statfs64> {
        let mut stat = MaybeUninit::<libc::statfs64>::zeroed();
        // SAFETY: writes a struct statfs, whose layout is that of libc's statfs64.
        unsafe { self.raw(nr::FSTATFS, [fd(raw), stat.as_mut_ptr() as usize]) }?;
        // SAFETY: all of it was zeroed, and all bit patterns are values.
        Ok(unsafe { stat.assume_init() })
    }

    pub(crate) fn fchmod(&self, raw: i32, mode: u32) -> Result<()> {
        self.plain(nr::FCHMOD, [fd(raw), mode as usize]).map(drop)
    }

    pub(crate) fn fchmodat(&self, dir: i32, name: &CStr, mode: u32, flags: i32) -> Result<()> {
        let args = [fd(dir), text(name), mode as usize, flags as usize];
        // SAFETY: reads a string.
        unsafe { self.raw(nr::FCHMODAT2, args) }.map(drop)
    }

    /// chown(2); `None` leaves owner or group as it is.
    pub(crate) fn fchownat(
        &self,
        dir: i32,
        name: &CStr,
        uid: Option<u32>,
        gid: Option<u32>,
        flags: i32,
    ) -> Result<()> {
        let args = [
            fd(dir),
            text(name),
            uid.unwrap_or(u32::MAX) as usize,
            gid.unwrap_or(u32::MAX) as usize,
            flags as usize,
        ];
        // SAFETY: reads a string.
        unsafe { self.raw(nr::FCHOWNAT, args) }.map(drop)
    }

    pub(crate) fn utimensat(
        &self,
        dir: i32,
        name: &CStr,
        times: &[libc::timespec; 2],
        flags: i32,
    ) -> Result<()> {
        let args = [fd(dir), text(name), times.as_ptr() as usize, flags as usize];
        // SAFETY: reads a string and two timespecs.
        unsafe { self.raw(nr::UTIMENSAT, args) }.map(drop)
    }

    pub(crate) fn setxattr(
        &self,
        of: XattrOf<'_>,
        name: &CStr,
        value: &[u8],
        flags: i32,
    ) -> Result<()> {
        let (number, first) = of.call([nr::FSETXATTR, nr::SETXATTR, nr::LSETXATTR]);
        let args = [
            first,
            text(name),
            value.as_ptr() as usize,
            value.len(),
            flags as usize,
        ];
        // SAFETY: reads strings and the value's bytes.
        unsafe { self.raw(number, args) }.map(drop)
    }

    pub(crate) fn getxattr(&self, of: XattrOf<'_>, name: &CStr) -> Result<Vec<u8>> {
        let (number, first) = of.call([nr::FGETXATTR, nr::GETXATTR, nr::LGETXATTR]);
        self.growing(|pointer, room| {
            // SAFETY: reads strings, writes at most `room` bytes at `pointer`.
            unsafe { self.raw(number, [first, text(name), pointer, room]) }
        })
    }

    /// listxattr(2): the names, each ended by a NUL.
    pub(crate) fn listxattr(&self, of: XattrOf<'_>) -> Result<Vec<u8>> {
        let (number, first) = of.call([nr::FLISTXATTR, nr::LISTXATTR, nr::LLISTXATTR]);
        self.growing(|pointer, room| {
            // SAFETY: reads a string, writes at most `room` bytes at `pointer`.
            unsafe { self.raw(number, [first, pointer, room]) }
        })
    }

    pub(crate) fn removexattr(&self, of: XattrOf<'_>, name: &CStr) -> Result<()> {
        let (number, first) = of.call([nr::FREMOVEXATTR, nr::REMOVEXATTR, nr::LREMOVEXATTR]);
        // SAFETY: reads strings.
        unsafe { self.raw(number, [first, text(name)]) }.map(drop)
    }

    /// Makes a call that fills a buffer, with a larger one each time it returns ERANGE.
    fn growing(&self, call: impl Fn(usize, usize) -> Result<usize>) -> Result<Vec<u8>> {
        // The largest value and the largest list of names (XATTR_SIZE_MAX, XATTR_LIST_MAX).
        const MOST: usize = 65536;
        let mut bytes = Vec::with_capacity(256);
        loop {
            match call(bytes.as_mut_ptr() as usize, bytes.capacity()) {
                Err(Error::Errno(Errno::RANGE)) if bytes.capacity() < MOST => {
                    bytes.reserve(MOST);
                }
                result => {
                    // SAFETY: the kernel has written this many bytes within the capacity.
                    unsafe { bytes.set_len(result?) };
                    return Ok(bytes);
                }
            }
        }
    }
}
