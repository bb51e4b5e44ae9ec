//! What a disk of the program's is to a kernel: [`Region`], a buffer of the program's, and
//! [`Callbacks`], functions of the program's.

use std::ffi::{c_int, c_void};
use std::io::{self, IoSlice, IoSliceMut};
use std::sync::{PoisonError, RwLock};

use drupe::{BlockDevice, Geometry};

use crate::border::{Options, UserData, check_flags};
use crate::failure::{Failure, Result};

/// `DRUPE_READ_ONLY`.
pub(crate) const READ_ONLY: u32 = 1;

/// A part of the program's memory as a disk.
///
/// # Invariants
/// There are `geometry.size` bytes at `start`, for as long as this lives; they are only
/// reached with the lock.
pub(crate) struct Region {
    start: UserData,
    geometry: Geometry,
    lock: RwLock<()>,
}

impl Region {
    /// # Safety
    /// There are `geometry.size` bytes at `start`, which nobody else writes to for as long
    /// as the region lives.
    pub(crate) unsafe fn new(start: *mut c_void, geometry: Geometry) -> Region {
        Region {
            start: UserData(start),
            geometry,
            lock: RwLock::default(),
        }
    }

    /// Where a request begins; EIO if it is not within the disk.
    fn at(&self, offset: u64, len: u64) -> io::Result<*mut u8> {
        match offset.checked_add(len) {
            Some(end) if end <= self.geometry.size => {
                // Within the buffer, so it fits.
                Ok(self.start.get().cast::<u8>().wrapping_add(offset as usize))
            }
            _ => Err(io::Error::from_raw_os_error(libc::EIO)),
        }
    }
}

impl BlockDevice for Region {
    fn geometry(&self) -> Geometry {
        self.geometry
    }

    fn read_at(&self, buffers: &mut [IoSliceMut<'_>], offset: u64) -> io::Result<()> {
        let _shared = self.lock.read().unwrap_or_else(PoisonError::into_inner);
        let len = buffers.iter().map(|buffer| buffer.len() as u64).sum();
        let mut from = self.at(offset, len)?;
        for buffer in buffers {
            // SAFETY: `at` has found all of it within the region, and the lock is held.
            unsafe { buffer.as_mut_ptr().copy_from(from, buffer.len()) };
            from = from.wrapping_add(buffer.len());
        }
        Ok(())
    }

    fn read_cached(&self, buffers: &mut [IoSliceMut<'_>], offset: u64) -> io::Result<bool> {
        self.read_at(buffers, offset).map(|()| true)
    }

    fn write_at(&self, buffers: &[IoSlice<'_>], offset: u64, _durable: bool) -> io::Result<()> {
        let _alone = self.lock.write().unwrap_or_else(PoisonError::into_inner);
        let len = buffers.iter().map(|buffer| buffer.len() as u64).sum();
        let mut to = self.at(offset, len)?;
        for buffer in buffers {
            // SAFETY: `at` has found all of it within the region, and the lock is held.
            unsafe { to.copy_from(buffer.as_ptr(), buffer.len()) };
            to = to.wrapping_add(buffer.len());
        }
        Ok(())
    }

    fn write_cached(&self, buffers: &[IoSlice<'_>], offset: u64) -> io::Result<bool> {
        self.write_at(buffers, offset, false).map(|()| true)
    }

    fn flush(&self) -> io::Result<()> {
        Ok(())
    }

    fn discard(&self, _offset: u64, _len: u64) -> io::Result<()> {
        Err(io::Error::from_raw_os_error(libc::EOPNOTSUPP))
    }

    fn write_zeroes(&self, offset: u64, len: u64) -> io::Result<()> {
        let _alone = self.lock.write().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: `at` has found all of it within the region, and the lock is held.
        unsafe { self.at(offset, len)?.write_bytes(0, len as usize) };
        Ok(())
    }
}

type Read = unsafe extern "C" fn(*mut c_void, *mut c_void, usize, u64) -> c_int;
type Write = unsafe extern "C" fn(*mut c_void, *const c_void, usize, u64) -> c_int;
type Flush = unsafe extern "C" fn(*mut c_void) -> c_int;
type Discard = unsafe extern "C" fn(*mut c_void, u64, u64) -> c_int;
type Release = unsafe extern "C" fn(*mut c_void);

/// `struct drupe_disk_callbacks`.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct DiskCallbacks {
    size: usize,
    bytes: u64,
    block_size: u32,
    flags: u32,
    read: Option<Read>,
    write: Option<Write>,
    flush: Option<Flush>,
    discard: Option<Discard>,
    release: Option<Release>,
}

// SAFETY: it is repr(C); its functions may be NULL.
unsafe impl Options for DiskCallbacks {}

const _: () = assert!(size_of::<DiskCallbacks>() == 64);

/// Functions of the program's as a disk.
pub(crate) struct Callbacks {
    geometry: Geometry,
    read: Read,
    write: Option<Write>,
    flush: Option<Flush>,
    discard: Option<Discard>,
    release: Option<Release>,
    data: UserData,
}

impl Callbacks {
    pub(crate) fn new(given: &DiskCallbacks, data: *mut c_void) -> Result<Callbacks> {
        check_flags(given.flags, READ_ONLY)?;
        let Some(read) = given.read else {
            return Err(Failure::null("callbacks->read"));
        };
        let read_only = given.flags & READ_ONLY != 0 || given.write.is_none();
        Ok(Callbacks {
            geometry: Geometry {
                discard: given.discard.is_some() && !read_only,
                ..geometry(given.bytes, given.block_size, read_only)?
            },
            read,
            write: given.write,
            flush: given.flush,
            discard: given.discard,
            release: given.release,
            data: UserData(data),
        })
    }
}

/// What a disk is; block size 0 is 512.
pub(crate) fn geometry(size: u64, block_size: u32, read_only: bool) -> Result<Geometry> {
    match block_size {
        0 | 512 | 1024 | 2048 | 4096 => Ok(Geometry {
            size,
            block_size: if block_size == 0 { 512 } else { block_size },
            read_only,
            discard: false,
        }),
        _ => Err(Failure::argument(format!(
            "a block size of {block_size} bytes; it can be 512, 1024, 2048 or 4096"
        ))),
    }
}

/// What a callback has returned: 0, or a number of errno.
fn answer(code: c_int) -> io::Result<()> {
    match code {
        0 => Ok(()),
        1..=4095 => Err(io::Error::from_raw_os_error(code)),
        _ => Err(io::Error::from_raw_os_error(libc::EIO)),
    }
}

impl BlockDevice for Callbacks {
    fn geometry(&self) -> Geometry {
        self.geometry
    }

    fn read_at(&self, buffers: &mut [IoSliceMut<'_>], mut offset: u64) -> io::Result<()> {
        for buffer in buffers {
            let (data, start) = (self.data.get(), buffer.as_mut_ptr().cast());
            // SAFETY: a function of the program's, with what it gave for it; it fills the
            // buffer.
            answer(unsafe { (self.read)(data, start, buffer.len(), offset) })?;
            offset += buffer.len() as u64;
        }
        Ok(())
    }

    fn write_at(&self, buffers: &[IoSlice<'_>], mut offset: u64, durable: bool) -> io::Result<()> {
        let Some(write) = self.write else {
            return Err(io::Error::from_raw_os_error(libc::EROFS));
        };
        for buffer in buffers {
            let (data, start) = (self.data.get(), buffer.as_ptr().cast());
            // SAFETY: as in `read_at`; it reads the buffer.
            answer(unsafe { write(data, start, buffer.len(), offset) })?;
            offset += buffer.len() as u64;
        }
        match durable {
            true => self.flush(),
            false => Ok(()),
        }
    }

    fn flush(&self) -> io::Result<()> {
        match self.flush {
            // SAFETY: as in `read_at`.
            Some(flush) => answer(unsafe { flush(self.data.get()) }),
            None => Ok(()),
        }
    }

    fn discard(&self, offset: u64, len: u64) -> io::Result<()> {
        match self.discard {
            // SAFETY: as in `read_at`.
            Some(discard) => answer(unsafe { discard(self.data.get(), offset, len) }),
            None => Err(io::Error::from_raw_os_error(libc::EOPNOTSUPP)),
        }
    }

    fn write_zeroes(&self, _offset: u64, _len: u64) -> io::Result<()> {
        Err(io::Error::from_raw_os_error(libc::EOPNOTSUPP))
    }
}

impl Drop for Callbacks {
    fn drop(&mut self) {
        if let Some(release) = self.release {
            // SAFETY: as in `read_at`; nothing uses the disk any more.
            unsafe { release(self.data.get()) }
        }
    }
}
