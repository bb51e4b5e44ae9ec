//! [`Table`]: reads partition tables: MBR, and GPT, also from its backup.
//!
//! The kernel reads them too, and makes the partitions. This module adds types, names and
//! UUIDs; partitions beyond the end of a truncated disk; and the backup of a GPT whose
//! first copy is damaged, which the kernel reads only if its command line has `gpt`.
//!
//! No published crate is used: their readers allocate as much as a header says, and
//! follow a looping chain of extended boot records for ever, but images here may be
//! hostile.

mod dos;
mod gpt;
mod types;

use std::io::{Read, Seek, SeekFrom};

use crate::bytes::maybe_bytes_at;
use crate::probe::probe;
use crate::{Error, Result};
pub use gpt::Flaw;

/// Bytes of an MBR, also on disks with larger sectors.
const MBR: usize = 512;

/// A partition's type, name and UUID in its table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PartitionInfo {
    /// "gpt" or "dos".
    pub table: &'static str,
    /// The type: a UUID in a GPT, "0x83" in an MBR.
    pub kind: String,
    /// The name of the type, if it is a common one.
    pub kind_name: Option<&'static str>,
    /// The name in a GPT.
    pub name: Option<String>,
    /// The partition's UUID; for an MBR, disk identifier and number, as Linux's
    /// `PARTUUID`.
    pub uuid: Option<String>,
}

/// A partition in a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Counted from 1.
    pub number: u32,
    /// Bytes from the start of the disk.
    pub start: u64,
    /// Its end in bytes, which may be behind the end of the disk.
    pub end: u64,
    /// Whether it only contains others: an extended partition of an MBR.
    pub is_container: bool,
    /// Type, name and UUID.
    pub info: PartitionInfo,
}

/// A partition table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// The partitions, by number.
    pub entries: Vec<Entry>,
    /// The damage for which the kernel does not read the table, if there is any.
    pub damage: Option<Damage>,
}

/// The damage of a GPT that can still be read.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Damage {
    /// The first copy is damaged; the table is that of the backup.
    Primary(Flaw),
    /// The protective MBR is damaged.
    ProtectiveMbr,
    /// The table is intact, but describes a larger disk.
    CutShort {
        /// The end of the disk, in bytes.
        ends_at: u64,
        /// The end of the disk according to the table, in bytes.
        needs: u64,
    },
}

impl std::fmt::Display for Damage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Damage::Primary(flaw) => write!(
                f,
                "the GPT at the start of the disk is damaged ({flaw}); \
                 its backup at the end of the disk is used"
            ),
            Damage::ProtectiveMbr => f.write_str(
                "the protective MBR of the GPT, in the first sector of the disk, is damaged; \
                 the GPT is used",
            ),
            Damage::CutShort { ends_at, needs } => write!(
                f,
                "the disk ends at byte {ends_at}, by its GPT at {needs}: it was cut short; \
                 only partitions that are all there are used"
            ),
        }
    }
}

impl Table {
    /// Reads the table of a disk with blocks of `block_size` bytes. `None`: there is no
    /// GPT or MBR.
    ///
    /// # Errors
    ///
    /// [`Error::Damaged`]: both copies of a GPT are invalid.
    pub fn read<R: Read + Seek>(disk: &mut R, block_size: u64) -> Result<Option<Table>> {
        let mbr = maybe_bytes_at(disk, 0, MBR)?;
        let Some(mbr) = mbr.filter(|mbr| mbr[510..] == [0x55, 0xaa]) else {
            return without_mbr(disk, block_size);
        };
        // The kernel takes it for a GPT's, or for none.
        if let Some(protective) = dos::protective(&mbr) {
            return with_backup(disk, block_size, protective.last).map(Some);
        }
        Ok(Some(Table {
            entries: dos::entries(disk, block_size, &mbr)?,
            damage: None,
        }))
    }

    /// The partition of this number.
    pub fn find(&self, number: u32) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.number == number)
    }

    /// The first partition that ends behind a disk of `size` bytes.
    pub fn beyond(&self, size: u64) -> Option<&Entry> {
        // Type 0 is that of no partition; the kernel makes one all the same.
        let counts = |entry: &&Entry| !entry.is_container && entry.info.kind != "0x00";
        self.entries
            .iter()
            .filter(counts)
            .find(|entry| entry.end > size)
    }
}

/// The GPT of a disk with a protective MBR, which gives `last` as the last block.
fn with_backup<R: Read + Seek>(disk: &mut R, block_size: u64, last: u64) -> Result<Table> {
    let primary = match gpt::read(disk, block_size, 1)? {
        Ok(copy) => return Table::of_primary(disk, copy),
        Err(flaw) => flaw,
    };
    match gpt::backup(disk, block_size, Some(last))? {
        Ok(copy) => Ok(Table {
            entries: copy.entries,
            damage: Some(Damage::Primary(primary)),
        }),
        Err(backup) => Err(Error::Damaged {
            what: "GPT",
            why: format!("at the start of the disk: {primary}; its backup at the end: {backup}"),
        }),
    }
}

/// A GPT without its protective MBR, unless the disk has other known content.
fn without_mbr<R: Read + Seek>(disk: &mut R, block_size: u64) -> Result<Option<Table>> {
    if probe(disk)?.is_some() {
        return Ok(None);
    }
    let (entries, damage) = match gpt::read(disk, block_size, 1)? {
        Ok(copy) => (copy.entries, Damage::ProtectiveMbr),
        Err(flaw) => match gpt::backup(disk, block_size, None)? {
            Ok(copy) => (copy.entries, Damage::Primary(flaw)),
            Err(_) => return Ok(None),
        },
    };
    let damage = Some(damage);
    Ok(Some(Table { entries, damage }))
}

impl Table {
    /// The table of a valid first copy. The kernel rejects it if the disk is shorter than
    /// the table says, which is noted as damage.
    fn of_primary<R: Seek>(disk: &mut R, copy: gpt::Copy) -> Result<Table> {
        let ends_at = disk.seek(SeekFrom::End(0))?;
        let damage = (copy.usable_end > ends_at).then_some(Damage::CutShort {
            ends_at,
            needs: copy.disk_end,
        });
        Ok(Table {
            entries: copy.entries,
            damage,
        })
    }
}

#[cfg(test)]
mod tests;
