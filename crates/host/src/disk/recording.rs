//! [`RecordingDisk`]: a disk that records all writes, to simulate power cuts in tests.

use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::disk::{Disk, Geometry, MemoryDisk};

/// A disk in memory that records every write and flush in their order.
///
/// [`RecordingDisk::after_power_cut`] returns what could be on the medium if the power
/// had failed at a past moment: everything that a flush covers, and any part of the rest.
/// A real disk promises no more: it may keep writes in its cache for any time and write
/// them in any order, except that a later write to a block never loses to an earlier one.
/// Blocks are written whole, so a write can survive in part.
///
/// Requests are served one at a time, so that the record has one order.
#[derive(Debug)]
pub struct RecordingDisk {
    /// The content before the first record.
    start: MemoryDisk,
    live: MemoryDisk,
    records: Mutex<Vec<Record>>,
}

/// One change of a disk, or a flush.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Record {
    /// A write.
    Write {
        /// Byte of the disk.
        offset: u64,
        /// What was written.
        data: Arc<[u8]>,
        /// Whether it was on stable storage on return.
        durable: bool,
    },
    /// A range was made to read as zeroes.
    Zeroes {
        /// Byte of the disk.
        offset: u64,
        /// Bytes.
        len: u64,
    },
    /// Everything before it was made durable.
    Flush,
}

/// Which of the writes that no flush covers are lost when the power goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// None are lost: the machine stopped, the disk did not.
    Nothing,
    /// All of them.
    Everything,
    /// Some writes, and parts of others, are lost, chosen by this seed.
    Some(u64),
}

impl RecordingDisk {
    /// A disk with the content of `image`, and nothing recorded.
    pub fn from_image(image: &[u8]) -> RecordingDisk {
        RecordingDisk {
            start: MemoryDisk::from_image(image),
            live: MemoryDisk::from_image(image),
            records: Mutex::default(),
        }
    }

    /// Sets the size of a block in bytes: 512, 1024, 2048 or 4096. A block is written
    /// whole or not at all.
    #[must_use]
    pub fn block_size(mut self, bytes: u32) -> RecordingDisk {
        self.start = self.start.block_size(bytes);
        self.live = self.live.block_size(bytes);
        self
    }

    /// How many records there are: a moment, for [`RecordingDisk::after_power_cut`].
    pub fn moment(&self) -> usize {
        self.records().len()
    }

    /// All records, from the first.
    pub fn recorded(&self) -> Vec<Record> {
        self.records().clone()
    }

    /// What may be on the disk if the power fails after `moment` records.
    ///
    /// # Panics
    ///
    /// If there are fewer records.
    pub fn after_power_cut(&self, moment: usize, loss: Loss) -> MemoryDisk {
        let records = &self.records()[..moment];
        let flush = records.iter().rposition(|record| *record == Record::Flush);
        let (stable, volatile) = records.split_at(flush.unwrap_or(0));
        let disk = self.start.copy();
        let mut random = match loss {
            Loss::Some(seed) => fastrand::Rng::with_seed(seed),
            _ => fastrand::Rng::with_seed(0),
        };
        // Nearly all, half, or hardly any.
        let odds = random.choice([1, 4, 7]).unwrap_or(4);
        for record in stable {
            apply(&disk, record, |_| true);
        }
        for record in volatile {
            let durable = matches!(record, Record::Write { durable: true, .. });
            match loss {
                _ if durable => apply(&disk, record, |_| true),
                Loss::Nothing => apply(&disk, record, |_| true),
                Loss::Everything => {}
                Loss::Some(_) if random.u32(0..8) == 0 => apply(&disk, record, |_| random.bool()),
                Loss::Some(_) if random.u32(0..8) < odds => apply(&disk, record, |_| true),
                Loss::Some(_) => {}
            }
        }
        disk
    }

    fn records(&self) -> MutexGuard<'_, Vec<Record>> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Repeats a recorded change on the blocks for which `survives` returns true.
fn apply(disk: &MemoryDisk, record: &Record, mut survives: impl FnMut(u64) -> bool) {
    let block = u64::from(disk.geometry().block_size);
    let done = match record {
        Record::Flush => Ok(()),
        Record::Write { offset, data, .. } => (*offset..)
            .step_by(block as usize)
            .zip(data.chunks(block as usize))
            .filter(|(offset, _)| survives(*offset))
            .try_for_each(|(offset, part)| disk.write_at(&[IoSlice::new(part)], offset, false)),
        Record::Zeroes { offset, len } => (*offset..offset + len)
            .step_by(block as usize)
            .filter(|offset| survives(*offset))
            .try_for_each(|offset| disk.write_zeroes(offset, block)),
    };
    // Only what had succeeded on a disk of the same size was recorded.
    debug_assert!(done.is_ok(), "{done:?}");
}

impl Disk for RecordingDisk {
    fn geometry(&self) -> Geometry {
        Geometry {
            // What a discarded block holds would be anybody's guess.
            discard: false,
            ..self.live.geometry()
        }
    }

    fn read_at(&self, buffers: &mut [IoSliceMut<'_>], offset: u64) -> io::Result<()> {
        self.live.read_at(buffers, offset)
    }

    fn read_cached(&self, buffers: &mut [IoSliceMut<'_>], offset: u64) -> io::Result<bool> {
        self.live.read_cached(buffers, offset)
    }

    fn write_at(&self, buffers: &[IoSlice<'_>], offset: u64, durable: bool) -> io::Result<()> {
        let data: Vec<u8> = buffers
            .iter()
            .flat_map(|buffer| buffer.iter().copied())
            .collect();
        let mut records = self.records();
        self.live
            .write_at(&[IoSlice::new(&data)], offset, durable)?;
        records.push(Record::Write {
            offset,
            data: data.into(),
            durable,
        });
        Ok(())
    }

    fn flush(&self) -> io::Result<()> {
        self.records().push(Record::Flush);
        Ok(())
    }

    fn discard(&self, _offset: u64, _len: u64) -> io::Result<()> {
        Ok(())
    }

    fn write_zeroes(&self, offset: u64, len: u64) -> io::Result<()> {
        let mut records = self.records();
        self.live.write_zeroes(offset, len)?;
        records.push(Record::Zeroes { offset, len });
        Ok(())
    }
}

impl MemoryDisk {
    /// Writes its content to a file, as sparse as it is itself.
    ///
    /// # Errors
    ///
    /// Those of writing the file.
    pub fn save(&self, file: &File) -> io::Result<()> {
        use std::os::unix::fs::FileExt;
        let size = self.geometry().size;
        file.set_len(0)?;
        file.set_len(size)?;
        self.for_each_chunk(|offset, content| {
            let len = (size - offset).min(content.len() as u64);
            file.write_all_at(&content[..len as usize], offset)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk() -> io::Result<RecordingDisk> {
        let disk = RecordingDisk::from_image(&[0; 8192]);
        let write = |value, offset, durable| {
            disk.write_at(&[IoSlice::new(&[value; 1024])], offset, durable)
        };
        write(1, 0, false)?;
        disk.flush()?;
        write(2, 512, false)?;
        write(3, 4096, true)?;
        disk.write_zeroes(0, 512)?;
        Ok(disk)
    }

    /// The first byte of each block.
    fn blocks(disk: &MemoryDisk) -> Vec<u8> {
        disk.to_image().chunks(512).map(|block| block[0]).collect()
    }

    #[test]
    fn what_is_flushed_or_durable_stays() -> io::Result<()> {
        let disk = disk()?;
        assert_eq!(disk.moment(), 5);
        let cut = |moment, loss| blocks(&disk.after_power_cut(moment, loss))[..10].to_vec();
        assert_eq!(cut(5, Loss::Nothing), [0, 2, 2, 0, 0, 0, 0, 0, 3, 3]);
        assert_eq!(cut(5, Loss::Everything), [1, 1, 0, 0, 0, 0, 0, 0, 3, 3]);
        assert_eq!(cut(1, Loss::Everything), [0; 10]);
        assert_eq!(cut(1, Loss::Nothing), [1, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
        Ok(())
    }

    #[test]
    fn all_that_can_be_lost_is_lost_some_time() -> io::Result<()> {
        let disk = disk()?;
        let mut seen = std::collections::BTreeSet::new();
        for seed in 0..400 {
            let blocks = blocks(&disk.after_power_cut(5, Loss::Some(seed)));
            assert_eq!(blocks[3..10], [0, 0, 0, 0, 0, 3, 3]);
            seen.insert(blocks[..3].to_vec());
        }
        // The first block zeroed or not; each half of the second write, or not.
        assert_eq!(seen.len(), 8);
        Ok(())
    }

    #[test]
    fn a_block_is_not_torn() -> io::Result<()> {
        let disk = RecordingDisk::from_image(&[0; 8192]).block_size(4096);
        disk.write_at(&[IoSlice::new(&[1; 8192])], 0, false)?;
        for seed in 0..100 {
            let blocks = blocks(&disk.after_power_cut(1, Loss::Some(seed)));
            for block in blocks.chunks(8) {
                assert!(block.iter().all(|byte| *byte == block[0]));
            }
        }
        Ok(())
    }

    #[test]
    fn it_is_saved_as_it_is() -> io::Result<()> {
        let mut image = vec![0; 300_000 / 512 * 512];
        image[200_000..].fill(9);
        let file = tempfile::NamedTempFile::new()?;
        MemoryDisk::from_image(&image).save(file.as_file())?;
        assert!(std::fs::read(file.path())? == image);
        Ok(())
    }
}
