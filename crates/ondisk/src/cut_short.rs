//! [`CutShort`]: a disk that ends before what is on it does.

use std::fmt;
use std::io::{Read, Seek, SeekFrom};

use crate::Result;
use crate::probe::{self, Probe};
use crate::table::{Entry, Table};

/// Bytes that an iso9660 may say are its own and are not there: the padding of
/// 150 sectors that some readers of discs leave out.
const ISO_PADDING: u64 = 150 * 2048;

/// A disk that ends before what is on it does: a download that was broken off,
/// or a copy to where there was no room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CutShort {
    /// Where the disk ends, or the partition of a filesystem, in bytes.
    pub ends_at: u64,
    /// The partition that is meant; `None`: all of the disk.
    pub partition: Option<u32>,
    /// It is the filesystem that is not all there, not the partition.
    pub filesystem: bool,
    /// Where what is not all there would end, in bytes from the start of the
    /// disk.
    pub needs: u64,
}

impl fmt::Display for CutShort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let CutShort { ends_at, needs, .. } = self;
        match (self.partition, self.filesystem) {
            (Some(number), true) => write!(f, "partition {number} ends")?,
            _ => f.write_str("the image ends")?,
        }
        write!(f, " at byte {ends_at}, its ")?;
        match (self.partition, self.filesystem) {
            (Some(number), false) => write!(f, "partition {number}")?,
            _ => f.write_str("filesystem")?,
        }
        write!(f, " at {needs}: it was cut short")
    }
}

impl CutShort {
    /// What of a disk with blocks of `block_size` bytes is not all there, by its
    /// partition table or the filesystem on all of it. A filesystem goes before a
    /// table that it may carry.
    ///
    /// # Errors
    ///
    /// Those of [`Table::read`].
    pub fn of_disk<R: Read + Seek>(disk: &mut R, block_size: u64) -> Result<Option<CutShort>> {
        let size = disk.seek(SeekFrom::End(0))?;
        if let Some(found) = probe::probe(disk)?.filter(|found| found.driver.is_some()) {
            return Ok(CutShort::of_filesystem(&found, size, None, 0));
        }
        let table = Table::read(disk, block_size)?;
        let cut = table.as_ref().and_then(|table| table.beyond(size));
        Ok(cut.map(|entry| CutShort::of_partition(entry, size)))
    }

    /// A partition that is not all on a disk of `size` bytes.
    pub fn of_partition(entry: &Entry, size: u64) -> CutShort {
        CutShort {
            ends_at: size,
            partition: Some(entry.number),
            filesystem: false,
            needs: entry.end,
        }
    }

    /// What a filesystem lacks that begins at `start` and has `size` bytes.
    pub fn of_filesystem(
        found: &Probe,
        size: u64,
        partition: Option<u32>,
        start: u64,
    ) -> Option<CutShort> {
        let allowed = match found.kind {
            "iso9660" => size.saturating_add(ISO_PADDING),
            _ => size,
        };
        let needed = found.size.filter(|&needed| needed > allowed)?;
        Some(CutShort {
            ends_at: start.saturating_add(size),
            partition,
            filesystem: true,
            needs: start.saturating_add(needed),
        })
    }
}
