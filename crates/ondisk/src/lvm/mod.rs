//! LVM2: volume groups on physical volumes, and the device mapper tables of
//! their logical volumes.
//!
//! ```text
//! label ─▶ physical volume header ─▶ metadata area ─▶ text ─▶ Group
//! ```
//!
//! Every physical volume has its UUID. The metadata, a text that describes the whole
//! group, is on all or some of them. The formats are those of lvm2's `lib/format_text`
//! (pvck(8) shows them).

mod config;
mod segment;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Seek};

use crate::bytes::{bytes_at, le32, le64, maybe_bytes_at};
use crate::{Error, Result, SECTOR};
use config::Section;
pub use segment::Part;
use segment::Snapshot;

/// Limit of a group's description in bytes.
const MAX_TEXT: u64 = 32 << 20;
/// Limit of a physical volume's metadata areas; pvcreate(8) makes up to two.
const MAX_AREAS: usize = 4;
/// Limit of a group's volumes, including hidden ones.
const MAX_VOLUMES: usize = 16384;
/// The initial value of the format's checksums.
const INITIAL_CRC: u32 = 0xf597_a6cf;

/// A physical volume.
#[derive(Debug, Clone)]
pub struct PhysicalVolume {
    /// Its UUID, without dashes.
    pub id: String,
    /// The group's description, if this volume has it.
    pub group: Option<Group>,
}

/// A volume group.
#[derive(Debug, Clone)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// Its UUID, with dashes.
    pub id: String,
    /// The version of the description: the one with the highest number is current.
    pub seqno: u64,
    /// Sectors.
    extent_size: u64,
    /// The physical volumes by the names that segments use.
    physical: BTreeMap<String, Physical>,
    logical: BTreeMap<String, Section>,
    /// Old (not thin) snapshots, by name.
    snapshots: BTreeMap<String, Snapshot>,
    /// Volumes that have old snapshots.
    origins: BTreeSet<String>,
}

#[derive(Debug, Clone)]
struct Physical {
    /// Without dashes.
    id: String,
    /// Sector of the first extent.
    start: u64,
}

/// A visible logical volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogicalVolume {
    /// Its name within the group.
    pub name: String,
    /// Its UUID, with dashes.
    pub id: String,
    /// Bytes.
    pub size: u64,
    /// Its segment type: "striped", "raid1", "thin" and so on.
    pub kind: String,
}

fn damaged(why: impl Into<String>) -> Error {
    let what = "LVM metadata";
    let why = why.into();
    Error::Damaged { what, why }
}

/// CRC-32 without the usual complements.
fn crc(bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(!INITIAL_CRC);
    hasher.update(bytes);
    !hasher.finalize()
}

impl PhysicalVolume {
    /// Reads the label of a device, and the group's description if the device has it.
    ///
    /// # Errors
    ///
    /// [`Error::Damaged`] also when there is no label.
    pub fn read<R: Read + Seek>(reader: &mut R) -> Result<PhysicalVolume> {
        for sector in 0..4 {
            let Some(label) = maybe_bytes_at(reader, sector * SECTOR, SECTOR as usize)? else {
                break;
            };
            if label.starts_with(b"LABELONE") && &label[24..32] == b"LVM2 001" {
                return PhysicalVolume::of_label(reader, &label);
            }
        }
        Err(damaged("there is no label"))
    }

    fn of_label<R: Read + Seek>(reader: &mut R, label: &[u8]) -> Result<PhysicalVolume> {
        if le32(label, 16) != crc(&label[20..]) {
            return Err(damaged("the checksum of the label is wrong"));
        }
        let header = label.get(le32(label, 20) as usize..).unwrap_or_default();
        let id = header.get(..32).and_then(|id| str::from_utf8(id).ok());
        let id = id.ok_or_else(|| damaged("there is no UUID in the label"))?;
        // Two lists of (offset, size) pairs, each with a zero pair behind it:
        // data areas, then metadata areas.
        let mut pairs = header.get(40..).unwrap_or_default().chunks_exact(16);
        let mut areas = || {
            let area = |pair: &[u8]| (le64(pair, 0), le64(pair, 8));
            let list = pairs.by_ref().map(area);
            list.take_while(|&area| area != (0, 0)).collect::<Vec<_>>()
        };
        let (_data, metadata) = (areas(), areas());
        let mut group: Option<Group> = None;
        let mut trouble = None;
        for (offset, size) in metadata.into_iter().take(MAX_AREAS) {
            match Group::of_area(reader, offset, size) {
                Ok(Some(found)) if group.as_ref().is_none_or(|old| old.seqno < found.seqno) => {
                    group = Some(found);
                }
                Ok(_) => {}
                Err(error) => trouble = Some(error),
            }
        }
        match (group, trouble) {
            (None, Some(error)) => Err(error),
            (group, _) => Ok(PhysicalVolume {
                id: id.to_owned(),
                group,
            }),
        }
    }
}

impl Group {
    /// The description in a metadata area; `None` if it is empty.
    fn of_area<R: Read + Seek>(reader: &mut R, offset: u64, size: u64) -> Result<Option<Group>> {
        let header = bytes_at(reader, offset, SECTOR as usize)?;
        if &header[4..20] != b" LVM2 x[5A%r0N*>" || le32(&header, 0) != crc(&header[4..]) {
            return Err(damaged("the header of its area is damaged"));
        }
        let (start, len) = (le64(&header, 40), le64(&header, 48));
        const IGNORED: u32 = 1;
        if len == 0 || le32(&header, 60) & IGNORED != 0 {
            return Ok(None);
        }
        if start < SECTOR || start >= size || len > size - SECTOR || len > MAX_TEXT {
            return Err(damaged("its text is not within its area"));
        }
        // A ring: what does not fit goes on behind the header.
        let head = len.min(size - start);
        let at = |from: u64| {
            offset
                .checked_add(from)
                .ok_or_else(|| damaged("the place of its area is invalid"))
        };
        let mut text = bytes_at(reader, at(start)?, head as usize)?;
        text.extend(bytes_at(reader, at(SECTOR)?, (len - head) as usize)?);
        if le32(&header, 56) != crc(&text) {
            return Err(damaged("the checksum of its text is wrong"));
        }
        let text = String::from_utf8(text).map_err(|_| damaged("its text is not UTF-8"))?;
        Group::parse(&text).map(Some)
    }

    /// Parses a description, which has the format of `vgcfgbackup`.
    ///
    /// # Errors
    ///
    /// [`Error::Damaged`].
    pub fn parse(text: &str) -> Result<Group> {
        let root = config::parse(text)?;
        // Beside the group there are values only.
        let mut groups = root.sections();
        let (name, group) = match (groups.next(), groups.next()) {
            (Some(only), None) => only,
            _ => return Err(damaged("it does not describe one group")),
        };
        let physical = |(name, pv): (&str, &Section)| {
            let found = Physical {
                id: pv.text("id")?.replace('-', ""),
                start: pv.number("pe_start")?,
            };
            Ok((name.to_owned(), found))
        };
        let logical = group.section("logical_volumes");
        let logical = logical.into_iter().flat_map(Section::sections);
        let logical: BTreeMap<_, _> = logical
            .map(|(name, section)| (name.to_owned(), section.clone()))
            .collect();
        if logical.len() > MAX_VOLUMES {
            let count = logical.len();
            return Err(damaged(format!(
                "it has {count} volumes, of at most {MAX_VOLUMES}"
            )));
        }
        let snapshots = segment::snapshots(&logical)?;
        Ok(Group {
            origins: snapshots
                .values()
                .map(|found| found.origin.clone())
                .collect(),
            snapshots,
            name: name.to_owned(),
            id: group.text("id")?.to_owned(),
            seqno: group.number("seqno")?,
            extent_size: group.number("extent_size")?,
            physical: group
                .section("physical_volumes")
                .ok_or_else(|| damaged("it has no physical volumes"))?
                .sections()
                .map(physical)
                .collect::<Result<_>>()?,
            logical,
        })
    }

    /// UUIDs of all physical volumes, without dashes.
    pub fn physical_volumes(&self) -> impl Iterator<Item = &str> {
        self.physical.values().map(|pv| pv.id.as_str())
    }

    /// The visible volumes, sorted by name.
    ///
    /// # Errors
    ///
    /// [`Error::Damaged`].
    pub fn logical_volumes(&self) -> Result<Vec<LogicalVolume>> {
        let mut sizes = BTreeMap::new();
        let mut volumes = Vec::new();
        for (name, lv) in &self.logical {
            // The store of a snapshot is hidden, and the snapshot goes by its name.
            let store = self.snapshots.get(name);
            if !lv.list("status")?.contains(&"VISIBLE") && store.is_none() {
                continue;
            }
            let segments = self.segments(name)?;
            let first = segments.first();
            let kind = first.ok_or_else(|| damaged(format!("{name} is empty")))?;
            // Pools hold volumes; they are none.
            if kind.text("type")? == "thin-pool" || name.starts_with("snapshot") {
                continue;
            }
            let (source, kind) = match store {
                Some(snapshot) => (snapshot.origin.as_str(), "snapshot"),
                None => (name.as_str(), kind.text("type")?),
            };
            // Many snapshots may have the same origin.
            let size = match sizes.get(source) {
                Some(&size) => size,
                None => *sizes.entry(source).or_insert(self.size(source)?),
            };
            volumes.push(LogicalVolume {
                name: name.clone(),
                id: lv.text("id")?.to_owned(),
                size,
                kind: kind.to_owned(),
            });
        }
        Ok(volumes)
    }

    /// Bytes of a logical volume.
    fn size(&self, name: &str) -> Result<u64> {
        let mut extents: u64 = 0;
        for segment in self.segments(name)? {
            extents = extents.saturating_add(segment.number("extent_count")?);
        }
        self.extent_size
            .checked_mul(extents)
            .and_then(|sectors| sectors.checked_mul(SECTOR))
            .ok_or_else(|| damaged(format!("the size of {name} is invalid")))
    }

    /// The segments of a logical volume, in their order.
    fn segments(&self, name: &str) -> Result<Vec<&Section>> {
        let lv = self.logical.get(name);
        let lv = lv.ok_or_else(|| damaged(format!("there is no volume {name}")))?;
        segments(lv)
    }
}

/// The segments of a logical volume, in their order.
fn segments(lv: &Section) -> Result<Vec<&Section>> {
    let mut segments = Vec::new();
    for (_, segment) in lv.sections() {
        segments.push((segment.number("start_extent")?, segment));
    }
    segments.sort_by_key(|(start, _)| *start);
    Ok(segments.into_iter().map(|(_, segment)| segment).collect())
}

/// Corrects the checksums. For fuzz targets.
#[cfg(feature = "fuzzing")]
pub(crate) fn mend(disk: &mut [u8]) {
    const LEN: usize = SECTOR as usize;
    let at = |disk: &[u8]| {
        (0..4).find(|n| {
            disk.get(n * LEN..)
                .is_some_and(|rest| rest.starts_with(b"LABELONE"))
        })
    };
    let Some(label) = at(disk).and_then(|n| disk.get_mut(n * LEN..(n + 1) * LEN)) else {
        return;
    };
    let sum = crc(&label[20..]);
    label[16..20].copy_from_slice(&sum.to_le_bytes());
    // The metadata area that lvm2 makes first.
    let Some(area) = disk.get_mut(4096..) else {
        return;
    };
    if area.len() < LEN {
        return;
    }
    let (start, len) = (le64(area, 40) as usize, le64(area, 48) as usize);
    let text = start.checked_add(len).and_then(|end| area.get(start..end));
    if let Some(sum) = text.map(crc) {
        area[56..60].copy_from_slice(&sum.to_le_bytes());
    }
    let sum = crc(&area[4..LEN]);
    area[..4].copy_from_slice(&sum.to_le_bytes());
}

#[cfg(test)]
mod tests;
