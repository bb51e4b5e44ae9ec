//! A disk's partition table: what is there, and what is written.

use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;

use gptman::{GPT, GPTPartitionEntry};
use uuid::Uuid;

use crate::error::{Error, Result};

/// Where the first partition of a new table begins at the earliest, in bytes, as the
/// tools of util-linux have it.
const FIRST: u64 = 1 << 20;

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

/// A disk with a GUID partition table.
#[derive(Debug)]
pub struct Disk {
    /// Bytes that partitions may occupy.
    pub usable: Range<u64>,
    /// Those that there are.
    pub partitions: Vec<Partition>,
    gpt: GPT,
    is_new: bool,
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
        Ok(Disk::of(gpt, true))
    }

    /// The table of `file`, with sectors of 512 bytes; `None`: it has none. If the file
    /// has grown behind it, the room is usable.
    ///
    /// # Errors
    ///
    /// [`Error::Table`] for one that is damaged: both copies of it. [`Error::Disk`] for
    /// a disk that is too small, and a table with other entries than all tools make.
    pub fn read(file: &mut (impl Read + Seek)) -> Result<Option<Disk>> {
        check_size(file)?;
        check_entries(file)?;
        let mut gpt = match GPT::read_from(file, SECTOR) {
            Err(gptman::Error::InvalidSignature) => return Ok(None),
            gpt => gpt.map_err(reading)?,
        };
        let first = gpt.header.first_usable_lba;
        gpt.header.update_from(file, SECTOR).map_err(reading)?;
        gpt.header.first_usable_lba = first;
        Ok(Some(Disk::of(gpt, false)))
    }

    fn of(gpt: GPT, is_new: bool) -> Disk {
        let partitions = gpt
            .iter()
            .filter(|(_, entry)| entry.is_used())
            .map(|(number, entry)| Partition {
                number,
                start: entry.starting_lba.saturating_mul(SECTOR),
                size: (entry.ending_lba + 1).saturating_sub(entry.starting_lba) * SECTOR,
                kind: Uuid::from_bytes_le(entry.partition_type_guid),
                uuid: Uuid::from_bytes_le(entry.unique_partition_guid),
                label: entry.partition_name.as_str().to_owned(),
                flags: entry.attribute_bits,
            })
            .collect();
        Disk {
            usable: gpt.header.first_usable_lba * SECTOR..(gpt.header.last_usable_lba + 1) * SECTOR,
            partitions,
            gpt,
            is_new,
        }
    }

    /// Writes the table with `partitions`, then its copy at the end of the disk. Each
    /// has a checksum, so that one of the two is whole at any moment.
    ///
    /// # Errors
    ///
    /// [`Error::Table`]; the disk then has the old table, or both copies differ.
    pub fn write(
        mut self,
        file: &mut (impl Read + Write + Seek),
        partitions: &[Partition],
    ) -> Result<()> {
        for partition in partitions {
            self.gpt[partition.number] = GPTPartitionEntry {
                partition_type_guid: partition.kind.to_bytes_le(),
                unique_partition_guid: partition.uuid.to_bytes_le(),
                starting_lba: partition.start / SECTOR,
                ending_lba: (partition.start + partition.size) / SECTOR - 1,
                attribute_bits: partition.flags,
                partition_name: partition.label.as_str().into(),
            };
        }
        if self.is_new {
            GPT::write_protective_mbr_into(file, SECTOR).map_err(writing)?;
        }
        self.gpt.write_into(file).map_err(writing)?;
        Ok(())
    }
}

/// Bytes of a sector of an image.
const SECTOR: u64 = 512;
/// Bytes of an entry in a table, and how many a table has at most.
const ENTRY: u32 = 128;
const MOST_ENTRIES: u32 = 1024;

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

/// Whether there is room for both copies of a table, and something between them.
fn check_size(file: &mut (impl Read + Seek)) -> Result<()> {
    let size = file.seek(SeekFrom::End(0)).map_err(on_read)?;
    match size < 2 * FIRST {
        true => Err(Error::Disk(format!(
            "it has {size} bytes; at least {} are needed",
            2 * FIRST
        ))),
        false => Ok(()),
    }
}

/// The entries of a table have 128 bytes, and there are some hundred at most.
fn check_entries(file: &mut (impl Read + Seek)) -> Result<()> {
    let mut header = [0; 92];
    let end = file.seek(SeekFrom::End(0)).map_err(on_read)? / SECTOR - 1;
    for at in [1, end] {
        file.seek(SeekFrom::Start(at * SECTOR)).map_err(on_read)?;
        file.read_exact(&mut header).map_err(on_read)?;
        let field = |at: usize| u32::from_le_bytes(header[at..at + 4].try_into().expect("4 bytes"));
        let (count, size) = (field(80), field(84));
        if header.starts_with(b"EFI PART") && (count == 0 || count > MOST_ENTRIES || size != ENTRY)
        {
            return Err(Error::Disk(format!(
                "its partition table has {count} entries of {size} bytes; up to {MOST_ENTRIES} of {ENTRY} are supported"
            )));
        }
    }
    Ok(())
}
