//! [`files`]: the other files that opening an image will open.

use std::fs::{File, Metadata};
use std::path::{Path, PathBuf};

use crate::{Format, qcow2, vmdk};

/// Limit of the files, since backing files may name each other.
const MAX_FILES: usize = 1100;

/// The other files that [`open`](crate::open()) opens for the image at `path`: extents of
/// a vmdk, and with `backing` all files that the image and its backing files name. A
/// sandbox needs them in advance. Files that cannot be read are taken to name none.
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

/// The files that one image names.
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
