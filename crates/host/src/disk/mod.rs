//! [`Disk`]: the trait of a disk. Its implementations are the files of this folder.

mod faulty;
mod file;
mod harm;
mod image_file;
mod memory;
mod part;
mod recording;

use std::io::{self, IoSlice, IoSliceMut};
use std::sync::Arc;

pub use faulty::{DiskOp, Fault, Faults, FaultyDisk};
pub use file::FileDisk;
pub use harm::Harm;
pub use image_file::{ImageFile, LockHolder, attached_loop, is_locked, lock_holder};
pub use memory::MemoryDisk;
pub use part::PartDisk;
pub use recording::{Loss, Record, RecordingDisk};

/// The properties of a disk, read once when it is added to a kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    /// Size in bytes. An incomplete block at the end is not used.
    pub size: u64,
    /// Logical block size in bytes: a power of two from 512 to 4096.
    pub block_size: u32,
    /// The kernel must not write.
    pub read_only: bool,
    /// [`Disk::discard`] frees space.
    pub discard: bool,
}

/// A disk that a kernel reads and writes.
///
/// Offsets and lengths are in bytes, and multiples of the block size. An error
/// becomes an I/O error of the kernel, `ENOSPC` and a few others keep their
/// meaning (`errno_to_blk_status`, `block/blk-core.c`); a panic becomes `EIO`.
///
/// The thread that runs the kernel calls the `_cached` methods; the kernel stands still
/// meanwhile, and a call from them into the same kernel fails. Up to four threads of the
/// library call the other methods, at the same time. Concurrent requests have no order;
/// the kernel waits for writes before it requests a flush that is to cover them.
pub trait Disk: Send + Sync {
    /// Size and other properties.
    fn geometry(&self) -> Geometry;

    /// Fills all of `buffers` from `offset` on.
    ///
    /// # Errors
    ///
    /// Any error; the kernel then ignores the content of `buffers`.
    fn read_at(&self, buffers: &mut [IoSliceMut<'_>], offset: u64) -> io::Result<()>;

    /// Fills all of `buffers` if that is possible without blocking. `false`: it would
    /// block, or the disk cannot tell. A kernel calls this first, in the thread that runs
    /// it, and then `read_at` in a thread that may block.
    ///
    /// # Errors
    ///
    /// As for [`Disk::read_at`].
    fn read_cached(&self, _buffers: &mut [IoSliceMut<'_>], _offset: u64) -> io::Result<bool> {
        Ok(false)
    }

    /// Writes all of `buffers` from `offset` on. With `durable`, the data must be on
    /// stable storage on return.
    ///
    /// # Errors
    ///
    /// Any error; the kernel does not rely on any part of the write then.
    fn write_at(&self, buffers: &[IoSlice<'_>], offset: u64, durable: bool) -> io::Result<()>;

    /// Writes all of `buffers` to a cache of the host if that is possible without
    /// blocking. `false`: it would block, or the disk cannot tell; a part may have been
    /// written. A kernel calls this first, in the thread that runs it, and then
    /// `write_at` in a thread that may block.
    ///
    /// # Errors
    ///
    /// As for [`Disk::write_at`].
    fn write_cached(&self, _buffers: &[IoSlice<'_>], _offset: u64) -> io::Result<bool> {
        Ok(false)
    }

    /// Whether the data of a write must not change until the write returns, although
    /// other threads run the kernel meanwhile. A disk that reads the data itself needs
    /// that. One that only hands it to the host's kernel may return `false`: then a
    /// program may change a page while it is written (`BLK_FEAT_STABLE_WRITES`,
    /// `include/linux/blkdev.h`).
    fn stable_writes(&self) -> bool {
        true
    }

    /// Makes all writes that have returned durable.
    ///
    /// # Errors
    ///
    /// Any error; the kernel takes those writes for lost.
    fn flush(&self) -> io::Result<()>;

    /// Discards a range: its content is no longer needed.
    ///
    /// # Errors
    ///
    /// Any error; the content must be as before.
    fn discard(&self, offset: u64, len: u64) -> io::Result<()>;

    /// What another program did to the files that hold the disk since they were opened.
    /// `None`: nothing, as far as the disk can tell.
    fn harm(&self) -> Option<Harm> {
        None
    }

    /// Makes the range read as zeroes.
    ///
    /// # Errors
    ///
    /// `EOPNOTSUPP`: the kernel writes zeroes instead, and does not call this again.
    fn write_zeroes(&self, offset: u64, len: u64) -> io::Result<()>;
}

/// The methods of [`Disk`] except `geometry`, forwarded to the disk `$inner`.
macro_rules! forward {
    ($self:ident => $inner:expr) => {
        fn read_at(&$self, buffers: &mut [IoSliceMut<'_>], offset: u64) -> io::Result<()> {
            $inner.read_at(buffers, offset)
        }
        fn read_cached(&$self, buffers: &mut [IoSliceMut<'_>], offset: u64) -> io::Result<bool> {
            $inner.read_cached(buffers, offset)
        }
        fn write_at(&$self, buffers: &[IoSlice<'_>], offset: u64, durable: bool) -> io::Result<()> {
            $inner.write_at(buffers, offset, durable)
        }
        fn write_cached(&$self, buffers: &[IoSlice<'_>], offset: u64) -> io::Result<bool> {
            $inner.write_cached(buffers, offset)
        }
        fn stable_writes(&$self) -> bool {
            $inner.stable_writes()
        }
        fn flush(&$self) -> io::Result<()> {
            $inner.flush()
        }
        fn discard(&$self, offset: u64, len: u64) -> io::Result<()> {
            $inner.discard(offset, len)
        }
        fn harm(&$self) -> Option<Harm> {
            $inner.harm()
        }
        fn write_zeroes(&$self, offset: u64, len: u64) -> io::Result<()> {
            $inner.write_zeroes(offset, len)
        }
    };
}

/// A disk to which the program keeps a handle.
impl<D: Disk + ?Sized> Disk for Arc<D> {
    fn geometry(&self) -> Geometry {
        (**self).geometry()
    }
    forward!(self => **self);
}

/// A disk with another [`Geometry::block_size`] than its own.
#[derive(Debug)]
pub struct WithBlockSize<D> {
    disk: D,
    block_size: u32,
}

impl<D: Disk> WithBlockSize<D> {
    /// `disk` with blocks of `block_size` bytes: a power of two, not below the disk's
    /// own.
    pub fn new(disk: D, block_size: u32) -> WithBlockSize<D> {
        WithBlockSize { disk, block_size }
    }
}

impl<D: Disk> Disk for WithBlockSize<D> {
    fn geometry(&self) -> Geometry {
        Geometry {
            block_size: self.block_size,
            ..self.disk.geometry()
        }
    }
    forward!(self => self.disk);
}
