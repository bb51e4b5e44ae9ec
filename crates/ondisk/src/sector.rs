//! Detects images of disks with sectors of 4096 bytes ("4Kn"), by their partition table.
//!
//! Partition tables count in sectors. Filesystems have their own block size, and the
//! kernel mounts them on smaller sectors too.

use std::io::{Read, Seek, SeekFrom};

use crate::Result;
use crate::bytes::{bytes_at, le32, le64};
use crate::part::Part;
use crate::probe;
use crate::table::Table;

const SMALL: u64 = 512;
const LARGE: u64 = 4096;

/// The logical block size of an image in bytes, if its partition table shows that it is
/// not 512.
pub fn detect<R: Read + Seek>(disk: &mut R) -> Result<Option<u32>> {
    let size = disk.seek(SeekFrom::End(0))?;
    if size < 2 * LARGE {
        return Ok(None);
    }
    let head = bytes_at(disk, 0, 2 * LARGE as usize)?;
    let first = |sector: u64| is_gpt(&head[sector as usize..], 1);
    let large = match (first(SMALL), first(LARGE)) {
        (true, _) => false,
        (false, true) => true,
        (false, false) if head[510..512] != [0x55, 0xaa] => false,
        (false, false) => is_large_backup(disk, size)? || is_large_mbr(disk, size)?,
    };
    Ok(large.then_some(LARGE as u32))
}

/// Whether `header` is the header of a GPT in block `at`.
fn is_gpt(header: &[u8], at: u64) -> bool {
    header.starts_with(b"EFI PART") && le64(header, 24) == at && le32(header, 12) >= 92
}

/// Whether the disk's last sector of 4096 bytes has the header of a backup GPT.
fn is_large_backup<R: Read + Seek>(disk: &mut R, size: u64) -> Result<bool> {
    let block = bytes_at(disk, size - LARGE, 92)?;
    Ok(size.is_multiple_of(LARGE) && is_gpt(&block, size / LARGE - 1))
}

/// Whether an MBR is of a disk with 4096-byte sectors. The MBR itself does not tell: it
/// is if the partitions have known content only when counted in sectors of 4096 bytes,
/// not of 512.
fn is_large_mbr<R: Read + Seek>(disk: &mut R, size: u64) -> Result<bool> {
    // A boot sector of a filesystem looks like an MBR.
    if probe::probe(disk)?.is_some() {
        return Ok(false);
    }
    let mut known = |sector: u64| -> Result<usize> {
        let table = match Table::read(disk, sector) {
            Err(crate::Error::Damaged { .. }) => None,
            table => table?,
        };
        let mut known = 0;
        for entry in table.map(|table| table.entries).unwrap_or_default() {
            let whole = !entry.is_container && entry.end <= size;
            if whole && probe::probe(&mut Part::new(disk, entry.start, entry.end)?)?.is_some() {
                known += 1;
            }
        }
        Ok(known)
    };
    Ok(known(SMALL)? == 0 && known(LARGE)? > 0)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    /// A disk with a partition of swap from byte 65536 on, in sectors of `sector`
    /// bytes.
    fn dos(sector: u32) -> Vec<u8> {
        let mut image = vec![0; 1 << 20];
        image[446 + 4] = 0x82;
        image[446 + 8..][..4].copy_from_slice(&(65536 / sector).to_le_bytes());
        image[446 + 12..][..4].copy_from_slice(&(65536 / sector).to_le_bytes());
        image[510..512].copy_from_slice(&[0x55, 0xaa]);
        image[65536 + 4086..][..10].copy_from_slice(b"SWAPSPACE2");
        image
    }

    fn gpt(at: usize) -> Vec<u8> {
        let mut image = vec![0; 1 << 20];
        image[at..at + 8].copy_from_slice(b"EFI PART");
        image[at + 12] = 92;
        image[at + 24] = 1;
        image
    }

    fn detected(image: &[u8]) -> Option<u32> {
        detect(&mut Cursor::new(image)).expect("a cursor reads")
    }

    #[test]
    fn tables_tell() {
        assert_eq!(detected(&gpt(4096)), Some(4096));
        assert_eq!(detected(&gpt(512)), None);
        // A backup, or what was there before.
        let both = gpt(512)
            .iter()
            .zip(gpt(4096))
            .map(|(a, b)| a | b)
            .collect::<Vec<_>>();
        assert_eq!(detected(&both), None);
        // The first copy is damaged, the backup is not.
        let mut backup = vec![0; 1 << 20];
        backup[510..512].copy_from_slice(&[0x55, 0xaa]);
        let last = backup.len() - 4096;
        backup[last..last + 32].copy_from_slice(&gpt(0)[..32]);
        backup[last + 24..][..8].copy_from_slice(&255_u64.to_le_bytes());
        assert_eq!(detected(&backup), Some(4096));
        backup[last + 24] = 254;
        assert_eq!(detected(&backup), None);
        assert_eq!(detected(&dos(4096)), Some(4096));
        assert_eq!(detected(&dos(512)), None);
        assert_eq!(detected(&[0; 1 << 20]), None);
        assert_eq!(detected(&[0; 512]), None);
    }
}
