//! Filesystems of Windows: FAT, exFAT, NTFS.

use std::io;

use super::source::{Source, label, serial};
use super::{Detail, Format};
use crate::bytes::{le16, le32, le64, utf16};

type Found = io::Result<Option<Detail>>;

pub(super) const FORMATS: &[Format] = &[
    Format {
        kind: "ntfs",
        driver: Some(c"ntfs3"),
        magic: &[(3, b"NTFS    ")],
        detail: ntfs,
    },
    Format {
        kind: "exfat",
        driver: Some(c"exfat"),
        magic: &[(3, b"EXFAT   ")],
        detail: exfat,
    },
    Format {
        kind: "vfat",
        driver: Some(c"vfat"),
        magic: &[(510, b"\x55\xaa")],
        detail: fat,
    },
];

/// The boot sector of Microsoft's FAT specification. It has no magic number, so all
/// fields are checked (as in fs/fat/inode.c).
fn fat(source: &mut Source<'_>) -> Found {
    let Some(boot) = source.get(0, 512)? else {
        return Ok(None);
    };
    let sector = le16(&boot, 11);
    let sane = matches!(sector, 512 | 1024 | 2048 | 4096)
        && boot[13].is_power_of_two()
        && le16(&boot, 14) > 0
        && matches!(boot[16], 1 | 2)
        && (boot[21] == 0xf0 || boot[21] >= 0xf8);
    let sectors = match le16(&boot, 19) {
        0 => le32(&boot, 32),
        few => few.into(),
    };
    // FAT32 has no 16-bit size of the table, and its fields are further back.
    let at = if le16(&boot, 22) == 0 { 67 } else { 39 };
    // 0x28 and 0x29 say that a serial number follows.
    let signed = matches!(boot[at - 1], 0x28 | 0x29);
    let label = label(&boot[at + 4..at + 15]).filter(|label| label.text != "NO NAME");
    Ok((sane && sectors > 0).then(|| Detail {
        label: label.filter(|_| signed),
        uuid: serial(le32(&boot, at)).filter(|_| signed),
        size: Some(u64::from(sectors) * u64::from(sector)),
        ..Detail::default()
    }))
}

/// Microsoft's exFAT specification, sections 3.1 and 7.3.
fn exfat(source: &mut Source<'_>) -> Found {
    let Some(boot) = source.get(0, 512)? else {
        return Ok(None);
    };
    let (sector, cluster) = (boot[108], boot[109]);
    if !matches!(sector, 9..=12) || cluster > 25 - sector {
        return Ok(None);
    }
    // The label is an entry of the root directory, near its start.
    let root =
        u64::from(le32(&boot, 88)) + (u64::from(le32(&boot, 96)).saturating_sub(2) << cluster);
    let root = source.get(root << sector, 1 << (sector + cluster).min(16))?;
    let label = root.and_then(|root| {
        let entry = root.chunks_exact(32).find(|entry| entry[0] == 0x83)?;
        let len = usize::from(entry[1]).min(11);
        Some(utf16(&entry[2..2 + 2 * len]).into())
    });
    Ok(Some(Detail {
        label,
        uuid: serial(le32(&boot, 100)),
        size: le64(&boot, 72).checked_mul(1 << sector),
        ..Detail::default()
    }))
}

/// fs/ntfs3/ntfs.h: `struct NTFS_BOOT`.
fn ntfs(source: &mut Source<'_>) -> Found {
    let Some(boot) = source.get(0, 512)? else {
        return Ok(None);
    };
    let sector = u64::from(le16(&boot, 11));
    if !matches!(sector, 256..=4096) {
        return Ok(None);
    }
    Ok(Some(Detail {
        label: ntfs_label(source, &boot, sector)?.map(Into::into),
        uuid: Some(format!("{:016X}", le64(&boot, 72))),
        size: le64(&boot, 40).checked_mul(sector),
        ..Detail::default()
    }))
}

/// The attribute $VOLUME_NAME (0x60) of file record 3.
fn ntfs_label(source: &mut Source<'_>, boot: &[u8], sector: u64) -> io::Result<Option<String>> {
    // Above 0x80, a negative power of two (of sectors, of bytes).
    let cluster = match boot[13] {
        per @ 0..=0x80 => sector * u64::from(per),
        power => sector << (256 - u32::from(power)).min(20),
    };
    let record = match boot[64] {
        per @ 0..=0x7f => u64::from(per) * cluster,
        power => 1 << (256 - u32::from(power)).min(63),
    };
    let offset = le64(boot, 48)
        .checked_mul(cluster)
        .and_then(|table| table.checked_add(record.checked_mul(3)?));
    let (Some(offset), 512..=65536) = (offset, record) else {
        return Ok(None);
    };
    let record = source.get(offset, record as usize)?;
    Ok(record
        .filter(|record| record.starts_with(b"FILE"))
        .and_then(|record| volume_name(&record)))
}

fn volume_name(record: &[u8]) -> Option<String> {
    let mut at = usize::from(le16(record, 20));
    // Attributes are ordered by type and end with 0xffffffff.
    loop {
        let attribute = record.get(at..).filter(|rest| rest.len() >= 24)?;
        let len = le32(attribute, 4) as usize;
        match le32(attribute, 0) {
            0x60 if attribute[8] == 0 => {
                let (len, start) = (
                    le32(attribute, 16) as usize,
                    usize::from(le16(attribute, 20)),
                );
                return attribute.get(start..start.checked_add(len)?).map(utf16);
            }
            0xffff_ffff => return None,
            _ if len < 24 => return None,
            _ => at = at.checked_add(len)?,
        }
    }
}
