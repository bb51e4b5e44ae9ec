//! A disk's partition table: what is there, and what is written.

use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;

use gptman::{GPT, GPTPartitionEntry};
use uuid::Uuid;

use crate::captured::Captured;
use crate::error::{Error, Result};
use crate::mbr::{self, Mbr};
use crate::partition::Partition;

/// Where the first partition of a new table begins at the earliest, in bytes, as the
/// tools of util-linux have it.
const FIRST: u64 = 1 << 20;
/// Bytes of a sector of an image.
const SECTOR: u64 = 512;
/// Bytes of an entry in a table, and how many a table has at most.
const ENTRY: u32 = 128;
const MOST_ENTRIES: u32 = 1024;
/// The largest disk, in bytes.
const MOST: u64 = i64::MAX as u64;

/// A disk with a partition table.
#[derive(Debug)]
pub struct Disk {
    /// Bytes that partitions may occupy.
    pub usable: Range<u64>,
    /// Those that there are. They do not overlap, and are within `usable`.
    pub partitions: Vec<Partition>,
    table: Table,
}

#[derive(Debug)]
enum Table {
    Gpt {
        gpt: Box<GPT>,
        /// The MBR in front of the table has to be written.
        needs_mbr: bool,
    },
    Mbr(Mbr),
}

impl Disk {
    /// A table without partitions for the disk `file`, with sectors of 512 bytes. Nothing
    /// is written yet.
    ///
    /// # Errors
    ///
    /// [`Error::Table`], [`Error::Disk`] for a disk that is too small.
    pub fn new(file: &mut (impl Read + Seek), uuid: Uuid) -> Result<Disk> {
        check_size(file)?;
        let mut gpt = GPT::new_from(file, SECTOR, uuid.to_bytes_le()).map_err(reading)?;
        gpt.header.first_usable_lba = FIRST / SECTOR;
        Disk::of(gpt, true)
    }

    /// An MBR without partitions for the disk `file`. Nothing is written yet.
    ///
    /// # Errors
    ///
    /// [`Error::Table`], [`Error::Disk`] for a disk that is too small.
    pub fn new_mbr(file: &mut (impl Read + Seek), uuid: Uuid) -> Result<Disk> {
        check_size(file)?;
        let size = file.seek(SeekFrom::End(0)).map_err(on_read)?;
        let mbr = Mbr::new(uuid, size);
        Ok(Disk {
            usable: FIRST..mbr.end(),
            partitions: Vec::new(),
            table: Table::Mbr(mbr),
        })
    }

    /// The table of `file`, with sectors of 512 bytes; `None`: it has none.
    ///
    /// # Errors
    ///
    /// [`Error::Table`] for one that is damaged: both copies of it. [`Error::Disk`] for
    /// a disk that is too small, and a table that cannot be extended: with other entries
    /// than all tools make, or with partitions that overlap or leave the disk.
    pub fn read(file: &mut (impl Read + Seek)) -> Result<Option<Disk>> {
        check_size(file)?;
        check_entries(file)?;
        let gpt = match GPT::read_from(file, SECTOR) {
            Err(gptman::Error::InvalidSignature) => return Ok(None),
            // It does not look at the copy if only the entries are damaged.
            Err(damage) => {
                GPT::read_from(&mut WithoutPrimary(file), SECTOR).map_err(|_| reading(damage))?
            }
            Ok(gpt) => gpt,
        };
        Disk::of(gpt, false).map(Some)
    }

    fn of(mut gpt: GPT, is_new: bool) -> Result<Disk> {
        let header = &mut gpt.header;
        // The copy at the end, if that at the beginning is damaged.
        if header.primary_lba != 1 {
            (header.primary_lba, header.backup_lba) = (1, header.primary_lba);
            header.partition_entry_lba = 2;
        }
        let count = u64::from(header.number_of_partition_entries);
        let table = 2 + (count * u64::from(ENTRY)).div_ceil(SECTOR);
        let first = header.first_usable_lba.max(table);
        let end = header.last_usable_lba.saturating_add(1);
        if header.partition_entry_lba != 2 || end > MOST / SECTOR || end <= first {
            return Err(Error::Disk(
                "its partition table is where no tool puts one".to_owned(),
            ));
        }
        let usable = first * SECTOR..end * SECTOR;
        let mut partitions = Vec::new();
        for (number, entry) in gpt.iter().filter(|(_, entry)| entry.is_used()) {
            let (from, to) = (entry.starting_lba, entry.ending_lba);
            if from > to || from < first || to >= end {
                return Err(Error::Disk(format!(
                    "partition {number} is not within the disk (sectors {from} to {to})"
                )));
            }
            partitions.push(Partition {
                number,
                start: from * SECTOR,
                size: (to + 1 - from) * SECTOR,
                kind: Uuid::from_bytes_le(entry.partition_type_guid),
                uuid: Uuid::from_bytes_le(entry.unique_partition_guid),
                label: entry.partition_name.as_str().to_owned(),
                flags: entry.attribute_bits,
            });
        }
        check_overlaps(&partitions)?;
        Ok(Disk {
            usable,
            partitions,
            table: Table::Gpt {
                gpt: Box::new(gpt),
                needs_mbr: is_new,
            },
        })
    }

    /// The disk is `size` bytes large now: the room at its end is usable.
    ///
    /// # Errors
    ///
    /// [`Error::Disk`] for less than there was.
    pub fn grow(&mut self, size: u64) -> Result<()> {
        let sectors = size.min(MOST) / SECTOR;
        let (gpt, needs_mbr) = match &mut self.table {
            Table::Gpt { gpt, needs_mbr } => (gpt, needs_mbr),
            Table::Mbr(mbr) => {
                mbr.grow(size);
                self.usable.end = mbr.end();
                return Ok(());
            }
        };
        let header = &mut gpt.header;
        let count = u64::from(header.number_of_partition_entries);
        let table = (count * u64::from(ENTRY)).div_ceil(SECTOR);
        let last = sectors.saturating_sub(table + 2);
        if last < header.last_usable_lba {
            return Err(Error::Disk(
                "its partition table says that it is larger than it is".to_owned(),
            ));
        }
        *needs_mbr |= header.backup_lba != sectors - 1;
        header.backup_lba = sectors - 1;
        header.last_usable_lba = last;
        self.usable.end = (last + 1) * SECTOR;
        Ok(())
    }

    /// The lowest numbers that new partitions can have, in this order: those behind all
    /// that are in use, then those between.
    pub(crate) fn free_numbers(&self) -> impl Iterator<Item = u32> {
        let used: Vec<u32> = self.partitions.iter().map(|one| one.number).collect();
        let last = used.iter().copied().max().unwrap_or(0);
        let most = match &self.table {
            Table::Gpt { gpt, .. } => gpt.header.number_of_partition_entries,
            Table::Mbr(_) => mbr::MOST,
        };
        (last + 1..=most).chain((1..last).filter(move |number| !used.contains(number)))
    }

    /// The identifier of an MBR; `None`: it is a GUID partition table.
    pub fn mbr_id(&self) -> Option<u32> {
        match &self.table {
            Table::Gpt { .. } => None,
            Table::Mbr(mbr) => Some(mbr.id()),
        }
    }

    /// Takes a partition out of the table; `None`: there is none of this number. Nothing is
    /// written yet.
    pub fn remove(&mut self, number: u32) -> Option<Partition> {
        let at = self
            .partitions
            .iter()
            .position(|one| one.number == number)?;
        if let Table::Gpt { gpt, .. } = &mut self.table {
            gpt[number] = GPTPartitionEntry::empty();
        }
        Some(self.partitions.remove(at))
    }

    /// Writes the table with `partitions`: the copy at the end of the disk first, and each
    /// is on the disk before the other is touched. So one of them is whole at any moment.
    ///
    /// # Errors
    ///
    /// [`Error::Table`]; the disk then has the old table, or both copies differ.
    pub fn write(
        self,
        file: &mut (impl Read + Write + Seek),
        partitions: &[Partition],
        sync: impl Fn() -> io::Result<()>,
    ) -> Result<()> {
        let (mut gpt, needs_mbr) = match self.table {
            Table::Gpt { gpt, needs_mbr } => (gpt, needs_mbr),
            Table::Mbr(mbr) => return mbr.write(file, partitions, sync),
        };
        for partition in partitions {
            gpt[partition.number] = GPTPartitionEntry {
                partition_type_guid: partition.kind.to_bytes_le(),
                unique_partition_guid: partition.uuid.to_bytes_le(),
                starting_lba: partition.start / SECTOR,
                ending_lba: (partition.start + partition.size) / SECTOR - 1,
                attribute_bits: partition.flags,
                partition_name: partition.label.as_str().into(),
            };
        }
        let size = (gpt.header.backup_lba + 1) * SECTOR;
        let mut captured = Captured::new(size);
        if needs_mbr && !has_own_mbr(file)? {
            GPT::write_protective_mbr_into(&mut captured, SECTOR).map_err(writing)?;
        }
        gpt.write_into(&mut captured).map_err(writing)?;
        let on_write = |cause: io::Error| writing(gptman::Error::Io(cause));
        for (at, bytes) in captured.backwards() {
            file.seek(SeekFrom::Start(at)).map_err(on_write)?;
            file.write_all(&bytes).map_err(on_write)?;
            sync().map_err(on_write)?;
        }
        Ok(())
    }
}

fn reading(cause: gptman::Error) -> Error {
    Error::Table {
        operation: "read",
        cause,
    }
}

fn writing(cause: gptman::Error) -> Error {
    Error::Table {
        operation: "write",
        cause,
    }
}

fn on_read(cause: io::Error) -> Error {
    reading(gptman::Error::Io(cause))
}

fn check_overlaps(partitions: &[Partition]) -> Result<()> {
    let mut sorted: Vec<_> = partitions.iter().collect();
    sorted.sort_by_key(|one| one.start);
    for pair in sorted.windows(2) {
        if pair[0].range().end > pair[1].start {
            let (a, b) = (pair[0].number, pair[1].number);
            return Err(Error::Disk(format!("partitions {a} and {b} overlap")));
        }
    }
    Ok(())
}

/// Whether there is room for both copies of a table, and something between them.
fn check_size(file: &mut (impl Read + Seek)) -> Result<()> {
    let size = file.seek(SeekFrom::End(0)).map_err(on_read)?;
    if size < 2 * FIRST {
        return Err(Error::Disk(format!(
            "it has {size} bytes; at least {} are needed",
            2 * FIRST
        )));
    }
    Ok(())
}

/// Looks at both copies of a table before anything is computed of what they say: entries
/// have 128 bytes, there are some hundred at most, and a partition begins before it ends.
fn check_entries(file: &mut (impl Read + Seek)) -> Result<()> {
    let mut header = [0; 92];
    let sectors = file.seek(SeekFrom::End(0)).map_err(on_read)? / SECTOR;
    for at in [1, sectors - 1] {
        file.seek(SeekFrom::Start(at * SECTOR)).map_err(on_read)?;
        file.read_exact(&mut header).map_err(on_read)?;
        if !header.starts_with(b"EFI PART") {
            continue;
        }
        let (entries, count, size) = (
            u64_at(&header, 72),
            u32_at(&header, 80),
            u32_at(&header, 84),
        );
        if count == 0 || count > MOST_ENTRIES || size != ENTRY {
            return Err(Error::Disk(format!(
                "its partition table has {count} entries of {size} bytes; up to {MOST_ENTRIES} of {ENTRY} are supported"
            )));
        }
        let len = u64::from(count) * u64::from(ENTRY);
        if entries >= sectors || (sectors - entries) * SECTOR < len {
            // Its checksum is wrong, or it is: the other copy counts.
            continue;
        }
        let mut table = vec![0; len as usize];
        file.seek(SeekFrom::Start(entries * SECTOR))
            .map_err(on_read)?;
        file.read_exact(&mut table).map_err(on_read)?;
        for (number, entry) in table.chunks(ENTRY as usize).enumerate() {
            let (first, last) = (u64_at(entry, 32), u64_at(entry, 40));
            let is_used = entry[..16] != [0; 16];
            if is_used && (first > last || last >= MOST / SECTOR) {
                let number = number + 1;
                return Err(Error::Disk(format!(
                    "partition {number} is not within the disk (sectors {first} to {last})"
                )));
            }
        }
    }
    Ok(())
}

/// A disk whose first copy of the table cannot be seen.
struct WithoutPrimary<'a, F>(&'a mut F);

impl<F: Read + Seek> Read for WithoutPrimary<'_, F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let at = self.0.stream_position()?;
        let read = self.0.read(buffer)?;
        for (offset, byte) in (at..).zip(&mut buffer[..read]) {
            if (SECTOR..2 * SECTOR).contains(&offset) {
                *byte = 0;
            }
        }
        Ok(read)
    }
}

impl<F: Seek> Seek for WithoutPrimary<'_, F> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.0.seek(to)
    }
}

/// Whether the MBR has partitions of its own, besides the one that protects the table.
fn has_own_mbr(file: &mut (impl Read + Seek)) -> Result<bool> {
    /// Of an entry that stands for the table.
    const PROTECTIVE: u8 = 0xee;
    let mut sector = [0; SECTOR as usize];
    file.seek(SeekFrom::Start(0)).map_err(on_read)?;
    file.read_exact(&mut sector).map_err(on_read)?;
    let is_mbr = sector[510..] == [0x55, 0xaa];
    let kinds = sector[446..510].chunks(16).map(|entry| entry[4]);
    let is_protective = kinds.clone().any(|kind| kind == PROTECTIVE);
    Ok(is_mbr && is_protective && kinds.filter(|&kind| kind != 0).count() > 1)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("4 bytes"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("8 bytes"))
}
