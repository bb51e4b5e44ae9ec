//! [`CutShort`]: a disk that ends before what is on it does.

use std::fmt;
use std::io;

use drupe_ondisk::probe::{self, Probe};
use drupe_ondisk::table;

use crate::BlockDevice;
use crate::window::Window;

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

/// What of a disk is not all there, by its partition table or the filesystem on
/// all of it. A table goes before a filesystem on it.
pub(crate) fn find(backend: &dyn BlockDevice) -> io::Result<Option<CutShort>> {
    let geometry = backend.geometry();
    let mut whole = Window::new(backend, 0, geometry.size);
    if let Some(found) = probe::probe(&mut whole)?.filter(|found| found.driver.is_some()) {
        return Ok(filesystem(&found, geometry.size, None, 0));
    }
    let extents = table::extents(&mut whole, geometry.block_size.into())?;
    let cut = extents
        .into_iter()
        .find(|extent| extent.end > geometry.size);
    Ok(cut.map(|extent| of_partition(extent, geometry.size)))
}

/// A partition on a disk of `size` bytes.
pub(crate) fn of_partition(extent: table::Extent, size: u64) -> CutShort {
    CutShort {
        ends_at: size,
        partition: Some(extent.number),
        filesystem: false,
        needs: extent.end,
    }
}

/// What a filesystem lacks that begins at `start` and has `size` bytes.
pub(crate) fn filesystem(
    found: &Probe,
    size: u64,
    partition: Option<u32>,
    start: u64,
) -> Option<CutShort> {
    let allowed = match found.kind {
        "iso9660" => size.saturating_add(ISO_PADDING),
        _ => size,
    };
    found
        .size
        .filter(|&needed| needed > allowed)
        .map(|needed| CutShort {
            ends_at: start.saturating_add(size),
            partition,
            filesystem: true,
            needs: start.saturating_add(needed),
        })
}
