//! The header of LUKS2: two copies of a binary header, each followed by JSON.

use std::collections::BTreeMap;
use std::io::{Read, Seek};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Deserializer};

use super::{Area, Digest, Hash, Kdf, Luks, MAX_SLOTS, Segment, Slot, damaged};
use crate::bytes::{be16, be64, bytes_at, maybe_bytes_at, text};
use crate::{Error, Result};

/// Bytes of the binary header.
const BINARY: usize = 4096;
/// Limit in bytes of the binary header and its JSON.
const MAX_HEADER: u64 = 4 << 20;
/// Offsets at which the second header may be: the sizes that the first one may have.
const SECOND: [u64; 9] = [
    0x4000, 0x8000, 0x10000, 0x20000, 0x40000, 0x80000, 0x100000, 0x200000, 0x400000,
];
/// Limit of a key derivation's memory in KiB, as in cryptsetup.
const MAX_MEMORY: u32 = 4 << 20;

#[derive(Deserialize)]
struct Json {
    #[serde(default)]
    keyslots: BTreeMap<String, JsonSlot>,
    segments: BTreeMap<String, JsonSegment>,
    digests: BTreeMap<String, JsonDigest>,
    config: JsonConfig,
}

#[derive(Deserialize)]
struct JsonSlot {
    r#type: String,
    key_size: usize,
    af: JsonSplit,
    area: JsonArea,
    kdf: JsonKdf,
    /// 0: only tried if requested; 2: tried first.
    priority: Option<u32>,
}

#[derive(Deserialize)]
struct JsonSplit {
    stripes: u64,
    hash: String,
}

#[derive(Deserialize)]
struct JsonArea {
    #[serde(deserialize_with = "number")]
    offset: u64,
    #[serde(deserialize_with = "number")]
    size: u64,
    encryption: String,
    key_size: usize,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum JsonKdf {
    Pbkdf2 {
        hash: String,
        iterations: u32,
        salt: String,
    },
    Argon2i {
        time: u32,
        memory: u32,
        cpus: u32,
        salt: String,
    },
    Argon2id {
        time: u32,
        memory: u32,
        cpus: u32,
        salt: String,
    },
}

#[derive(Deserialize)]
struct JsonSegment {
    r#type: String,
    #[serde(deserialize_with = "number")]
    offset: u64,
    /// "dynamic" or a number.
    size: String,
    #[serde(default, deserialize_with = "number")]
    iv_tweak: u64,
    #[serde(default)]
    encryption: String,
    #[serde(default)]
    sector_size: u32,
    integrity: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct JsonDigest {
    r#type: String,
    keyslots: Vec<String>,
    segments: Vec<String>,
    hash: String,
    iterations: u32,
    salt: String,
    digest: String,
}

#[derive(Deserialize)]
struct JsonConfig {
    #[serde(default)]
    flags: Vec<String>,
    requirements: Option<JsonRequirements>,
}

#[derive(Deserialize)]
struct JsonRequirements {
    #[serde(default)]
    mandatory: Vec<String>,
}

/// Parses a 64-bit number, which is a string in this JSON.
fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(serde::de::Error::custom)
}

fn base64(text: &str) -> Result<Vec<u8>> {
    let decoded = BASE64_STANDARD.decode(text);
    decoded.map_err(|error| damaged(error.to_string()))
}

pub(super) fn read<R: Read + Seek>(reader: &mut R) -> Result<Luks> {
    let first = header(reader, 0, b"LUKS\xba\xbe");
    let mut newest = first.as_ref().ok().map(|(sequence, ..)| *sequence);
    let mut result = first;
    // Only a damaged first header has the whole device searched.
    let places: Vec<u64> = match &result {
        Ok((_, size, ..)) => vec![*size],
        Err(_) => SECOND.to_vec(),
    };
    for offset in places {
        if let Ok(second) = header(reader, offset, b"SKUL\xba\xbe")
            && newest.is_none_or(|newest| second.0 > newest)
        {
            newest = Some(second.0);
            result = Ok(second);
        }
    }
    let (_, _, uuid, json) = result?;
    luks(uuid, json)
}

/// A header with this JSON. For fuzz targets.
#[cfg(feature = "fuzzing")]
pub(crate) fn from_json(json: &str) -> Result<Luks> {
    let json = serde_json::from_str(json).map_err(|error| damaged(error.to_string()))?;
    luks(String::new(), json)
}

/// Corrects the checksums of both headers. For fuzz targets.
#[cfg(feature = "fuzzing")]
pub(crate) fn mend(disk: &mut [u8]) {
    for offset in [0].into_iter().chain(SECOND) {
        let Some(rest) = disk.get_mut(offset as usize..) else {
            break;
        };
        if rest.len() < BINARY || &rest[4..8] != b"\xba\xbe\0\x02" {
            continue;
        }
        let (size, hash) = (be64(rest, 8) as usize, Hash::named(&text(&rest[72..104])));
        let header = rest.get_mut(..size).filter(|header| header.len() > BINARY);
        let (Some(header), Ok(hash)) = (header, hash) else {
            continue;
        };
        header[448..512].fill(0);
        let sum = hash.digest(header);
        header[448..448 + sum.len()].copy_from_slice(&sum);
    }
}

/// Reads one of the two headers: sequence number, size, UUID and JSON.
fn header<R: Read + Seek>(
    reader: &mut R,
    offset: u64,
    magic: &[u8],
) -> Result<(u64, u64, String, Json)> {
    let binary = maybe_bytes_at(reader, offset, BINARY)?;
    let binary = binary.filter(|binary| binary.starts_with(magic) && be16(binary, 6) == 2);
    let binary = binary.ok_or_else(|| damaged("there is none"))?;
    let size = be64(&binary, 8);
    if !(BINARY as u64 + 1..=MAX_HEADER).contains(&size) || be64(&binary, 256) != offset {
        return Err(damaged("its size is invalid"));
    }
    let mut all = bytes_at(reader, offset, size as usize)?;
    let hash = Hash::named(&text(&binary[72..104]))?;
    let sum = &binary[448..512];
    all[448..512].fill(0);
    if !sum.starts_with(&hash.digest(&all)) {
        return Err(damaged("its checksum is wrong"));
    }
    let json = text(&all[BINARY..]);
    let json = serde_json::from_str(&json).map_err(|error| damaged(error.to_string()))?;
    Ok((be64(&binary, 16), size, text(&binary[168..208]), json))
}

fn luks(uuid: String, json: Json) -> Result<Luks> {
    let mandatory = json.config.requirements.map(|needed| needed.mandatory);
    if let Some(needed) = mandatory.unwrap_or_default().first() {
        return Err(Error::Unsupported(format!(
            "the LUKS2 requirement {needed:?}"
        )));
    }
    let most = json.keyslots.len().max(json.digests.len());
    if most > MAX_SLOTS {
        return Err(damaged(format!(
            "it has {most} key slots or digests, of at most {MAX_SLOTS}"
        )));
    }
    // More than one while it is being encrypted anew.
    let (segment_id, segment) = match json.segments.len() {
        1 => json.segments.into_iter().next(),
        _ => None,
    }
    .ok_or_else(|| Error::Unsupported("LUKS2 with more than one segment".into()))?;
    let mut slots = Vec::new();
    for (id, slot) in json.keyslots {
        // "reencrypt" and the like have no passphrase.
        if slot.r#type == "luks2" {
            let id = id
                .parse()
                .map_err(|_| damaged("a key slot has no number"))?;
            let priority = slot.priority.unwrap_or(1);
            slots.push((priority, self::slot(id, slot)?));
        }
    }
    slots.sort_by_key(|(priority, slot)| (std::cmp::Reverse(*priority), slot.id));
    let digests = json.digests.into_values();
    let digests = digests.filter(|digest| digest.segments.contains(&segment_id));
    Ok(Luks {
        version: 2,
        uuid,
        slots: slots.into_iter().map(|(_, slot)| slot).collect(),
        digests: digests.map(digest).collect::<Result<_>>()?,
        segment: self::segment(segment, &json.config.flags)?,
    })
}

fn slot(id: u32, slot: JsonSlot) -> Result<Slot> {
    let kdf = match slot.kdf {
        JsonKdf::Pbkdf2 {
            hash,
            iterations,
            salt,
        } => Kdf::Pbkdf2 {
            hash: Hash::named(&hash)?,
            iterations,
            salt: base64(&salt)?,
        },
        JsonKdf::Argon2i {
            time,
            memory,
            cpus,
            salt,
        } => argon2(argon2::Algorithm::Argon2i, time, memory, cpus, &salt)?,
        JsonKdf::Argon2id {
            time,
            memory,
            cpus,
            salt,
        } => argon2(argon2::Algorithm::Argon2id, time, memory, cpus, &salt)?,
    };
    Slot {
        id,
        kdf,
        stripes: slot.af.stripes,
        split_hash: Hash::named(&slot.af.hash)?,
        key_bytes: slot.key_size,
        area: Area {
            offset: slot.area.offset,
            len: slot.area.size,
            cipher: slot.area.encryption,
            key_bytes: slot.area.key_size,
        },
    }
    .checked()
}

fn argon2(
    algorithm: argon2::Algorithm,
    time: u32,
    memory: u32,
    lanes: u32,
    salt: &str,
) -> Result<Kdf> {
    if memory > MAX_MEMORY {
        return Err(damaged(format!(
            "its key derivation needs {memory} KiB of memory, of at most {MAX_MEMORY}"
        )));
    }
    let salt = base64(salt)?;
    Ok(Kdf::Argon2 {
        algorithm,
        time,
        memory,
        lanes,
        salt,
    })
}

fn digest(digest: JsonDigest) -> Result<Digest> {
    if digest.r#type != "pbkdf2" {
        let what = format!("the LUKS2 digest {:?}", digest.r#type);
        return Err(Error::Unsupported(what));
    }
    Digest {
        slots: digest.keyslots.iter().flat_map(|id| id.parse()).collect(),
        hash: Hash::named(&digest.hash)?,
        iterations: digest.iterations,
        salt: base64(&digest.salt)?,
        digest: base64(&digest.digest)?,
    }
    .checked()
}

fn segment(segment: JsonSegment, flags: &[String]) -> Result<Segment> {
    if segment.r#type != "crypt" {
        let what = format!("a LUKS2 segment of type {:?}", segment.r#type);
        return Err(Error::Unsupported(what));
    }
    if segment.integrity.is_some() {
        return Err(Error::Unsupported("LUKS2 with integrity".into()));
    }
    let len = match segment.size.as_str() {
        "dynamic" => None,
        size => Some(size.parse().map_err(|_| damaged("a segment has no size"))?),
    };
    let unit = segment.sector_size;
    if !matches!(unit, 512 | 1024 | 2048 | 4096)
        || segment.encryption.is_empty()
        || segment.encryption.contains(char::is_whitespace)
    {
        return Err(damaged("its segment is invalid"));
    }
    // Of cryptsetup's persistent flags, those that dm-crypt has an option for.
    let known = [
        ("allow-discards", "allow_discards"),
        ("same-cpu-crypt", "same_cpu_crypt"),
        ("submit-from-crypt-cpus", "submit_from_crypt_cpus"),
        ("no-read-workqueue", "no_read_workqueue"),
        ("no-write-workqueue", "no_write_workqueue"),
    ];
    let flags = known
        .iter()
        .filter(|(flag, _)| flags.iter().any(|set| set == flag))
        .map(|(_, option)| (*option).to_owned());
    Ok(Segment {
        cipher: segment.encryption,
        offset: segment.offset,
        len,
        iv_tweak: segment.iv_tweak,
        sector_size: unit,
        flags: flags.collect(),
    })
}
