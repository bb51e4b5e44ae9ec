//! New MBRs: up to four partitions on the first 2 TiB of a disk.

use std::io::{self, Read, Seek, SeekFrom, Write};

use mbrman::{BOOT_ACTIVE, BOOT_INACTIVE, CHS, MBRHeader, MBRPartitionEntry};
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::partition::Partition;
use crate::types::PartitionType;

/// Partitions that it has room for.
pub(crate) const MOST: u32 = 4;
/// Bytes of a sector.
const SECTOR: u64 = 512;
/// The attribute of a partition that a BIOS boots from.
const BOOTABLE: u64 = 1 << 2;
/// Heads and sectors of the geometry that all tools assume.
const GEOMETRY: (u8, u8) = (255, 63);
/// Cylinders that an entry has room for.
const CYLINDERS: u32 = 1024;

/// A new MBR.
#[derive(Debug)]
pub(crate) struct Mbr {
    id: u32,
    /// Bytes of the disk.
    size: u64,
}

impl Mbr {
    /// For a disk of `size` bytes. Its identifier is the beginning of `uuid`.
    pub(crate) fn new(uuid: Uuid, size: u64) -> Mbr {
        Mbr {
            id: uuid.as_fields().0,
            size,
        }
    }

    pub(crate) fn id(&self) -> u32 {
        self.id
    }

    pub(crate) fn grow(&mut self, size: u64) {
        self.size = size;
    }

    /// Where the last partition ends at the latest, in bytes.
    pub(crate) fn end(&self) -> u64 {
        let sectors = self.size / SECTOR;
        sectors.min(u32::MAX.into()) * SECTOR
    }

    pub(crate) fn write(
        &self,
        file: &mut (impl Read + Write + Seek),
        partitions: &[Partition],
        sync: impl Fn() -> io::Result<()>,
    ) -> Result<()> {
        let mut header = MBRHeader::new(self.id.to_le_bytes());
        for partition in partitions {
            let entry = header.get_mut(partition.number as usize);
            let entry = entry.ok_or_else(|| {
                Error::Disk(format!("an MBR has no partition {}", partition.number))
            })?;
            *entry = entry_of(partition)?;
        }
        let mut sector = io::Cursor::new(Vec::new());
        let made = header.write_into(&mut sector);
        made.map_err(|cause| Error::Disk(format!("its MBR cannot be made: {cause}")))?;
        let on_write = |cause: io::Error| Error::Table {
            operation: "write",
            cause: gptman::Error::Io(cause),
        };
        // An older table of the other kind would go before this one.
        let last = (self.size / SECTOR).saturating_sub(1) * SECTOR;
        for at in [SECTOR, last] {
            clear_header(file, at).map_err(on_write)?;
        }
        file.seek(SeekFrom::Start(0)).map_err(on_write)?;
        file.write_all(sector.get_ref()).map_err(on_write)?;
        sync().map_err(on_write)
    }
}

/// Overwrites the header of a GUID partition table, if there is one.
fn clear_header(file: &mut (impl Read + Write + Seek), at: u64) -> io::Result<()> {
    let mut sector = [0; SECTOR as usize];
    file.seek(SeekFrom::Start(at))?;
    file.read_exact(&mut sector)?;
    if sector.starts_with(b"EFI PART") {
        file.seek(SeekFrom::Start(at))?;
        file.write_all(&[0; SECTOR as usize])?;
    }
    Ok(())
}

fn entry_of(partition: &Partition) -> Result<MBRPartitionEntry> {
    let kind = PartitionType::of(partition.kind);
    let sys = kind.mbr_type().ok_or_else(|| {
        Error::Disk(format!(
            "an MBR has no partition type for {}; linux-generic does for Linux",
            partition.kind
        ))
    })?;
    let sectors = |bytes: u64| {
        u32::try_from(bytes / SECTOR)
            .map_err(|_| Error::Disk("a partition is beyond the 2 TiB of an MBR".to_owned()))
    };
    let first = sectors(partition.start)?;
    let count = sectors(partition.size)?;
    Ok(MBRPartitionEntry {
        boot: match partition.flags & BOOTABLE {
            0 => BOOT_INACTIVE,
            _ => BOOT_ACTIVE,
        },
        first_chs: chs(first),
        sys,
        last_chs: chs(first.saturating_add(count - 1)),
        starting_lba: first,
        sectors: count,
    })
}

/// The cylinder, head and sector of a sector; the last ones, if there is no room for it.
fn chs(sector: u32) -> CHS {
    let (heads, sectors) = GEOMETRY;
    let (per_head, per_cylinder) = (u32::from(sectors), u32::from(heads) * u32::from(sectors));
    let cylinder = sector / per_cylinder;
    if cylinder >= CYLINDERS {
        return CHS::new(1023, heads - 1, sectors);
    }
    let head = sector % per_cylinder / per_head;
    CHS::new(cylinder as u16, head as u8, (sector % per_head + 1) as u8)
}
