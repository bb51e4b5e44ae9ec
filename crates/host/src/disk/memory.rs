//! [`MemoryDisk`]: a disk in the program's memory.

use crate::disk::{Disk, Geometry};
use std::collections::BTreeMap;
use std::io::{self, IoSlice, IoSliceMut};
use std::ops::Range;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Bytes of a chunk, the unit in which memory is allocated.
const CHUNK: u64 = 64 << 10;

type Chunks = BTreeMap<u64, Box<[u8]>>;

/// A disk in the program's memory.
///
/// Unwritten parts read as zeroes. Written parts take memory, in chunks of 64 KiB, until
/// they are discarded. Every request is served at once.
#[derive(Debug)]
pub struct MemoryDisk {
    geometry: Geometry,
    /// The allocated chunks by their number; all of full size.
    chunks: RwLock<Chunks>,
}

impl MemoryDisk {
    /// A disk of `size` bytes, all zero, with blocks of 512 bytes.
    pub fn new(size: u64) -> MemoryDisk {
        MemoryDisk {
            geometry: Geometry {
                size,
                block_size: 512,
                read_only: false,
                discard: true,
            },
            chunks: RwLock::default(),
        }
    }

    /// A disk with the content of `image`.
    pub fn from_image(image: &[u8]) -> MemoryDisk {
        let disk = MemoryDisk::new(image.len() as u64);
        let mut chunks = disk.chunks_mut();
        for (chunk, content) in (0..).zip(image.chunks(CHUNK as usize)) {
            if content.iter().any(|&byte| byte != 0) {
                zeroed(&mut chunks, chunk)[..content.len()].copy_from_slice(content);
            }
        }
        drop(chunks);
        disk
    }

    /// Sets the size of a block in bytes: 512 (the default), 1024, 2048 or 4096.
    #[must_use]
    pub fn block_size(mut self, bytes: u32) -> MemoryDisk {
        self.geometry.block_size = bytes;
        self
    }

    /// The whole content.
    pub fn to_image(&self) -> Vec<u8> {
        let mut image = vec![0; self.geometry.size as usize];
        for (chunk, content) in self.chunks().iter() {
            let rest = &mut image[(chunk * CHUNK) as usize..];
            let len = rest.len().min(content.len());
            rest[..len].copy_from_slice(&content[..len]);
        }
        image
    }

    /// A new disk with the same content.
    pub(crate) fn copy(&self) -> MemoryDisk {
        MemoryDisk {
            geometry: self.geometry,
            chunks: RwLock::new(self.chunks().clone()),
        }
    }

    /// Calls the function for each allocated chunk, in order, with its first byte and its
    /// content. The last one may reach beyond the disk's end.
    pub(crate) fn for_each_chunk(
        &self,
        mut each: impl FnMut(u64, &[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        let chunks = self.chunks();
        let mut chunks = chunks.iter();
        chunks.try_for_each(|(chunk, content)| each(chunk * CHUNK, content))
    }

    fn chunks(&self) -> RwLockReadGuard<'_, Chunks> {
        self.chunks.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn chunks_mut(&self) -> RwLockWriteGuard<'_, Chunks> {
        self.chunks.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fails if the range is not inside of the disk.
    fn check(&self, offset: u64, len: u64) -> io::Result<()> {
        match offset.checked_add(len) {
            Some(end) if end <= self.geometry.size => Ok(()),
            _ => Err(io::ErrorKind::InvalidInput.into()),
        }
    }
}

/// The chunk, allocated if need be.
fn zeroed(chunks: &mut Chunks, chunk: u64) -> &mut [u8] {
    let new = || vec![0; CHUNK as usize].into_boxed_slice();
    chunks.entry(chunk).or_insert_with(new)
}

/// Cuts `len` bytes from `offset` on at the borders of chunks: the number of
/// each, and the range in it.
fn parts(offset: u64, len: u64) -> impl Iterator<Item = (u64, Range<usize>)> {
    let end = offset + len;
    (offset / CHUNK..end.div_ceil(CHUNK)).map(move |chunk| {
        let start = offset.max(chunk * CHUNK) - chunk * CHUNK;
        let stop = end.min((chunk + 1) * CHUNK) - chunk * CHUNK;
        (chunk, start as usize..stop as usize)
    })
}

impl Disk for MemoryDisk {
    fn geometry(&self) -> Geometry {
        self.geometry
    }

    fn read_at(&self, buffers: &mut [IoSliceMut<'_>], mut offset: u64) -> io::Result<()> {
        let chunks = self.chunks();
        for buffer in buffers {
            let len = buffer.len() as u64;
            self.check(offset, len)?;
            let mut rest = &mut buffer[..];
            for (chunk, range) in parts(offset, len) {
                let (bytes, behind) = rest.split_at_mut(range.len());
                match chunks.get(&chunk) {
                    Some(content) => bytes.copy_from_slice(&content[range]),
                    None => bytes.fill(0),
                }
                rest = behind;
            }
            offset += len;
        }
        Ok(())
    }

    fn read_cached(&self, buffers: &mut [IoSliceMut<'_>], offset: u64) -> io::Result<bool> {
        self.read_at(buffers, offset).map(|()| true)
    }

    fn write_at(&self, buffers: &[IoSlice<'_>], mut offset: u64, _durable: bool) -> io::Result<()> {
        let mut chunks = self.chunks_mut();
        for buffer in buffers {
            let len = buffer.len() as u64;
            self.check(offset, len)?;
            let mut rest = &buffer[..];
            for (chunk, range) in parts(offset, len) {
                let (bytes, behind) = rest.split_at(range.len());
                zeroed(&mut chunks, chunk)[range].copy_from_slice(bytes);
                rest = behind;
            }
            offset += len;
        }
        Ok(())
    }

    fn write_cached(&self, buffers: &[IoSlice<'_>], offset: u64) -> io::Result<bool> {
        self.write_at(buffers, offset, false).map(|()| true)
    }

    fn flush(&self) -> io::Result<()> {
        Ok(())
    }

    fn discard(&self, offset: u64, len: u64) -> io::Result<()> {
        self.write_zeroes(offset, len)
    }

    fn write_zeroes(&self, offset: u64, len: u64) -> io::Result<()> {
        self.check(offset, len)?;
        let mut chunks = self.chunks_mut();
        for (chunk, range) in parts(offset, len) {
            if range.len() as u64 == CHUNK {
                chunks.remove(&chunk);
            } else if let Some(content) = chunks.get_mut(&chunk) {
                content[range].fill(0);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_was_written_across_chunks() -> io::Result<()> {
        let size = 3 * CHUNK + 512;
        let disk = MemoryDisk::new(size);
        let (one, two) = (vec![1; CHUNK as usize], vec![2; 1024]);
        let offset = CHUNK - 512;
        disk.write_at(&[IoSlice::new(&one), IoSlice::new(&two)], offset, true)?;
        let mut expected = vec![0; size as usize];
        let (start, middle) = (offset as usize, (offset + CHUNK) as usize);
        expected[start..middle].fill(1);
        expected[middle..middle + 1024].fill(2);
        assert_eq!(disk.to_image(), expected);

        let (mut a, mut b) = (vec![9; middle - 700], vec![9; size as usize - middle + 700]);
        let buffers = &mut [IoSliceMut::new(&mut a), IoSliceMut::new(&mut b)];
        assert!(disk.read_cached(buffers, 0)?);
        assert_eq!([a, b].concat(), expected);
        assert_eq!(MemoryDisk::from_image(&expected).to_image(), expected);
        Ok(())
    }

    #[test]
    fn what_is_discarded_is_zero_and_takes_no_memory() -> io::Result<()> {
        let disk = MemoryDisk::from_image(&vec![7; 4 * CHUNK as usize]);
        disk.discard(512, 3 * CHUNK - 1024)?;
        let image = disk.to_image();
        let end = 3 * CHUNK as usize - 512;
        assert!(image[..512].iter().all(|&byte| byte == 7));
        assert!(image[512..end].iter().all(|&byte| byte == 0));
        assert!(image[end..].iter().all(|&byte| byte == 7));
        assert_eq!(disk.chunks().len(), 3);
        Ok(())
    }

    #[test]
    fn it_ends_where_it_ends() {
        let disk = MemoryDisk::new(1 << 20).block_size(4096);
        assert_eq!(disk.geometry().block_size, 4096);
        let end = (1 << 20) - 512;
        assert!(
            disk.write_at(&[IoSlice::new(&[1; 1024])], end, false)
                .is_err()
        );
        assert!(disk.discard(u64::MAX - 511, 512).is_err());
        let mut buffer = [0; 1024];
        let buffers = &mut [IoSliceMut::new(&mut buffer)];
        assert!(disk.read_at(buffers, end).is_err());
    }
}
