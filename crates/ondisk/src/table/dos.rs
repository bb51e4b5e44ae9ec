//! Reads an MBR, and the chain of extended boot records for more than four partitions.

use std::io::{self, Read, Seek};

use super::{Entry, MBR, PartitionInfo, types};
use crate::bytes::{le32, maybe_bytes_at};

/// Offset of the table in an MBR or extended boot record.
pub(super) const ENTRIES: usize = 446;

/// Limit of logical partitions, as in the kernel (`block/partitions/msdos.c`).
const MAX_LOGICAL: u32 = 256;

/// The type of the entry in a protective MBR.
const PROTECTIVE: u8 = 0xee;

/// The protective MBR of a GPT.
pub(super) struct Protective {
    /// The disk's last block, limited to 32 bits.
    pub(super) last: u64,
}

/// The protective MBR, if one of the partitions has the type [`PROTECTIVE`].
pub(super) fn protective(mbr: &[u8]) -> Option<Protective> {
    let mut entries = raw_entries(mbr);
    let entry = entries.find(|entry| entry[4] == PROTECTIVE)?;
    let last = u64::from(le32(entry, 8)) + u64::from(le32(entry, 12));
    Some(Protective {
        last: last.saturating_sub(1),
    })
}

/// An entry of an MBR or an extended boot record.
struct RawEntry {
    number: u32,
    kind: u8,
    /// Blocks from the start of the disk.
    start: u64,
    /// Blocks.
    len: u64,
}

fn is_extended(kind: u8) -> bool {
    matches!(kind, 0x05 | 0x0f | 0x85)
}

fn raw_entries(record: &[u8]) -> impl Iterator<Item = &[u8]> {
    record[ENTRIES..ENTRIES + 4 * 16].chunks_exact(16)
}

impl RawEntry {
    /// Parses an entry whose start is relative to `base`.
    fn new(entry: &[u8], number: u32, base: u64) -> RawEntry {
        RawEntry {
            number,
            kind: entry[4],
            start: base + u64::from(le32(entry, 8)),
            len: u64::from(le32(entry, 12)),
        }
    }
}

/// All partitions, as the kernel numbers them.
pub(super) fn entries<R: Read + Seek>(
    disk: &mut R,
    block_size: u64,
    mbr: &[u8],
) -> io::Result<Vec<Entry>> {
    let primary = raw_entries(mbr).zip(1..);
    let mut all: Vec<RawEntry> = primary
        .map(|(entry, number)| RawEntry::new(entry, number, 0))
        .collect();
    if let Some(extended) = all.iter().find(|entry| is_extended(entry.kind)) {
        let base = extended.start;
        all.extend(logical(disk, block_size, base)?);
    }
    let used = all.into_iter().filter(|entry| entry.len > 0);
    let identifier = le32(mbr, 440);
    let entry = |entry: RawEntry| {
        let RawEntry { number, kind, .. } = entry;
        Entry {
            number,
            start: entry.start * block_size,
            end: (entry.start + entry.len) * block_size,
            is_container: is_extended(kind),
            info: PartitionInfo {
                table: "dos",
                kind: format!("{kind:#04x}"),
                kind_name: types::dos(kind),
                name: None,
                uuid: Some(format!("{identifier:08x}-{number:02x}")),
            },
        }
    };
    Ok(used.map(entry).collect())
}

/// The logical partitions. Each extended boot record has one, and the place of the next
/// record relative to the first one, which is at `base`.
fn logical<R: Read + Seek>(disk: &mut R, block_size: u64, base: u64) -> io::Result<Vec<RawEntry>> {
    let mut found = Vec::new();
    let mut at = base;
    for _ in 0..MAX_LOGICAL {
        let record = maybe_bytes_at(disk, at * block_size, MBR)?;
        let Some(record) = record.filter(|record| record[510..] == [0x55, 0xaa]) else {
            break;
        };
        let mut next = None;
        for entry in raw_entries(&record) {
            if is_extended(entry[4]) {
                next = next.or(Some(base + u64::from(le32(entry, 8))));
            } else if le32(entry, 12) != 0 {
                found.push(RawEntry::new(entry, 5 + found.len() as u32, at));
            }
        }
        match next {
            Some(next) => at = next,
            None => break,
        }
    }
    Ok(found)
}
