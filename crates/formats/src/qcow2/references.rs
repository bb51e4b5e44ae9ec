//! Checks that all clusters in use have refcounts, before an image is written.
//!
//! A used cluster in a range without refcounts would be allocated a second time, and
//! `imago` 0.2.6 would overflow the stack: it looks for room for the range's refcounts in
//! the range itself, recursively.

use std::collections::HashSet;
use std::fs::File;

use rustix::fs::SeekFrom;
use rustix::io::Errno;

use crate::bytes::{be64, read_table};
use crate::{Error, Format, Result};

const OFFSET: u64 = 0x00ff_ffff_ffff_fe00;
const COMPRESSED: u64 = 1 << 62;

/// The needed fields of the header.
pub(super) struct Layout {
    pub(super) cluster_bits: u32,
    /// Refcounts have `1 << refcount_order` bits.
    pub(super) refcount_order: u32,
    /// Offset of the L1 table.
    pub(super) l1: u64,
    pub(super) l1_entries: usize,
    /// Offset of the refcount table, and its entries.
    pub(super) refcounts: u64,
    pub(super) refcount_table: Vec<u8>,
    /// Whether the clusters are in another file, and so not counted.
    pub(super) external_data: bool,
    /// Bytes of the file.
    pub(super) size: u64,
}

fn damaged(what: impl Into<String>) -> Error {
    Error::damaged(Format::Qcow2, what)
}

/// Whether a range of a file is known to be a hole.
fn is_hole(file: &File, offset: u64, len: u64) -> bool {
    match rustix::fs::seek(file, SeekFrom::Data(offset)) {
        Ok(data) => data >= offset.saturating_add(len),
        Err(Errno::NXIO) => true,
        Err(_) => false,
    }
}

impl Layout {
    fn cluster(&self) -> u64 {
        1 << self.cluster_bits
    }

    /// Checks all tables.
    pub(super) fn check(&self, file: &File) -> Result<()> {
        self.check_blocks()?;
        let l1_len = self.l1_entries as u64 * 8;
        self.counted(0, 1)?;
        self.counted(self.l1, l1_len)?;
        self.counted(self.refcounts, self.refcount_table.len() as u64)?;

        let l1 = read_table(file, self.l1, l1_len as usize)?;
        let l1 = l1.ok_or_else(|| damaged("its L1 table is incomplete"))?;
        let mut seen = HashSet::new();
        for entry in l1.chunks_exact(8).map(|entry| be64(entry, 0)) {
            let table = entry & OFFSET;
            if table == 0 {
                continue;
            }
            // Each is read once: they are in the file, and so bounded by it.
            let aligned = table.is_multiple_of(self.cluster());
            if !aligned || table >= self.size || !seen.insert(table) {
                return Err(damaged(format!(
                    "its L1 table names a wrong table, {table:#x}"
                )));
            }
            self.counted(table, 1)?;
            // A file with holes may have tables of more bytes than any disk.
            let whole = table + self.cluster() <= self.size;
            if whole && is_hole(file, table, self.cluster()) {
                continue;
            }
            let table = read_table(file, table, self.cluster() as usize)?;
            let table = table.ok_or_else(|| damaged("an L2 table is incomplete"))?;
            for entry in table.chunks_exact(8).map(|entry| be64(entry, 0)) {
                self.check_entry(entry)?;
            }
        }
        Ok(())
    }

    /// Checks that each refcount block is within the file, and named once, since a search
    /// for a free cluster reads all of them.
    fn check_blocks(&self) -> Result<()> {
        let mut seen = HashSet::new();
        for block in self
            .refcount_table
            .chunks_exact(8)
            .map(|entry| be64(entry, 0))
        {
            if block == 0 {
                continue;
            }
            let aligned = block.is_multiple_of(self.cluster());
            if !aligned || block >= self.size || !seen.insert(block) {
                let what = format!("its refcount table names a wrong block, {block:#x}");
                return Err(damaged(what));
            }
            self.counted(block, 1)?;
        }
        Ok(())
    }

    /// Checks an entry of an L2 table.
    fn check_entry(&self, entry: u64) -> Result<()> {
        if self.external_data {
            return Ok(());
        }
        if entry & COMPRESSED == 0 {
            return match entry & OFFSET {
                0 => Ok(()),
                offset => self.counted(offset, 1),
            };
        }
        // Sectors behind the first one are counted above the offset.
        let bits = 62 - (self.cluster_bits - 8);
        let offset = entry & ((1 << bits) - 1);
        let sectors = (entry & (COMPRESSED - 1)) >> bits;
        self.counted(offset, 512 * (sectors + 1) - offset % 512)
    }

    /// Checks that the clusters of a range have refcounts.
    fn counted(&self, offset: u64, len: u64) -> Result<()> {
        // Clusters that one block of refcounts counts.
        let per_block = (self.cluster() * 8) >> self.refcount_order;
        let block = |offset: u64| offset / self.cluster() / per_block;
        for block in block(offset)..=block(offset + len.max(1) - 1) {
            let entry = self.refcount_table.chunks_exact(8).nth(block as usize);
            if entry.is_none_or(|entry| be64(entry, 0) == 0) {
                let what = format!("what is at {offset:#x} of the file has no refcounts");
                return Err(damaged(what));
            }
        }
        Ok(())
    }
}
