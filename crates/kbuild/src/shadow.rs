//! The shadow: the tree that `make` builds, made of links to the Linux tree and of the
//! overlay. So the Linux tree itself is never written to.
//!
//! ```text
//! shadow/fs        -> /…/linux/fs         and so on for each top-level entry
//! shadow/arch/x86  -> /…/linux/arch/x86   and so on for each architecture
//! shadow/arch/drupe/…                     copies of the overlay's files
//! ```
//!
//! The copies are at a path that does not depend on the checkout, so that two checkouts
//! share one set of objects. Only files that differ are written, so that `make` compiles
//! only those again.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use crate::error::{Error, IoContext, Result};
use crate::overlay::{ARCH, Overlay};
use crate::tree;

/// The overlay's entry in `arch`.
const ARCH_NAME: &str = "drupe";

/// Makes `shadow` a shadow of `linux` with `overlay` in it.
pub(crate) fn lay(shadow: &Path, linux: &Path, overlay: &Overlay) -> Result<()> {
    if linux.join(ARCH).exists() {
        let reason = format!("already has {ARCH}");
        return Err(Error::NotLinux {
            path: linux.to_owned(),
            reason,
        });
    }
    fs::create_dir_all(shadow.join("arch")).on("create", shadow)?;
    link_entries(linux, shadow, "arch")?;
    link_entries(&linux.join("arch"), &shadow.join("arch"), ARCH_NAME)?;
    copy_changed(overlay, shadow)
}

/// Makes `shadow` hold a link to each entry of `directory`, and nothing else
/// but `own`.
fn link_entries(directory: &Path, shadow: &Path, own: &str) -> Result<()> {
    let mut wanted = names(directory)?;
    wanted.remove(&OsString::from(own));
    // With .git there, the kernel's version would depend on its state.
    wanted.remove(&OsString::from(".git"));
    for name in names(shadow)? {
        let link = shadow.join(&name);
        let good = fs::read_link(&link).is_ok_and(|target| target == directory.join(&name));
        if name == own || (wanted.contains(&name) && good) {
            wanted.remove(&name);
        } else if link.is_dir() && !link.is_symlink() {
            fs::remove_dir_all(&link).on("remove", &link)?;
        } else {
            fs::remove_file(&link).on("remove", &link)?;
        }
    }
    for name in wanted {
        let link = shadow.join(&name);
        symlink(directory.join(&name), &link).on("create", &link)?;
    }
    Ok(())
}

fn names(directory: &Path) -> Result<BTreeSet<OsString>> {
    let entries = fs::read_dir(directory).on("read", directory)?;
    entries
        .map(|entry| Ok(entry.on("read", directory)?.file_name()))
        .collect()
}

/// Copies the overlay's files that differ, and removes files that it no longer has.
fn copy_changed(overlay: &Overlay, shadow: &Path) -> Result<()> {
    for file in overlay.files() {
        let (from, to) = (overlay.root().join(file), shadow.join(file));
        let content = fs::read(&from).on("read", &from)?;
        let mode = fs::metadata(&from)
            .on("examine", &from)?
            .permissions()
            .mode();
        if fs::read(&to).ok().as_ref() != Some(&content) {
            if let Some(parent) = to.parent() {
                fs::create_dir_all(parent).on("create", parent)?;
            }
            fs::write(&to, content).on("write", &to)?;
        }
        let permissions = fs::Permissions::from_mode(mode | 0o200);
        fs::set_permissions(&to, permissions).on("set the mode of", &to)?;
    }
    for stale in strangers(overlay, shadow)? {
        let path = shadow.join(&stale);
        fs::remove_file(&path).on("remove", &path)?;
    }
    // The image will be named by the overlay's hash, so it must be made of that.
    let arch = shadow.join(ARCH);
    if tree::content(&arch, &tree::walk(&arch)?)? != overlay.digest() {
        let reason = "was edited while it was being read; run this again".to_owned();
        return Err(Error::Overlay {
            path: overlay.root().to_owned(),
            reason,
        });
    }
    Ok(())
}

/// The files of the shadow's `arch/drupe` that the overlay does not have.
fn strangers(overlay: &Overlay, shadow: &Path) -> Result<Vec<PathBuf>> {
    if !shadow.join(ARCH).exists() {
        return Ok(Vec::new());
    }
    let known: BTreeSet<&PathBuf> = overlay.files().iter().collect();
    let present = tree::walk(&shadow.join(ARCH))?;
    let present = present
        .into_iter()
        .map(|entry| Path::new(ARCH).join(entry.relative));
    Ok(present.filter(|file| !known.contains(file)).collect())
}

/// The entries of `shadow` other than links into `linux` and the overlay's files.
pub(crate) fn differences(shadow: &Path, linux: &Path, overlay: &Overlay) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for (directory, own) in [("", "arch"), ("arch", ARCH_NAME)] {
        for name in names(&shadow.join(directory))? {
            let relative = Path::new(directory).join(&name);
            let link = fs::read_link(shadow.join(&relative)).ok();
            if name != own && link != Some(linux.join(&relative)) {
                found.push(format!(
                    "{} is not a link to the source",
                    relative.display()
                ));
            }
        }
    }
    for file in strangers(overlay, shadow)? {
        found.push(format!("{} is not the overlay's", file.display()));
    }
    Ok(found)
}

#[cfg(test)]
#[path = "shadow_tests.rs"]
mod tests;
