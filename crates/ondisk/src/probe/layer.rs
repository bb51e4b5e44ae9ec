//! What lies under filesystems: encryption, volume managers, RAID.

use std::io;

use super::source::{Source, be16, le32, le64, text, uuid};
use super::{Detail, Format};

type Found = io::Result<Option<Detail>>;

pub(super) const FORMATS: &[Format] = &[
    Format {
        kind: "linux_raid_member",
        driver: None,
        magic: &[],
        detail: md,
    },
    Format {
        kind: "LVM2_member",
        driver: None,
        magic: &[
            (0, b"LABELONE"),
            (512, b"LABELONE"),
            (1024, b"LABELONE"),
            (1536, b"LABELONE"),
        ],
        detail: lvm,
    },
    Format {
        kind: "crypto_LUKS",
        driver: None,
        magic: &[(0, b"LUKS\xba\xbe")],
        detail: luks,
    },
];

const MD_MAGIC: u32 = 0xa92b_4efc;

/// include/uapi/linux/raid/md_p.h; a superblock of version 1 is at the start
/// (1.1), after 4 KiB (1.2) or at the end (1.0), one of version 0.90 at the end.
fn md(source: &mut Source<'_>) -> Found {
    let size = source.size();
    let near_end = (size / 512).saturating_sub(16) & !7;
    for offset in [0, 4096, near_end * 512] {
        let Some(sb) = source.get(offset, 256)? else {
            continue;
        };
        let own_place = le64(&sb, 144).checked_mul(512) == Some(offset);
        if le32(&sb, 0) == MD_MAGIC && le32(&sb, 4) == 1 && own_place {
            return Ok(Some(Detail {
                label: text(&sb[32..64]),
                uuid: uuid(&sb, 16),
                ..Detail::default()
            }));
        }
    }
    let last_64k = (size & !0xffff).saturating_sub(0x10000);
    let sb = source.get(last_64k, 128)?;
    let sb = sb.filter(|sb| le32(sb, 0) == MD_MAGIC && le32(sb, 4) == 0);
    Ok(sb.map(|sb| {
        // Its four words are in the order of the machine that wrote them.
        let mut bytes = [0; 16];
        for (n, at) in [20, 52, 56, 60].into_iter().enumerate() {
            bytes[4 * n..][..4].copy_from_slice(&le32(&sb, at).to_be_bytes());
        }
        Detail {
            uuid: uuid(&bytes, 0),
            ..Detail::default()
        }
    }))
}

/// The label and the header it points to, as lvm2 writes them (pvck(8)).
fn lvm(source: &mut Source<'_>) -> Found {
    for sector in 0..4 {
        let Some(label) = source.get(sector * 512, 512)? else {
            break;
        };
        let header = le32(&label, 20) as usize;
        let is_label = label.starts_with(b"LABELONE") && &label[24..32] == b"LVM2 001";
        let Some(header) = label
            .get(header..header.saturating_add(40))
            .filter(|_| is_label)
        else {
            continue;
        };
        let id = String::from_utf8_lossy(&header[..32]).into_owned();
        let uuid = [0..6, 6..10, 10..14, 14..18, 18..22, 22..26, 26..32]
            .map(|part| id.get(part).unwrap_or_default())
            .join("-");
        return Ok(Some(Detail {
            uuid: Some(uuid),
            size: Some(le64(header, 32)),
            ..Detail::default()
        }));
    }
    Ok(None)
}

/// The LUKS1 and LUKS2 on-disk formats; big-endian.
fn luks(source: &mut Source<'_>) -> Found {
    let Some(header) = source.get(0, 512)? else {
        return Ok(None);
    };
    let version = be16(&header, 6);
    Ok(matches!(version, 1 | 2).then(|| Detail {
        label: text(&header[24..72]).filter(|_| version == 2),
        uuid: text(&header[168..208]),
        ..Detail::default()
    }))
}
