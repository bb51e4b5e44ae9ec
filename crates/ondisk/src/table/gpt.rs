//! Reads a copy of a GPT: its header, near the start of the disk or in its last block,
//! and its entries (UEFI specification, chapter 5.3).
//!
//! The checks are those of the kernel (`is_gpt_valid()` in `block/partitions/efi.c`),
//! with one exception: an intact table of a larger disk is accepted, since an image may
//! have been cut short.

use std::fmt;
use std::io::{self, Read, Seek, SeekFrom};

use uuid::Uuid;

use super::{Entry, PartitionInfo, types};
use crate::bytes::{le32, le64, maybe_bytes_at, utf16};

/// Bytes of a header and of an entry.
const HEADER: usize = 92;
const ENTRY: usize = 128;

/// Limit of the entries, of which there are usually 128. The kernel reads up to 4 MiB of
/// them (`KMALLOC_MAX_SIZE`), and makes 256 partitions.
const MAX_ENTRIES: u32 = 32768;
const MAX_PARTITIONS: usize = 256;

/// Why a copy of a GPT is invalid.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Flaw {
    /// There is no header.
    NoHeader,
    /// The header has an invalid size, in bytes.
    HeaderSize(u32),
    /// The header's checksum is wrong.
    HeaderChecksum,
    /// The header has the number of another block.
    Elsewhere(u64),
    /// The range of usable blocks is invalid.
    UsableBlocks,
    /// The entries' size is not 128 bytes.
    EntrySize(u32),
    /// Too many entries.
    EntryCount(u32),
    /// The entries are outside of the disk.
    NoEntries,
    /// The entries' checksum is wrong.
    EntriesChecksum,
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Flaw::NoHeader => f.write_str("there is no header"),
            Flaw::HeaderSize(size) => write!(f, "its header cannot have {size} bytes"),
            Flaw::HeaderChecksum => f.write_str("the checksum of its header is wrong"),
            Flaw::Elsewhere(block) => write!(f, "its header is that of block {block}"),
            Flaw::UsableBlocks => f.write_str("its range of usable blocks is invalid"),
            Flaw::EntrySize(size) => write!(f, "its entries have {size} bytes, not {ENTRY}"),
            Flaw::EntryCount(count) => write!(f, "it cannot have {count} entries"),
            Flaw::NoEntries => f.write_str("its entries are not on the disk"),
            Flaw::EntriesChecksum => f.write_str("the checksum of its entries is wrong"),
        }
    }
}

/// A valid copy.
pub(super) struct Copy {
    pub(super) entries: Vec<Entry>,
    /// The end of the last usable block, in bytes.
    pub(super) usable_end: u64,
    /// The end of the disk according to the table: behind the other copy's header.
    pub(super) disk_end: u64,
}

/// Reads the copy whose header is in block `at`.
pub(super) fn read<R: Read + Seek>(
    disk: &mut R,
    block_size: u64,
    at: u64,
) -> io::Result<Result<Copy, Flaw>> {
    let header = match header(disk, block_size, at)? {
        Ok(header) => header,
        Err(flaw) => return Ok(Err(flaw)),
    };
    let (count, size) = (le32(&header, 80), le32(&header, 84));
    if size != ENTRY as u32 {
        return Ok(Err(Flaw::EntrySize(size)));
    }
    if count == 0 || count > MAX_ENTRIES {
        return Ok(Err(Flaw::EntryCount(count)));
    }
    let entries = match le64(&header, 72).checked_mul(block_size) {
        Some(offset) => maybe_bytes_at(disk, offset, count as usize * ENTRY)?,
        None => None,
    };
    let Some(entries) = entries else {
        return Ok(Err(Flaw::NoEntries));
    };
    if crc32fast::hash(&entries) != le32(&header, 88) {
        return Ok(Err(Flaw::EntriesChecksum));
    }
    let entries = entries.chunks_exact(ENTRY).zip(1..).take(MAX_PARTITIONS);
    let entries = entries.filter_map(|(entry, number)| self::entry(entry, number, block_size));
    let end = |block: u64| block.saturating_add(1).saturating_mul(block_size);
    let usable_end = end(le64(&header, 48));
    Ok(Ok(Copy {
        entries: entries.collect(),
        usable_end,
        disk_end: usable_end.max(end(le64(&header, 32))),
    }))
}

/// Reads the backup of a disk whose MBR gives `last` as the last block. The backup is in
/// the disk's actual last block, or in `last` if the disk was enlarged since.
pub(super) fn backup<R: Read + Seek>(
    disk: &mut R,
    block_size: u64,
    last: Option<u64>,
) -> io::Result<Result<Copy, Flaw>> {
    let blocks = disk.seek(SeekFrom::End(0))? / block_size;
    // The first copy is in block 1.
    let Some(end) = blocks.checked_sub(1).filter(|&end| end > 1) else {
        return Ok(Err(Flaw::NoHeader));
    };
    let found = read(disk, block_size, end)?;
    match last.filter(|&last| last > 1 && last < end) {
        Some(last) if found.is_err() => Ok(read(disk, block_size, last)?.or(found)),
        _ => Ok(found),
    }
}

/// The header in block `at`, if it is valid.
fn header<R: Read + Seek>(
    disk: &mut R,
    block_size: u64,
    at: u64,
) -> io::Result<Result<Vec<u8>, Flaw>> {
    let block = match at.checked_mul(block_size) {
        Some(offset) => maybe_bytes_at(disk, offset, block_size as usize)?,
        None => None,
    };
    let Some(mut block) = block.filter(|block| block.starts_with(b"EFI PART")) else {
        return Ok(Err(Flaw::NoHeader));
    };
    let size = le32(&block, 12);
    if !(HEADER..=block.len()).contains(&(size as usize)) {
        return Ok(Err(Flaw::HeaderSize(size)));
    }
    let checksum = le32(&block, 16);
    block[16..20].fill(0);
    if crc32fast::hash(&block[..size as usize]) != checksum {
        return Ok(Err(Flaw::HeaderChecksum));
    }
    let own = le64(&block, 24);
    if own != at {
        return Ok(Err(Flaw::Elsewhere(own)));
    }
    if le64(&block, 48) < le64(&block, 40) {
        return Ok(Err(Flaw::UsableBlocks));
    }
    Ok(Ok(block))
}

/// Parses an entry. `None`: it is not used, or invalid.
fn entry(entry: &[u8], number: u32, block_size: u64) -> Option<Entry> {
    if entry[..16] == [0; 16] {
        return None;
    }
    let start = le64(entry, 32).checked_mul(block_size)?;
    let end = le64(entry, 40).checked_add(1)?.checked_mul(block_size)?;
    let guid = |at: usize| {
        let bytes = std::array::from_fn(|n| entry[at + n]);
        Uuid::from_bytes_le(bytes).to_string()
    };
    let kind = guid(0);
    (start < end).then(|| Entry {
        number,
        start,
        end,
        is_container: false,
        info: PartitionInfo {
            table: "gpt",
            kind_name: types::gpt(&kind),
            kind,
            name: Some(utf16(&entry[56..128])).filter(|name| !name.is_empty()),
            uuid: Some(guid(16)),
        },
    })
}
