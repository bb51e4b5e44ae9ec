//! Makes the device mapper tables of logical volumes from their segments.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::config::{Section, Value};
use super::{Group, damaged};
use crate::{Error, Result, Target};

/// A device to which a table refers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part<'a> {
    /// A physical volume, by its UUID without dashes.
    Physical(&'a str),
    /// Another logical volume of the group, which may be hidden, by its name.
    Logical(&'a str),
    /// A volume as if there were no snapshots: the blocks that a snapshot and its
    /// origin share, or those that keep the snapshot's changes
    /// ([`Group::plain_table`]).
    Plain(&'a str),
}

/// Finds the device of a part: "MAJOR:MINOR".
type Devices<'f> = dyn FnMut(Part<'_>) -> Result<String> + 'f;

/// Limit of a segment's devices: dm-raid takes 253, each with a metadata device
/// (`drivers/md/dm-raid.c`); lvm2 makes up to 128 stripes.
const MAX_PARTS: usize = 2 * 253;

/// An old (not thin) snapshot. It has the name of the volume that stores its changes.
#[derive(Debug, Clone)]
pub(super) struct Snapshot {
    pub(super) origin: String,
    /// Sectors.
    chunk_size: u64,
}

/// All old snapshots, by name.
pub(super) fn snapshots(logical: &BTreeMap<String, Section>) -> Result<BTreeMap<String, Snapshot>> {
    let mut found = BTreeMap::new();
    for segment in logical.values().flat_map(Section::sections) {
        let (_, segment) = segment;
        if segment.text("type")? == "snapshot" {
            let snapshot = Snapshot {
                origin: segment.text("origin")?.to_owned(),
                chunk_size: segment.number("chunk_size")?,
            };
            found.insert(segment.text("cow_store")?.to_owned(), snapshot);
        }
    }
    Ok(found)
}

impl Group {
    /// The table of a volume. `devices` must return the device of each part, for which it
    /// may need the table of another volume.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] for caches, VDO and the like; those of `devices`.
    pub fn table<F>(&self, name: &str, writable: bool, mut devices: F) -> Result<Vec<Target>>
    where
        F: FnMut(Part<'_>) -> Result<String>,
    {
        if let Some(snapshot) = self.snapshots.get(name) {
            return self.snapshot(name, snapshot, &mut devices);
        }
        if self.origins.contains(name) {
            return self.origin(name, writable, &mut devices);
        }
        self.plain(name, writable, &mut devices)
    }

    /// The table of a volume as if there were no snapshots.
    ///
    /// # Errors
    ///
    /// As for [`Group::table`].
    pub fn plain_table<F>(&self, name: &str, writable: bool, mut devices: F) -> Result<Vec<Target>>
    where
        F: FnMut(Part<'_>) -> Result<String>,
    {
        self.plain(name, writable, &mut devices)
    }

    /// What the volume is a snapshot of; `None`: of nothing.
    pub fn origin_of(&self, name: &str) -> Option<&str> {
        let snapshot = self.snapshots.get(name)?;
        Some(&snapshot.origin)
    }

    fn plain(&self, name: &str, writable: bool, devices: &mut Devices<'_>) -> Result<Vec<Target>> {
        let mut table = Vec::new();
        let mut end = 0;
        for segment in self.segments(name)? {
            let sectors = |field| {
                let extents: u64 = segment.number(field)?;
                let sectors = extents.checked_mul(self.extent_size);
                sectors.ok_or_else(|| damaged(format!("{name}: {field} is too large")))
            };
            let (start, len) = (sectors("start_extent")?, sectors("extent_count")?);
            if start != end || len == 0 {
                return Err(damaged(format!("{name} has a gap")));
            }
            end = start.saturating_add(len);
            let (kind, params) = self.target(name, segment, writable, devices)?;
            table.push(Target {
                start,
                len,
                kind,
                params,
            });
        }
        match table.is_empty() {
            true => Err(damaged(format!("{name} is empty"))),
            false => Ok(table),
        }
    }

    fn target(
        &self,
        name: &str,
        segment: &Section,
        writable: bool,
        devices: &mut Devices<'_>,
    ) -> Result<(&'static str, String)> {
        let mut logical = |field: &str| devices(Part::Logical(segment.text(field)?));
        let kind = segment.text("type")?;
        // These write to their own metadata as soon as they are there.
        if !writable && (kind == "thin-pool" || kind.starts_with("raid")) {
            let group = &self.name;
            return Err(Error::ReadOnly(format!("{group}/{name}, of type {kind},")));
        }
        match kind {
            "striped" => self.striped(segment, devices),
            "mirror" => {
                let areas = self.areas(segment.values("mirrors"), devices)?;
                let region = segment.number("region_size")?;
                let count = areas.len();
                // The copies are taken to be in sync, as they are unless the
                // machine went down while the volume was written.
                let params = format!("core 2 {region} nosync {count}{}", joined(&areas));
                Ok(("mirror", params))
            }
            "thin-pool" => {
                let (metadata, data) = (logical("metadata")?, logical("pool")?);
                let zero = segment.has("zero_new_blocks");
                let features = match zero && segment.number("zero_new_blocks")? != 0 {
                    true => "0",
                    false => "1 skip_block_zeroing",
                };
                let chunk = segment.number("chunk_size")?;
                let params = format!("{metadata} {data} {chunk} 0 {features}");
                Ok(("thin-pool", params))
            }
            "thin" => {
                let id = segment.number("device_id")?;
                let mut params = format!("{} {id}", logical("thin_pool")?);
                if segment.has("external_origin") {
                    params += &format!(" {}", logical("external_origin")?);
                }
                Ok(("thin", params))
            }
            "zero" => Ok(("zero", String::new())),
            "error" => Ok(("error", String::new())),
            kind if kind.starts_with("raid") => raid(kind, segment, devices),
            kind => {
                let what = format!("{}/{name}, an LVM volume of type {kind:?},", self.name);
                Err(Error::Unsupported(what))
            }
        }
    }

    fn striped(
        &self,
        segment: &Section,
        devices: &mut Devices<'_>,
    ) -> Result<(&'static str, String)> {
        let areas = self.areas(segment.values("stripes"), devices)?;
        match &areas[..] {
            [] => Err(damaged("a segment has no stripes")),
            [only] => Ok(("linear", only.clone())),
            several => {
                let size = segment.number("stripe_size")?;
                let params = format!("{} {size}{}", several.len(), joined(several));
                Ok(("striped", params))
            }
        }
    }

    /// "DEVICE SECTOR" for each pair of a name and an extent.
    fn areas(&self, pairs: &[Value], devices: &mut Devices<'_>) -> Result<Vec<String>> {
        let area = |pair: &[Value]| {
            let [Value::Text(name), Value::Number(extent)] = pair else {
                return Err(damaged("the parts of a segment are invalid"));
            };
            let (part, start) = match self.physical.get(name) {
                Some(pv) => (Part::Physical(&pv.id), pv.start),
                None => (Part::Logical(name), 0),
            };
            let sector = u64::try_from(*extent)
                .ok()
                .and_then(|extent| extent.checked_mul(self.extent_size))
                .and_then(|sector| sector.checked_add(start))
                .ok_or_else(|| damaged("the place of a segment is invalid"))?;
            Ok(format!("{} {sector}", devices(part)?))
        };
        bounded(pairs.len() / 2)?;
        pairs.chunks(2).map(area).collect()
    }

    fn snapshot(
        &self,
        name: &str,
        snapshot: &Snapshot,
        devices: &mut Devices<'_>,
    ) -> Result<Vec<Target>> {
        let origin = devices(Part::Plain(&snapshot.origin))?;
        let store = devices(Part::Plain(name))?;
        Ok(vec![Target {
            start: 0,
            len: self.size(&snapshot.origin)? / crate::SECTOR,
            kind: "snapshot",
            params: format!("{origin} {store} P {}", snapshot.chunk_size),
        }])
    }

    /// A volume that has snapshots: what is written to it, they keep as it was
    /// (`Documentation/admin-guide/device-mapper/snapshot.rst`). They have to be there
    /// before anything is written.
    fn origin(&self, name: &str, writable: bool, devices: &mut Devices<'_>) -> Result<Vec<Target>> {
        let plain = devices(Part::Plain(name))?;
        let (kind, params) = match writable {
            true => ("snapshot-origin", plain),
            false => ("linear", format!("{plain} 0")),
        };
        Ok(vec![Target {
            start: 0,
            len: self.size(name)? / crate::SECTOR,
            kind,
            params,
        }])
    }
}

/// Fails if a segment has more than [`MAX_PARTS`] parts.
fn bounded(parts: usize) -> Result<()> {
    match parts <= MAX_PARTS {
        true => Ok(()),
        false => Err(damaged(format!(
            "a segment has {parts} parts, of at most {MAX_PARTS}"
        ))),
    }
}

fn joined(areas: &[String]) -> String {
    areas.iter().map(|area| format!(" {area}")).collect()
}

/// Documentation/admin-guide/device-mapper/dm-raid.rst
fn raid(
    kind: &str,
    segment: &Section,
    devices: &mut Devices<'_>,
) -> Result<(&'static str, String)> {
    let optional = |field: &str| match segment.has(field) {
        true => segment.number(field),
        false => Ok(0),
    };
    let mut options = vec![optional("stripe_size")?.to_string()];
    let region = optional("region_size")?;
    if region > 0 && kind != "raid0" {
        options.extend(["region_size".to_owned(), region.to_string()]);
    }
    // Pairs of metadata and data; raid0 has data only.
    let (lists, pairs) = match kind {
        "raid0" => ("raid0_lvs", false),
        _ => ("raids", true),
    };
    let mut members = String::new();
    let names = segment.list(lists)?;
    bounded(names.len())?;
    for name in &names {
        let device = devices(Part::Logical(name))?;
        let _ = match pairs {
            true => write!(members, " {device}"),
            false => write!(members, " - {device}"),
        };
    }
    let count = if pairs { names.len() / 2 } else { names.len() };
    if count == 0 {
        return Err(damaged("a RAID volume has no members"));
    }
    // lvm2 says raid0_meta for a raid0 whose members have metadata.
    let kind = kind.strip_suffix("_meta").unwrap_or(kind);
    let params = format!(
        "{kind} {} {} {count}{members}",
        options.len(),
        options.join(" ")
    );
    Ok(("raid", params))
}
