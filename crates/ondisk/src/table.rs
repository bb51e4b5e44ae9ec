//! What GPT and MBR say of a partition beyond what the kernel tells: its type,
//! name and UUID, and where it would be on a disk that is all there.
//!
//! The kernel has read the table and decides which partitions there are; this
//! only looks them up. It is our own because the readers on crates.io
//! allocate what a header asks for and follow a looping chain of extended
//! boot records for ever, and images here may be hostile.

use std::io::{self, Read, Seek, SeekFrom};

use uuid::Uuid;

use crate::probe::{le32, le64, utf16};

/// Where the table of an MBR or an extended boot record begins.
const ENTRIES: usize = 446;

/// As many logical partitions as the kernel follows (`block/partitions/msdos.c`).
const MOST_LOGICAL: u32 = 256;

/// Entries of a GPT that are looked at, of the usual 128; the kernel makes no
/// more than 256 partitions.
const MOST_GPT: u32 = 256;

/// What the partition table says of a partition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PartitionInfo {
    /// "gpt" or "dos".
    pub table: &'static str,
    /// The type: a UUID in a GPT, "0x83" in an MBR.
    pub kind: String,
    /// What the type means, if it is one of the common ones.
    pub kind_name: Option<&'static str>,
    /// The name in a GPT.
    pub name: Option<String>,
    /// The partition's own UUID; for an MBR, disk identifier and number, as
    /// Linux has it in `PARTUUID`.
    pub uuid: Option<String>,
}

/// Looks partition `number` up in the table of a disk with blocks of
/// `block_size` bytes.
pub fn find<R: Read + Seek>(
    disk: &mut R,
    block_size: u64,
    number: u32,
) -> io::Result<Option<PartitionInfo>> {
    match layout(disk, block_size)? {
        None => Ok(None),
        Some(Layout::Gpt(header)) => gpt(disk, block_size, &header, number),
        Some(Layout::Dos(mbr)) => dos(disk, block_size, &mbr, number),
    }
}

/// Which kind of table a disk has: its header or its first sector.
enum Layout {
    Gpt(Vec<u8>),
    Dos(Vec<u8>),
}

fn layout<R: Read + Seek>(disk: &mut R, block_size: u64) -> io::Result<Option<Layout>> {
    let Some(mbr) = read(disk, 0, 512)?.filter(|mbr| mbr[510..] == [0x55, 0xaa]) else {
        return Ok(None);
    };
    let protective = (0..4).any(|n| mbr[ENTRIES + 16 * n + 4] == 0xee);
    let header = match protective {
        true => read(disk, block_size, 92)?.filter(|header| header.starts_with(b"EFI PART")),
        false => None,
    };
    Ok(Some(match header {
        Some(header) => Layout::Gpt(header),
        None => Layout::Dos(mbr),
    }))
}

/// Bytes at an offset; `None` where the disk has none.
fn read<R: Read + Seek>(disk: &mut R, offset: u64, len: usize) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = vec![0; len];
    disk.seek(SeekFrom::Start(offset))?;
    match disk.read_exact(&mut bytes) {
        Ok(()) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

fn gpt<R: Read + Seek>(
    disk: &mut R,
    block_size: u64,
    header: &[u8],
    number: u32,
) -> io::Result<Option<PartitionInfo>> {
    let (first, size) = (le64(header, 72), le32(header, 84));
    let index = u64::from(number).saturating_sub(1);
    let offset = first
        .checked_mul(block_size)
        .and_then(|start| start.checked_add(index * u64::from(size)));
    let (Some(offset), true) = (offset, size >= 128) else {
        return Ok(None);
    };
    let Some(entry) = read(disk, offset, 128)? else {
        return Ok(None);
    };
    let guid = |at: usize| {
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&entry[at..at + 16]);
        Uuid::from_bytes_le(bytes).to_string()
    };
    let kind = guid(0);
    Ok(Some(PartitionInfo {
        table: "gpt",
        kind_name: name_of(GPT_TYPES, &kind.as_str()),
        kind,
        name: Some(utf16(&entry[56..128])).filter(|name| !name.is_empty()),
        uuid: Some(guid(16)),
    }))
}

fn dos<R: Read + Seek>(
    disk: &mut R,
    block_size: u64,
    mbr: &[u8],
    number: u32,
) -> io::Result<Option<PartitionInfo>> {
    let kind = match number {
        1..=4 => Some(mbr[ENTRIES + 16 * (number as usize - 1) + 4]),
        _ => {
            let found = logical(disk, block_size, mbr)?.into_iter();
            let mut kinds = found.map(|entry| (entry.number, entry.kind));
            kinds.find(|(n, _)| *n == number).map(|(_, kind)| kind)
        }
    };
    Ok(kind.map(|kind| PartitionInfo {
        table: "dos",
        kind: format!("{kind:#04x}"),
        kind_name: name_of(DOS_TYPES, &kind),
        name: None,
        uuid: Some(format!("{:08x}-{number:02x}", le32(mbr, 440))),
    }))
}

/// An entry of an MBR or an extended boot record.
struct DosEntry {
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

/// The four primary partitions; a type of 0 is none.
fn primary(mbr: &[u8]) -> [DosEntry; 4] {
    [0, 1, 2, 3].map(|n| dos_entry(&mbr[ENTRIES + 16 * n..], n as u32 + 1, 0))
}

/// An entry whose start is counted from `base`.
fn dos_entry(entry: &[u8], number: u32, base: u64) -> DosEntry {
    DosEntry {
        number,
        kind: entry[4],
        start: base + u64::from(le32(entry, 8)),
        len: u64::from(le32(entry, 12)),
    }
}

/// The logical partitions: one is described in each extended boot record, which
/// also tells where the next one is.
fn logical<R: Read + Seek>(disk: &mut R, block_size: u64, mbr: &[u8]) -> io::Result<Vec<DosEntry>> {
    let mut found = Vec::new();
    let entries = primary(mbr);
    let Some(extended) = entries.iter().find(|entry| is_extended(entry.kind)) else {
        return Ok(found);
    };
    let base = extended.start;
    let mut at = base;
    for _ in 0..MOST_LOGICAL {
        let record = read(disk, at * block_size, 512)?;
        let Some(record) = record.filter(|record| record[510..] == [0x55, 0xaa]) else {
            break;
        };
        let mut next = None;
        for entry in [0, 1, 2, 3].map(|n| &record[ENTRIES + 16 * n..][..16]) {
            if is_extended(entry[4]) {
                next = next.or(Some(base + u64::from(le32(entry, 8))));
            } else if le32(entry, 12) != 0 {
                found.push(dos_entry(entry, 5 + found.len() as u32, at));
            }
        }
        match next {
            Some(next) => at = next,
            None => break,
        }
    }
    Ok(found)
}

/// Where a partition is, as its table says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// Counted from 1.
    pub number: u32,
    /// Bytes from the start of the disk.
    pub start: u64,
    /// Where it ends.
    pub end: u64,
}

/// All partitions of a disk with blocks of `block_size` bytes, also those that
/// are not on it.
pub fn extents<R: Read + Seek>(disk: &mut R, block_size: u64) -> io::Result<Vec<Extent>> {
    match layout(disk, block_size)? {
        None => Ok(Vec::new()),
        Some(Layout::Gpt(header)) => gpt_extents(disk, block_size, &header),
        Some(Layout::Dos(mbr)) => {
            let entries = primary(&mbr).into_iter();
            let entries = entries.chain(logical(disk, block_size, &mbr)?);
            // What the kernel makes no partition of, or one of two sectors.
            let real = entries.filter(|entry| {
                entry.len > 0 && entry.kind != 0 && !is_extended(entry.kind) && entry.kind != 0xee
            });
            let extent = |entry: DosEntry| Extent {
                number: entry.number,
                start: entry.start * block_size,
                end: (entry.start + entry.len) * block_size,
            };
            Ok(real.map(extent).collect())
        }
    }
}

fn gpt_extents<R: Read + Seek>(
    disk: &mut R,
    block_size: u64,
    header: &[u8],
) -> io::Result<Vec<Extent>> {
    let (count, size) = (le32(header, 80).min(MOST_GPT), le32(header, 84));
    let offset = le64(header, 72).checked_mul(block_size);
    let (Some(offset), 128..=4096) = (offset, size) else {
        return Ok(Vec::new());
    };
    let table = read(disk, offset, (count * size) as usize)?.unwrap_or_default();
    let entries = table.chunks_exact(size as usize).zip(1..);
    Ok(entries
        .filter(|(entry, _)| entry[..16] != [0; 16])
        .filter_map(|(entry, number)| {
            let (first, last) = (le64(entry, 32), le64(entry, 40));
            Some(Extent {
                number,
                start: first.checked_mul(block_size)?,
                end: last.checked_add(1)?.checked_mul(block_size)?,
            })
        })
        .filter(|extent| extent.start < extent.end)
        .collect())
}

fn name_of<K: PartialEq>(names: &[(K, &'static str)], kind: &K) -> Option<&'static str> {
    names
        .iter()
        .find(|(known, _)| known == kind)
        .map(|(_, name)| *name)
}

/// From the UEFI and Discoverable Partitions specifications.
const GPT_TYPES: &[(&str, &str)] = &[
    ("c12a7328-f81f-11d2-ba4b-00a0c93ec93b", "EFI System"),
    ("21686148-6449-6e6f-744e-656564454649", "BIOS boot"),
    ("0fc63daf-8483-4772-8e79-3d69d8477de4", "Linux filesystem"),
    ("0657fd6d-a4ab-43c4-84e5-0933c84b4f4f", "Linux swap"),
    ("e6d6d379-f507-44c2-a23c-238f2a3df928", "Linux LVM"),
    ("a19d880f-05fc-4d3b-a006-743f0f84911e", "Linux RAID"),
    ("933ac7e1-2eb4-4f13-b844-0e14e2aef915", "Linux home"),
    (
        "bc13c2ff-59e6-4262-a352-b275fd6f7172",
        "Linux extended boot",
    ),
    (
        "4f68bce3-e8cd-4db1-96e7-fbcaf984b709",
        "Linux root (x86-64)",
    ),
    (
        "b921b045-1df0-41c3-af44-4c6f280d3fae",
        "Linux root (ARM-64)",
    ),
    (
        "ebd0a0a2-b9e5-4433-87c0-68b6b72699c7",
        "Microsoft basic data",
    ),
    ("e3c9e316-0b5c-4db8-817d-f92df00215ae", "Microsoft reserved"),
    ("de94bba4-06d1-4d40-a16a-bfd50179d6ac", "Windows recovery"),
];

/// The types that fdisk(8) is asked for most.
const DOS_TYPES: &[(u8, &str)] = &[
    (0x01, "FAT12"),
    (0x04, "FAT16 <32M"),
    (0x05, "Extended"),
    (0x06, "FAT16"),
    (0x07, "HPFS/NTFS/exFAT"),
    (0x0b, "W95 FAT32"),
    (0x0c, "W95 FAT32 (LBA)"),
    (0x0e, "W95 FAT16 (LBA)"),
    (0x0f, "W95 Extended (LBA)"),
    (0x17, "Hidden HPFS/NTFS"),
    (0x27, "Windows recovery"),
    (0x82, "Linux swap"),
    (0x83, "Linux"),
    (0x85, "Linux extended"),
    (0x8e, "Linux LVM"),
    (0xa5, "FreeBSD"),
    (0xee, "GPT"),
    (0xef, "EFI System"),
    (0xfd, "Linux RAID"),
];

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
