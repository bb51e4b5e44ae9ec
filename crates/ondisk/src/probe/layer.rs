//! Signatures of LUKS, LVM physical volumes and md members.

use std::io;

use super::source::{Source, label, text, uuid};
use super::{Detail, Format};
use crate::bytes::{be16, le32, le64};
use crate::md::Member;

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

/// The superblock of an md member, read by [`md`](crate::md).
fn md(source: &mut Source<'_>) -> Found {
    let member = Member::find(source.size(), &mut |offset, len| source.get(offset, len))?;
    Ok(member.map(|member| Detail {
        label: Some(member.full_name.into()),
        uuid: uuid(&member.array, 0),
        ..Detail::default()
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
        label: label(&header[24..72]).filter(|_| version == 2),
        uuid: text(&header[168..208]),
        ..Detail::default()
    }))
}
