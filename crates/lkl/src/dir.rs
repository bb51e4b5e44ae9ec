//! Directories that are read entry by entry.

use std::ffi::{c_char, c_int, c_void};

use crate::border::{Errno, Result, text};
use crate::call::sys;

/// Bytes of entries that are read at once.
const LEN: usize = 4096;

/// Where the length of an entry is (`struct linux_dirent64`).
const RECORD_LEN: usize = 16;

/// `struct lkl_dir`.
pub(crate) struct Dir {
    fd: c_int,
    /// Entries, aligned as the kernel leaves them.
    buffer: [u64; LEN / 8],
    /// Bytes that are filled.
    len: usize,
    /// Where the next entry begins.
    next: usize,
    /// What the last read has failed with.
    error: c_int,
}

impl Dir {
    fn new(fd: c_int) -> *mut Dir {
        Box::into_raw(Box::new(Dir {
            fd,
            buffer: [0; LEN / 8],
            len: 0,
            next: 0,
            error: 0,
        }))
    }

    /// The next entry.
    fn read(&mut self) -> Result<*mut c_void> {
        if self.error != 0 {
            return Err(Errno(self.error));
        }
        if self.next >= self.len {
            let (fd, buffer) = (self.fd, &mut self.buffer[..]);
            self.next = 0;
            self.len = 0;
            match sys!(GETDENTS64, fd, buffer, LEN) {
                Ok(len) => self.len = len,
                Err(errno) => {
                    self.error = errno.0;
                    return Err(errno);
                }
            }
            if self.len == 0 {
                return Ok(std::ptr::null_mut());
            }
        }
        let entry = (&raw mut self.buffer).cast::<u8>().wrapping_add(self.next);
        // SAFETY: within the entry that the kernel has written there.
        let len = unsafe { entry.add(RECORD_LEN).cast::<u16>().read_unaligned() };
        self.next += usize::from(len.max(1));
        Ok(entry.cast())
    }
}

/// # Safety
/// `dir` is NULL or of `lkl_opendir`, and one thread at a time uses it.
unsafe fn dir<'a>(dir: *mut Dir) -> Result<&'a mut Dir> {
    // SAFETY: the caller's.
    unsafe { dir.as_mut() }.ok_or(Errno::of(libc::EFAULT))
}

export! {
    fn lkl_opendir(path: *const c_char, err: *mut c_int) -> *mut Dir {
        // SAFETY: a text of the caller's.
        let opened = unsafe { text(path) }.and_then(|path| {
            let flags = libc::O_RDONLY | libc::O_DIRECTORY;
            sys!(OPENAT, crate::call::HERE, path, flags, 0)
        });
        let error = opened.as_ref().map_or_else(|errno| errno.0, |_| 0);
        if !err.is_null() {
            // SAFETY: room for a number of the caller's.
            unsafe { err.write(error) };
        }
        opened.map(|fd| Dir::new(fd as c_int))
    }

    fn lkl_fdopendir(fd: c_int, err: *mut c_int) -> *mut Dir {
        if !err.is_null() {
            // SAFETY: room for a number of the caller's.
            unsafe { err.write(0) };
        }
        Ok(Dir::new(fd))
    }

    fn lkl_rewinddir(directory: *mut Dir) {
        // SAFETY: the caller's.
        let dir = unsafe { dir(directory) }?;
        dir.len = 0;
        dir.next = 0;
        dir.error = sys!(LSEEK, dir.fd, 0, libc::SEEK_SET).map_or_else(|errno| errno.0, |_| 0);
        Ok(())
    }

    fn lkl_closedir(directory: *mut Dir) -> c_int {
        if directory.is_null() {
            return Err(Errno::of(libc::EFAULT));
        }
        // SAFETY: of `lkl_opendir`, and nobody uses it any more.
        let dir = unsafe { Box::from_raw(directory) };
        sys!(CLOSE, dir.fd).map(|_| 0)
    }

    fn lkl_readdir(directory: *mut Dir) -> *mut c_void {
        // SAFETY: the caller's.
        unsafe { dir(directory) }?.read()
    }

    fn lkl_errdir(directory: *mut Dir) -> c_int {
        // SAFETY: the caller's.
        unsafe { dir(directory) }.map(|dir| dir.error)
    }

    fn lkl_dirfd(directory: *mut Dir) -> c_int {
        // SAFETY: the caller's.
        unsafe { dir(directory) }.map(|dir| dir.fd)
    }
}
