//! A part of another disk, as a disk of its own.

use crate::disk::{Disk, Geometry, Harm};
use rustix::io::Errno;
use std::io::{self, IoSlice, IoSliceMut};
use std::ops::Range;
use std::sync::Arc;

/// A part of another disk, as a disk of its own: such as a partition that no table
/// knows yet. Several parts of one disk may be in use at the same time.
#[derive(Debug)]
pub struct PartDisk<D> {
    whole: Arc<D>,
    /// Bytes of the whole disk.
    range: Range<u64>,
}

impl<D: Disk> PartDisk<D> {
    /// Bytes `range` of `whole`.
    ///
    /// # Errors
    ///
    /// `EINVAL` if they are not within it, or do not begin and end with a block.
    pub fn new(whole: Arc<D>, range: Range<u64>) -> io::Result<PartDisk<D>> {
        let Geometry {
            size, block_size, ..
        } = whole.geometry();
        let is_aligned = |at: u64| at.is_multiple_of(block_size.into());
        let fits = range.start <= range.end && range.end <= size;
        match fits && is_aligned(range.start) && is_aligned(range.end) {
            true => Ok(PartDisk { whole, range }),
            false => Err(Errno::INVAL.into()),
        }
    }

    /// Where byte `offset` of the part is in the whole. A request that leaves the part is
    /// an error, whoever sent it.
    fn at(&self, offset: u64, len: u64) -> io::Result<u64> {
        let size = self.range.end - self.range.start;
        match offset.checked_add(len) {
            Some(end) if end <= size => Ok(self.range.start + offset),
            _ => Err(Errno::INVAL.into()),
        }
    }
}

/// Bytes of a request.
fn len<'a>(buffers: impl IntoIterator<Item = &'a [u8]>) -> u64 {
    buffers.into_iter().map(|buffer| buffer.len() as u64).sum()
}

impl<D: Disk> Disk for PartDisk<D> {
    fn geometry(&self) -> Geometry {
        Geometry {
            size: self.range.end - self.range.start,
            ..self.whole.geometry()
        }
    }

    fn read_at(&self, buffers: &mut [IoSliceMut<'_>], offset: u64) -> io::Result<()> {
        let at = self.at(offset, len(buffers.iter().map(|it| &**it)))?;
        self.whole.read_at(buffers, at)
    }

    fn read_cached(&self, buffers: &mut [IoSliceMut<'_>], offset: u64) -> io::Result<bool> {
        let at = self.at(offset, len(buffers.iter().map(|it| &**it)))?;
        self.whole.read_cached(buffers, at)
    }

    fn write_at(&self, buffers: &[IoSlice<'_>], offset: u64, durable: bool) -> io::Result<()> {
        let at = self.at(offset, len(buffers.iter().map(|it| &**it)))?;
        self.whole.write_at(buffers, at, durable)
    }

    fn write_cached(&self, buffers: &[IoSlice<'_>], offset: u64) -> io::Result<bool> {
        let at = self.at(offset, len(buffers.iter().map(|it| &**it)))?;
        self.whole.write_cached(buffers, at)
    }

    fn stable_writes(&self) -> bool {
        self.whole.stable_writes()
    }

    fn flush(&self) -> io::Result<()> {
        self.whole.flush()
    }

    fn discard(&self, offset: u64, len: u64) -> io::Result<()> {
        self.whole.discard(self.at(offset, len)?, len)
    }

    fn harm(&self) -> Option<Harm> {
        self.whole.harm()
    }

    fn write_zeroes(&self, offset: u64, len: u64) -> io::Result<()> {
        self.whole.write_zeroes(self.at(offset, len)?, len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::MemoryDisk;

    #[test]
    fn stays_within_its_range() {
        let whole = Arc::new(MemoryDisk::from_image(&[1; 8192]));
        let part = PartDisk::new(Arc::clone(&whole), 1024..3072).unwrap();
        assert_eq!(part.geometry().size, 2048);
        part.write_at(&[IoSlice::new(&[2; 512])], 1536, false)
            .unwrap();
        part.write_zeroes(0, 512).unwrap();
        let mut bytes = [0; 8192];
        whole
            .read_at(&mut [IoSliceMut::new(&mut bytes)], 0)
            .unwrap();
        let expected = |at: usize| match at {
            1024..1536 => 0,
            2560..3072 => 2,
            _ => 1,
        };
        assert!(
            bytes
                .iter()
                .enumerate()
                .all(|(at, &byte)| byte == expected(at))
        );
        for (offset, len) in [(2048, 512), (1536, 1024), (u64::MAX - 511, 512)] {
            let refused = part.write_at(&[IoSlice::new(&vec![3; len])], offset, false);
            assert!(refused.is_err(), "{offset}");
            assert!(part.write_zeroes(offset, len as u64).is_err(), "{offset}");
            assert!(part.discard(offset, len as u64).is_err(), "{offset}");
        }
        for range in [0..8704, 100..1024, 0..1000] {
            assert!(
                PartDisk::new(Arc::clone(&whole), range.clone()).is_err(),
                "{range:?}"
            );
        }
    }
}
