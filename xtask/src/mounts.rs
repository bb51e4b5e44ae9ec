//! Helpers of the tasks that test mounts (`pjdfstest`, `fsx`): installing programs,
//! making and mounting images.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::run::{cargo, output, root, run};

/// Size of images in bytes, enough for all filesystems.
const SIZE: u64 = 512 << 20;

/// Installs a program from crates.io below `target`, unless it is there. Returns its
/// path.
pub(crate) fn install(name: &str, version: &str) -> Result<PathBuf> {
    let tools = root().join("target/tools");
    let program = tools.join("bin").join(name);
    let said = Command::new(&program).arg("--version").output();
    let there = said.is_ok_and(|said| said.stdout.ends_with(format!(" {version}\n").as_bytes()));
    if !there {
        run(cargo()
            .args(["install", "--locked", "--force", "--root"])
            .arg(&tools)
            .arg(format!("{name}@{version}")))?;
    }
    Ok(program)
}

/// Builds the command in the profile of this program. Returns its path.
pub(crate) fn command() -> Result<PathBuf> {
    run(cargo().args(["build", "--locked", "--package", "drupe-cli"]))?;
    let own = std::env::current_exe().context("where is this program?")?;
    Ok(own.with_file_name("drupe"))
}

/// Makes a new image, and a directory to mount it on.
pub(crate) fn image(kind: &str, place: &Path, name: &str) -> Result<(PathBuf, PathBuf)> {
    let image = place.join(format!("{name}.img"));
    File::create(&image)?.set_len(SIZE)?;
    output(Command::new(format!("mkfs.{kind}")).arg("-q").arg(&image))?;
    let dir = place.join(name);
    fs::create_dir(&dir)?;
    Ok((image, dir))
}

/// Checks an unmounted image with its own checker, once it is no longer in use.
pub(crate) fn check(kind: &str, image: &Path) -> Result<()> {
    let fsck: &[&str] = match kind {
        "ext4" => &["e2fsck", "-fn"],
        "xfs" => &["xfs_repair", "-n"],
        "btrfs" => &["btrfs", "check"],
        _ => &["fsck.f2fs", "--dry-run"],
    };
    output(Command::new("flock").arg(image).args(fsck).arg(image)).map(drop)
}

/// A directory with something mounted on it, until dropped.
pub(crate) struct Mounted(PathBuf);

impl Mounted {
    /// Runs `command` with the image and the directory.
    pub(crate) fn new(command: &mut Command, image: &Path, dir: &Path) -> Result<Mounted> {
        output(command.args([image, dir]))?;
        Ok(Mounted(dir.to_owned()))
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.0
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // What is wrong with the filesystem then, its checker tells.
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}
