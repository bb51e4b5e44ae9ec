//! Signatures of ISO 9660 and UDF.

use std::io;

use super::source::{Source, label};
use super::{Detail, Format};
use crate::bytes::{le16, le32};

type Found = io::Result<Option<Detail>>;

/// The offset of the first descriptors of both, and the size of their sectors.
const START: u64 = 32768;
const SECTOR: u64 = 2048;

pub(super) const FORMATS: &[Format] = &[
    Format {
        kind: "udf",
        driver: Some(c"udf"),
        magic: &[(START + 1, b"BEA01"), (START + 1, b"CD001")],
        detail: udf,
    },
    Format {
        kind: "iso9660",
        driver: Some(c"iso9660"),
        magic: &[(START + 1, b"CD001")],
        detail: iso9660,
    },
];

/// The primary volume descriptor, ECMA-119 8.4.
fn iso9660(source: &mut Source<'_>) -> Found {
    for n in 0..16 {
        let Some(descriptor) = source.get(START + n * SECTOR, SECTOR as usize)? else {
            break;
        };
        if &descriptor[1..6] != b"CD001" {
            break;
        }
        if descriptor[0] == 1 {
            let blocks = u64::from(le32(&descriptor, 80));
            return Ok(Some(Detail {
                label: label(&descriptor[40..72]),
                uuid: date(&descriptor[830..846]).or_else(|| date(&descriptor[813..829])),
                size: Some(blocks * u64::from(le16(&descriptor, 128))),
                ..Detail::default()
            }));
        }
    }
    Ok(None)
}

/// "2024-01-31-12-00-00-00", from the digits of a date of ECMA-119 8.4.26.
fn date(digits: &[u8]) -> Option<String> {
    if !digits.iter().all(u8::is_ascii_digit) || digits.iter().all(|&digit| digit == b'0') {
        return None;
    }
    let digits = str::from_utf8(digits).ok()?;
    let parts = [0..4, 4..6, 6..8, 8..10, 10..12, 12..14, 14..16];
    Some(parts.map(|part| &digits[part]).join("-"))
}

/// UDF has an "NSR" descriptor among those of ISO 9660 (ECMA-167 2/8).
fn udf(source: &mut Source<'_>) -> Found {
    for n in 0..64 {
        let Some(head) = source.get(START + n * SECTOR, 6)? else {
            break;
        };
        match &head[1..] {
            b"NSR02" | b"NSR03" => return volume(source).map(Some),
            b"BEA01" | b"BOOT2" | b"CD001" | b"CDW02" | b"TEA01" => {}
            _ => break,
        }
    }
    Ok(None)
}

/// The anchor at sector 256 leads to the volume descriptors (ECMA-167 3/10). Several
/// sector sizes are tried.
fn volume(source: &mut Source<'_>) -> io::Result<Detail> {
    let mut detail = Detail::default();
    for sector in [512, 1024, 2048, 4096] {
        let anchor = source.get(256 * sector, 512)?;
        let is_anchor = |tag: &Vec<u8>| le16(tag, 0) == 2 && le32(tag, 12) == 256;
        let Some(anchor) = anchor.filter(is_anchor) else {
            continue;
        };
        let first = u64::from(le32(&anchor, 20));
        for n in 0..32 {
            let Some(descriptor) = source.get((first + n) * sector, 512)? else {
                break;
            };
            match le16(&descriptor, 0) {
                // Primary volume descriptor: volume set identifier.
                1 => detail.uuid = set_id(&dstring(&descriptor[72..200])),
                // Logical volume descriptor: its identifier.
                6 => detail.label = Some(dstring(&descriptor[84..212]).into()),
                // Terminating descriptor.
                8 => break,
                _ => {}
            }
        }
        break;
    }
    Ok(detail)
}

/// The first 16 hexadecimal digits, as blkid takes them.
fn set_id(text: &str) -> Option<String> {
    let id = text.get(..16)?;
    id.bytes()
        .all(|byte| byte.is_ascii_hexdigit())
        .then(|| id.to_ascii_lowercase())
}

/// A dstring of OSTA UDF 2.1.3: 8 or 16 bits to a character, the used length in
/// the last byte.
fn dstring(field: &[u8]) -> String {
    let Some((&used, rest)) = field.split_last() else {
        return String::new();
    };
    let text = &rest[..usize::from(used).min(rest.len())];
    match text.split_first() {
        Some((8, text)) => text.iter().map(|&byte| char::from(byte)).collect(),
        Some((16, text)) => {
            let units = text
                .chunks_exact(2)
                .map(|unit| u16::from_be_bytes([unit[0], unit[1]]));
            char::decode_utf16(units)
                .map(|char| char.unwrap_or(char::REPLACEMENT_CHARACTER))
                .collect()
        }
        _ => String::new(),
    }
}
