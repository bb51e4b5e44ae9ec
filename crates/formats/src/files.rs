//! [`files`]: what else opening an image will open.

use std::fs::{File, Metadata};
use std::path::{Path, PathBuf};

use crate::{Format, qcow2, vmdk};

/// More files than this are not looked for: backing files may name each other.
const MAX_FILES: usize = 1100;

/// The other files that [`open`](crate::open()) opens for the image at `path`,
/// for who must say so beforehand: extents of a vmdk, and with `backing`
/// whatever the image and those behind it name. What can't be read names none.
pub fn files(path: &Path, backing: bool) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = Vec::new();
    let mut next = Some(path.to_owned());
    let mut looked_at = 0;
    while let Some(path) = next {
        for other in named(&path, backing).unwrap_or_default() {
            if found.len() < MAX_FILES && !found.contains(&other) {
                found.push(other);
            }
        }
        next = found.get(looked_at).cloned();
        looked_at += 1;
    }
    found
}

/// What one image names.
fn named(path: &Path, backing: bool) -> Option<Vec<PathBuf>> {
    // Of a pipe or a terminal nothing is read. No lock: others may open it.
    let size = path.metadata().ok().filter(Metadata::is_file)?.len();
    let file = File::open(path).ok()?;
    let names = match Format::detect(&file).ok()? {
        Format::Qcow2 if backing => qcow2::named(&file, size)?,
        Format::Vmdk => vmdk::named(&file, size, backing)?,
        _ => return None,
    };
    let directory = path.parent().unwrap_or(Path::new(""));
    Some(names.iter().map(|name| directory.join(name)).collect())
}
