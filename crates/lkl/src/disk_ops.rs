//! Disks whose operations are functions of C's: the program's, called by [`OwnDisk`], and
//! those of the library, which programs may call.

use std::ffi::{c_int, c_uint, c_ulonglong, c_void};
use std::io::{self, IoSlice, IoSliceMut};

use drupe::{BlockDevice, Geometry};

use crate::border::{Errno, Result};

/// `struct lkl_disk`.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct LklDisk {
    /// The disk's number, and one more.
    pub(crate) dev: *mut c_void,
    /// A union: the descriptor is in its first bytes.
    handle: *mut c_void,
    pub(crate) ops: *const DiskOps,
}

const _: () = assert!(size_of::<LklDisk>() == 24);

// SAFETY: what it points to is the program's, whose operations any thread may call.
unsafe impl Send for LklDisk {}
// SAFETY: as above.
unsafe impl Sync for LklDisk {}

impl LklDisk {
    pub(crate) fn descriptor(&self) -> c_int {
        self.handle.addr() as c_int
    }
}

/// `struct lkl_blk_req`.
#[repr(C)]
pub(crate) struct Request {
    kind: c_uint,
    priority: c_uint,
    sector: c_ulonglong,
    pieces: *mut libc::iovec,
    count: c_int,
}

/// `LKL_DEV_BLK_TYPE_READ`, `_WRITE`, `_FLUSH`, `_FLUSH_OUT`.
const READ: c_uint = 0;
const WRITE: c_uint = 1;
const FLUSH: c_uint = 4;
const FLUSH_OUT: c_uint = 5;

/// `LKL_DEV_BLK_STATUS_OK`, `_IOERR`, `_UNSUP`.
const OK: c_int = 0;
const IO_ERROR: c_int = 1;
const UNSUPPORTED: c_int = 2;

/// Bytes of a sector.
const SECTOR: u64 = 512;

/// `struct lkl_dev_blk_ops`.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct DiskOps {
    get_capacity: Option<unsafe extern "C" fn(LklDisk, *mut c_ulonglong) -> c_int>,
    request: Option<unsafe extern "C" fn(LklDisk, *mut Request) -> c_int>,
}

/// A disk of the program's.
pub(crate) struct OwnDisk {
    disk: LklDisk,
    request: unsafe extern "C" fn(LklDisk, *mut Request) -> c_int,
    size: u64,
}

impl OwnDisk {
    /// `disk.ops` are not NULL.
    pub(crate) fn new(disk: LklDisk) -> Result<OwnDisk> {
        // SAFETY: operations of the program's.
        let ops = unsafe { disk.ops.read() };
        let (Some(get_capacity), Some(request)) = (ops.get_capacity, ops.request) else {
            return Err(Errno::of(libc::EINVAL));
        };
        let mut size = 0;
        // SAFETY: a function of the program's, with its own disk.
        let status = unsafe { get_capacity(disk, &mut size) };
        match status {
            status if status < 0 => Err(Errno(status)),
            _ => Ok(OwnDisk {
                disk,
                request,
                size,
            }),
        }
    }

    fn ask(&self, kind: c_uint, offset: u64, pieces: &mut [libc::iovec]) -> io::Result<()> {
        let mut request = Request {
            kind,
            priority: 0,
            sector: offset / SECTOR,
            pieces: pieces.as_mut_ptr(),
            count: pieces.len() as c_int,
        };
        // SAFETY: a function of the program's, with its own disk and a request that lasts
        // as long as the call.
        let status = unsafe { (self.request)(self.disk, &mut request) };
        match status {
            OK => Ok(()),
            UNSUPPORTED => Err(io::Error::from_raw_os_error(libc::EOPNOTSUPP)),
            _ => Err(io::Error::from_raw_os_error(libc::EIO)),
        }
    }
}

impl BlockDevice for OwnDisk {
    fn geometry(&self) -> Geometry {
        Geometry {
            size: self.size,
            block_size: SECTOR as u32,
            read_only: false,
            discard: false,
        }
    }

    fn read_at(&self, buffers: &mut [IoSliceMut<'_>], offset: u64) -> io::Result<()> {
        let pieces = buffers.iter_mut().map(|buffer| libc::iovec {
            iov_base: buffer.as_mut_ptr().cast(),
            iov_len: buffer.len(),
        });
        self.ask(READ, offset, &mut pieces.collect::<Vec<_>>())
    }

    fn write_at(&self, buffers: &[IoSlice<'_>], offset: u64, durable: bool) -> io::Result<()> {
        let pieces = buffers.iter().map(|buffer| libc::iovec {
            iov_base: buffer.as_ptr().cast_mut().cast(),
            iov_len: buffer.len(),
        });
        self.ask(WRITE, offset, &mut pieces.collect::<Vec<_>>())?;
        match durable {
            true => self.flush(),
            false => Ok(()),
        }
    }

    fn flush(&self) -> io::Result<()> {
        match self.ask(FLUSH, 0, &mut []) {
            // Then there is nothing to flush.
            Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => Ok(()),
            flushed => flushed,
        }
    }

    fn discard(&self, _offset: u64, _len: u64) -> io::Result<()> {
        Err(io::Error::from_raw_os_error(libc::EOPNOTSUPP))
    }

    fn write_zeroes(&self, _offset: u64, _len: u64) -> io::Result<()> {
        Err(io::Error::from_raw_os_error(libc::EOPNOTSUPP))
    }
}

/// `lkl_dev_blk_ops`.
#[unsafe(export_name = "lkl_dev_blk_ops")]
static mut OPS: DiskOps = DiskOps {
    get_capacity: Some(get_capacity),
    request: Some(request),
};

unsafe extern "C" fn get_capacity(disk: LklDisk, size: *mut c_ulonglong) -> c_int {
    // SAFETY: a descriptor of the program's.
    let end = unsafe { libc::lseek(disk.descriptor(), 0, libc::SEEK_END) };
    match u64::try_from(end) {
        Ok(end) => {
            // SAFETY: room for a size, as the header says.
            unsafe { size.write(end) };
            0
        }
        Err(_) => Errno::host(&io::Error::last_os_error()).0,
    }
}

unsafe extern "C" fn request(disk: LklDisk, request: *mut Request) -> c_int {
    // SAFETY: a request, as the header says.
    let request = unsafe { &*request };
    let fd = disk.descriptor();
    let done = match request.kind {
        READ | WRITE => {
            let count = usize::try_from(request.count).unwrap_or(0);
            let pieces = match count {
                0 => &[][..],
                // SAFETY: so many pieces are there.
                count => unsafe { std::slice::from_raw_parts(request.pieces, count) },
            };
            let mut offset = request.sector.saturating_mul(SECTOR);
            pieces.iter().all(|piece| {
                let at = offset;
                offset = offset.saturating_add(piece.iov_len as u64);
                whole(fd, request.kind, piece, at)
            })
        }
        // SAFETY: a descriptor of the program's.
        FLUSH | FLUSH_OUT => unsafe { libc::fdatasync(fd) == 0 },
        _ => return UNSUPPORTED,
    };
    if done { OK } else { IO_ERROR }
}

/// Reads or writes a whole piece.
fn whole(fd: c_int, kind: c_uint, piece: &libc::iovec, offset: u64) -> bool {
    let mut done = 0;
    while done < piece.iov_len {
        let start = piece.iov_base.cast::<u8>().wrapping_add(done).cast();
        let (len, at) = (piece.iov_len - done, offset + done as u64);
        let Ok(at) = libc::off_t::try_from(at) else {
            return false;
        };
        // SAFETY: the rest of a piece of the request.
        let moved = unsafe {
            match kind {
                READ => libc::pread(fd, start, len, at),
                _ => libc::pwrite(fd, start, len, at),
            }
        };
        match moved {
            moved if moved > 0 => done += moved as usize,
            0 => return false,
            _ if io::Error::last_os_error().kind() == io::ErrorKind::Interrupted => {}
            _ => return false,
        }
    }
    true
}
