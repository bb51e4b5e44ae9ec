//! What a disk is to a kernel.

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

/// What a disk is, asked once when it is added to a kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    /// Size in bytes; what does not fill a block at the end is not used.
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
/// The `_cached` methods are called by the thread that runs the kernel, which
/// stands still meanwhile, and a call into the same kernel from there fails; the
/// others by up to four threads of the kernel's own, at the same time. Requests
/// on their way at the same time have no order; the kernel waits for writes
/// before it asks for a flush that is to cover them.
pub trait Disk: Send + Sync {
    /// Size and abilities.
    fn geometry(&self) -> Geometry;

    /// Fills all of `buffers` from `offset` on.
    ///
    /// # Errors
    ///
    /// Any; the content of `buffers` does not matter then.
    fn read_at(&self, buffers: &mut [IoSliceMut<'_>], offset: u64) -> io::Result<()>;

    /// Fills all of `buffers` if that takes no waiting; `false`: it would, or
    /// the disk cannot tell. Kernels ask this first, in the thread that runs
    /// them, and then `read_at` in a thread that may wait.
    ///
    /// # Errors
    ///
    /// As for [`Disk::read_at`].
    fn read_cached(&self, _buffers: &mut [IoSliceMut<'_>], _offset: u64) -> io::Result<bool> {
        Ok(false)
    }

    /// Writes all of `buffers` from `offset` on; `durable`: to be on stable
    /// storage on return.
    ///
    /// # Errors
    ///
    /// Any; what was written then is unknown.
    fn write_at(&self, buffers: &[IoSlice<'_>], offset: u64, durable: bool) -> io::Result<()>;

    /// Writes all of `buffers` if that takes no waiting, to a cache of the host;
    /// `false`: it would, or the disk cannot tell. Kernels ask this first, in the
    /// thread that runs them, and then `write_at` in a thread that may wait:
    /// what was written before `false` does not matter.
    ///
    /// # Errors
    ///
    /// As for [`Disk::write_at`].
    fn write_cached(&self, _buffers: &[IoSlice<'_>], _offset: u64) -> io::Result<bool> {
        Ok(false)
    }

    /// Whether what is written must stay as it is while it is on its way, though
    /// other threads run the kernel meanwhile. It must if the disk looks at the
    /// data itself. One that only hands it to the host's kernel may say no:
    /// then a page that is changed while it is written need not wait
    /// (`BLK_FEAT_STABLE_WRITES`, `include/linux/blkdev.h`).
    fn stable_writes(&self) -> bool {
        true
    }

    /// Makes all writes that have returned durable.
    ///
    /// # Errors
    ///
    /// Any; the kernel takes them for lost.
    fn flush(&self) -> io::Result<()>;

    /// The range's content is no longer needed.
    ///
    /// # Errors
    ///
    /// Any; the content must be as it was.
    fn discard(&self, offset: u64, len: u64) -> io::Result<()>;

    /// What somebody else has done to the files that hold the disk since they were
    /// opened. `None`: nothing, as far as the disk can tell.
    fn harm(&self) -> Option<Harm> {
        None
    }

    /// Makes the range read as zeroes.
    ///
    /// # Errors
    ///
    /// `EOPNOTSUPP`: the kernel writes zeroes itself, now and later.
    fn write_zeroes(&self, offset: u64, len: u64) -> io::Result<()>;
}

/// The methods of [`Disk`] but for `geometry`, done by the disk `$inner`.
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

/// A disk that the program keeps a handle to.
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
    /// `block_size`: bytes, a power of two, and no fewer than the disk's own.
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
