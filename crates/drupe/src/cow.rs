//! [`CopyOnWrite`]: a disk that keeps writes in memory and never changes the disk below.

use std::collections::BTreeMap;
use std::io::{self, IoSlice, IoSliceMut};
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::{BlockDevice, Geometry, Harm};

/// Bytes of a block, the unit that is copied at the first write to it.
const BLOCK: u64 = 4096;

type Blocks = BTreeMap<u64, Box<[u8]>>;

/// A disk that is only read, and copies of the blocks that were written since.
pub(crate) struct CopyOnWrite<D> {
    base: D,
    /// The copies, by their block number.
    blocks: Mutex<Blocks>,
}

impl<D: BlockDevice> CopyOnWrite<D> {
    pub(crate) fn new(base: D) -> CopyOnWrite<D> {
        CopyOnWrite {
            base,
            blocks: Mutex::default(),
        }
    }

    fn blocks(&self) -> MutexGuard<'_, Blocks> {
        self.blocks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads a part of one block.
    fn read_part(&self, blocks: &Blocks, part: Part, bytes: &mut [u8]) -> io::Result<()> {
        match blocks.get(&part.block) {
            Some(block) => bytes.copy_from_slice(&block[part.range]),
            None => self
                .base
                .read_at(&mut [IoSliceMut::new(bytes)], part.offset)?,
        }
        Ok(())
    }

    /// The copy of a block, made if there is none.
    fn copy<'a>(&self, blocks: &'a mut Blocks, part: &Part) -> io::Result<&'a mut [u8]> {
        use std::collections::btree_map::Entry;
        match blocks.entry(part.block) {
            Entry::Occupied(entry) => Ok(entry.into_mut()),
            Entry::Vacant(entry) => {
                let start = part.block * BLOCK;
                let len = BLOCK.min(self.base.geometry().size - start);
                let mut block = vec![0; len as usize].into_boxed_slice();
                if part.range.len() < block.len() {
                    self.base
                        .read_at(&mut [IoSliceMut::new(&mut block)], start)?;
                }
                Ok(entry.insert(block))
            }
        }
    }
}

/// A part of one block.
struct Part {
    block: u64,
    /// Within the block.
    range: Range<usize>,
    /// On the disk.
    offset: u64,
}

/// Cuts `len` bytes from `offset` on at the borders of blocks.
fn parts(offset: u64, len: usize) -> impl Iterator<Item = Part> {
    let end = offset + len as u64;
    let mut at = offset;
    std::iter::from_fn(move || {
        (at < end).then(|| {
            let (block, start) = (at / BLOCK, at % BLOCK);
            let stop = BLOCK.min(start + (end - at));
            let part = Part {
                block,
                range: start as usize..stop as usize,
                offset: at,
            };
            at += stop - start;
            part
        })
    })
}

impl<D: BlockDevice> BlockDevice for CopyOnWrite<D> {
    fn geometry(&self) -> Geometry {
        Geometry {
            read_only: false,
            discard: false,
            ..self.base.geometry()
        }
    }

    fn harm(&self) -> Option<Harm> {
        self.base.harm()
    }

    fn read_at(&self, buffers: &mut [IoSliceMut<'_>], offset: u64) -> io::Result<()> {
        let blocks = self.blocks();
        let len: usize = buffers.iter().map(|buffer| buffer.len()).sum();
        let end = (offset + len as u64).div_ceil(BLOCK);
        if blocks.range(offset / BLOCK..end).next().is_none() {
            drop(blocks);
            return self.base.read_at(buffers, offset);
        }
        let mut at = offset;
        for buffer in buffers {
            let mut rest = &mut buffer[..];
            for part in parts(at, rest.len()) {
                let (bytes, behind) = rest.split_at_mut(part.range.len());
                self.read_part(&blocks, part, bytes)?;
                rest = behind;
            }
            at += buffer.len() as u64;
        }
        Ok(())
    }

    fn write_at(&self, buffers: &[IoSlice<'_>], offset: u64, _fua: bool) -> io::Result<()> {
        let mut blocks = self.blocks();
        let mut at = offset;
        for buffer in buffers {
            let mut rest = &buffer[..];
            for part in parts(at, rest.len()) {
                let (bytes, behind) = rest.split_at(part.range.len());
                self.copy(&mut blocks, &part)?[part.range].copy_from_slice(bytes);
                rest = behind;
            }
            at += buffer.len() as u64;
        }
        Ok(())
    }

    fn flush(&self) -> io::Result<()> {
        Ok(())
    }

    fn discard(&self, _offset: u64, _len: u64) -> io::Result<()> {
        Ok(())
    }

    fn write_zeroes(&self, offset: u64, len: u64) -> io::Result<()> {
        let mut blocks = self.blocks();
        for part in parts(offset, len as usize) {
            self.copy(&mut blocks, &part)?[part.range].fill(0);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 10,000 bytes (not a whole number of blocks), all 7; must not be written.
    struct Sevens;

    impl BlockDevice for Sevens {
        fn geometry(&self) -> Geometry {
            Geometry {
                size: 10_240,
                block_size: 512,
                read_only: true,
                discard: false,
            }
        }
        fn read_at(&self, buffers: &mut [IoSliceMut<'_>], offset: u64) -> io::Result<()> {
            let len: usize = buffers.iter().map(|buffer| buffer.len()).sum();
            assert!(offset + len as u64 <= self.geometry().size);
            buffers.iter_mut().for_each(|buffer| buffer.fill(7));
            Ok(())
        }
        fn write_at(&self, _: &[IoSlice<'_>], _: u64, _: bool) -> io::Result<()> {
            unreachable!("the base is only read")
        }
        fn flush(&self) -> io::Result<()> {
            unreachable!("the base is only read")
        }
        fn discard(&self, _: u64, _: u64) -> io::Result<()> {
            unreachable!("the base is only read")
        }
        fn write_zeroes(&self, _: u64, _: u64) -> io::Result<()> {
            unreachable!("the base is only read")
        }
    }

    #[test]
    fn reads_back_what_was_written_over_the_base() -> io::Result<()> {
        let disk = CopyOnWrite::new(Sevens);
        let (one, two) = ([1; 1024], [2; 4096]);
        disk.write_at(&[IoSlice::new(&one), IoSlice::new(&two)], 3584, false)?;
        disk.write_zeroes(9728, 512)?;

        let mut expected = vec![7; 10_240];
        expected[3584..4608].fill(1);
        expected[4608..8704].fill(2);
        expected[9728..].fill(0);
        let (mut start, mut end) = (vec![9; 5000], vec![9; 5240]);
        let mut buffers = [IoSliceMut::new(&mut start), IoSliceMut::new(&mut end)];
        disk.read_at(&mut buffers, 0)?;
        assert_eq!([start, end].concat(), expected);
        assert!(!disk.geometry().read_only);
        Ok(())
    }
}
