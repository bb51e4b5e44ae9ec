//! What is wrong with a disk or its partition table, in words for the user.

use std::path::{Path, PathBuf};

use drupe::{AttachedDisk, TableDamage};

use super::{explain, failure};
use crate::exit::Failure;

/// What somebody else has done to one of the images while it was in use.
pub(crate) fn harm_of(disks: &[(PathBuf, AttachedDisk)]) -> Option<String> {
    let harmed = disks
        .iter()
        .find_map(|(image, disk)| Some((image, disk.harm()?)));
    harmed.map(|(image, harm)| format!("{}: {harm}", image.display()))
}

/// What repairs a partition table.
pub(crate) fn remedy(image: &Path, damage: &TableDamage) -> Option<String> {
    match damage {
        TableDamage::CutShort { .. } => None,
        _ => Some(format!("sgdisk -e {} restores it", image.display())),
    }
}

/// What of a disk is not all there.
pub(crate) fn cut_short(image: &Path, disk: &AttachedDisk) -> Result<Option<Failure>, Failure> {
    let cut = disk.cut_short().map_err(|error| explain(image, &error))?;
    Ok(cut.map(|cut| failure(image, cut.to_string())))
}

/// What is on all of a disk, if this kernel has no driver for it.
pub(crate) fn no_driver(image: &Path, disk: &AttachedDisk) -> Result<Option<Failure>, Failure> {
    let explained = |error: drupe::Error| explain(image, &error);
    // What looks like a signature beside a partition table is none.
    if !disk.partitions().map_err(explained)?.is_empty() {
        return Ok(None);
    }
    let found = disk.whole().probe().map_err(explained)?;
    let found = found.and_then(|found| found.no_driver);
    Ok(found.map(|found| failure(image, found.to_string())))
}
