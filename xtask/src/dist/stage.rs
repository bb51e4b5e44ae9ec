//! Makes the copy of the workspace from which crates are packaged: `crates/image` has the
//! kernel image and its source in it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::{Dist, origin};
use crate::demo::quietly;
use crate::run::{output, root};

/// Makes the copy; returns where it is.
pub(super) fn make(dist: &Dist) -> Result<PathBuf> {
    let stage = dist.fresh("stage")?;
    let files = files()?;
    let image = stage.join("crates/image");
    for file in &files {
        let from = root().join(file);
        let to = match file.strip_prefix("kernel/") {
            Some(inside) => image.join("kernel").join(inside),
            None => stage.join(file),
        };
        copy(&from, &to)?;
    }
    carry(dist, &image.join("carried"))?;
    Ok(stage)
}

/// The files of the checkout that are not made from others, sorted.
pub(super) fn files() -> Result<Vec<String>> {
    let mut git = Command::new("git");
    git.args(["ls-files", "-z", "--cached", "--others"])
        .arg("--exclude-standard");
    let files = output(&mut git).context("git lists the files: run this in a checkout")?;
    let mut files: Vec<_> = files
        .split('\0')
        .filter(|file| !file.is_empty())
        // One may have been removed, and still be known to git.
        .filter(|file| root().join(file).exists())
        .map(str::to_owned)
        .collect();
    files.sort();
    Ok(files)
}

/// Writes what the package carries of the image.
fn carry(dist: &Dist, carried: &Path) -> Result<()> {
    fs::create_dir_all(carried)?;
    let packed = carried.join("image.elf.zst");
    quietly(
        Command::new("zstd")
            .args(["--quiet", "--ultra", "-22", "--single-thread", "-o"])
            .args([&packed, &dist.image.image]),
    )?;
    let digest = drupe_kbuild::Digest::of_file(&dist.image.image)?;
    fs::write(carried.join("image.digest"), format!("{digest}\n"))?;
    let config = dist
        .image
        .config
        .as_ref()
        .context("a built image has its configuration")?;
    fs::copy(config, carried.join("config"))?;
    fs::write(carried.join("SOURCE.md"), origin::text(dist, "../kernel")?)?;
    Ok(())
}

/// Copies a file, or what a link leads to, and makes its directory.
pub(super) fn copy(from: &Path, to: &Path) -> Result<()> {
    if let Some(directory) = to.parent() {
        fs::create_dir_all(directory)?;
    }
    fs::copy(from, to).with_context(|| from.display().to_string())?;
    Ok(())
}
