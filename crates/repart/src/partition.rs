//! [`Partition`]: a partition, whatever table it is in.

use std::ops::Range;

use uuid::Uuid;

/// A partition in a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    /// From 1.
    pub number: u32,
    /// First byte.
    pub start: u64,
    /// Bytes.
    pub size: u64,
    /// Its type.
    pub kind: Uuid,
    /// Its own.
    pub uuid: Uuid,
    /// At most 36 UTF-16 units.
    pub label: String,
    /// The attributes.
    pub flags: u64,
}

impl Partition {
    /// Bytes of the disk.
    pub fn range(&self) -> Range<u64> {
        self.start..self.start.saturating_add(self.size)
    }
}
