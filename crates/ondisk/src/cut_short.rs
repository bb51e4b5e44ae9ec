//! [`CutShort`]: detects a truncated disk, by its partition table or filesystem.

use std::fmt;
use std::io::{Read, Seek, SeekFrom};

use crate::Result;
use crate::probe::{self, Probe};
use crate::table::{Entry, Table};

/// How many bytes an iso9660 may lack: its padding of 150 sectors, which some readers of
/// discs leave out.
const ISO_PADDING: u64 = 150 * 2048;

/// A partition or filesystem ends behind the end of its disk: the image is an incomplete
/// download or copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CutShort {
    /// The end of the disk, or of the filesystem's partition, in bytes.
    pub ends_at: u64,
    /// The partition concerned; `None`: the whole disk.
    pub partition: Option<u32>,
    /// Whether the filesystem is incomplete, not the partition.
    pub filesystem: bool,
    /// Where the incomplete partition or filesystem would end, in bytes from the start of
    /// the disk.
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
    /// Checks a disk with blocks of `block_size` bytes, by its partition table or the
    /// filesystem on the whole disk. A filesystem that also contains a table counts as a
    /// filesystem.
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

    /// The value for a partition that ends behind a disk of `size` bytes.
    pub fn of_partition(entry: &Entry, size: u64) -> CutShort {
        CutShort {
            ends_at: size,
            partition: Some(entry.number),
            filesystem: false,
            needs: entry.end,
        }
    }

    /// Checks a filesystem that begins at `start` and has `size` bytes.
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
