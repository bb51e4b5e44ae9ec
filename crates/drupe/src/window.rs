//! [`Window`]: reads a part of a disk like a file, for probing and partition tables.

use std::io::{self, IoSliceMut, Read, Seek, SeekFrom};

use drupe_ondisk::part::seek;

use crate::BlockDevice;

/// A part of a disk, which is read directly, not through the kernel.
pub(crate) struct Window<'a> {
    backend: &'a dyn BlockDevice,
    start: u64,
    size: u64,
    position: u64,
}

impl<'a> Window<'a> {
    /// The whole disk.
    pub(crate) fn whole(backend: &'a dyn BlockDevice) -> Window<'a> {
        Window::new(backend, 0, u64::MAX)
    }

    /// `size` bytes from `start` on, as far as the disk has them.
    pub(crate) fn new(backend: &'a dyn BlockDevice, start: u64, size: u64) -> Window<'a> {
        let all = backend.geometry().size;
        Window {
            backend,
            start: start.min(all),
            size: size.min(all.saturating_sub(start)),
            position: 0,
        }
    }
}

impl Read for Window<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let left = self.size.saturating_sub(self.position);
        let len = left.min(bytes.len() as u64) as usize;
        if len == 0 {
            return Ok(0);
        }
        // A backend may insist on whole blocks.
        let geometry = self.backend.geometry();
        let block = u64::from(geometry.block_size);
        let from = self.start + self.position;
        let (first, end) = (
            from / block * block,
            (from + len as u64).next_multiple_of(block),
        );
        let mut blocks = vec![0; (end.min(geometry.size) - first) as usize];
        self.backend
            .read_at(&mut [IoSliceMut::new(&mut blocks)], first)?;
        let skip = (from - first) as usize;
        bytes[..len].copy_from_slice(&blocks[skip..skip + len]);
        self.position += len as u64;
        Ok(len)
    }
}

impl Seek for Window<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.position = seek(to, self.position, self.size)?;
        Ok(self.position)
    }
}
