//! Disks: the host side of a kernel's block devices.

use std::io::{self, IoSlice, IoSliceMut};
use std::path::Path;

/// What a disk is, asked once when it is added to a kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    /// Size in bytes; a multiple of `block_size`.
    pub size: u64,
    /// Logical block size in bytes: a power of two from 512 to 4096.
    pub block_size: u32,
    /// The kernel must not write.
    pub read_only: bool,
    /// [`Disk::discard`] does something.
    pub discard: bool,
}

/// A disk that a kernel reads and writes.
pub trait Disk: Send + Sync {
    /// Size and abilities.
    fn geometry(&self) -> Geometry;
    /// Fills `buffers` from `offset` on, entirely or with an error.
    fn read_at(&self, buffers: &mut [IoSliceMut<'_>], offset: u64) -> io::Result<()>;
    /// Writes `buffers` from `offset` on, entirely or with an error; durable if `fua`.
    fn write_at(&self, buffers: &[IoSlice<'_>], offset: u64, fua: bool) -> io::Result<()>;
    /// Makes all completed writes durable.
    fn flush(&self) -> io::Result<()>;
    /// The range's content is no longer needed.
    fn discard(&self, offset: u64, len: u64) -> io::Result<()>;
    /// The range must read as zeroes.
    fn write_zeroes(&self, offset: u64, len: u64) -> io::Result<()>;
}

/// A disk in a file or block device of the host.
pub struct FileDisk;

impl FileDisk {
    /// Opens `path`; takes an advisory lock, exclusive unless `read_only`.
    pub fn open(_path: &Path, _read_only: bool) -> io::Result<FileDisk> {
        todo!()
    }
}
