//! Images with random bytes damaged: what is in them is read, or refused with
//! an error; the process goes on, whatever the kernel makes of it.
//!
//! Each image is tried by a process of its own ([`victim`]), so that a death or
//! a hang is seen and named ([`attempt`]); [`damage`] breaks it, and mends it for
//! the next. The seeds are fixed: `KIND seed N` says all that is needed to do
//! it again.

mod attempt;
mod checksums;
mod damage;
mod victim;

use std::error::Error;
use std::fmt::Write;
use std::path::Path;

use tempfile::NamedTempFile;

use crate::Outcome;
use crate::filesystems::{self as fs, Filesystem};
use crate::host_made::{erofs_image, iso9660_image, squashfs_image};
use crate::lab::mounted;
use crate::sample::sample;
use attempt::{Fate, attempt};
use checksums::{BTRFS, Checksums, Kind, XFS};
use damage::Damage;

/// A writable filesystem with a sample on it.
fn filled(filesystem: &Filesystem, size: u64) -> Result<NamedTempFile, Box<dyn Error>> {
    let filesystem = Filesystem {
        size,
        ..*filesystem
    };
    let image = filesystem.image()?;
    let tree = sample(filesystem.can, 200);
    mounted(image.path(), &filesystem.options(), |mount| {
        Ok(tree.write(mount)?)
    })?;
    Ok(image)
}

/// How many damaged versions of each image `cargo xtask soak` tries.
const MANY: u64 = 5000;

/// Tries `count` damaged versions of an image.
fn try_all(kind: &str, image: &NamedTempFile, count: u64) -> Outcome {
    try_with(kind, image, &Checksums::default(), count)
}

/// The same with the checksums made right.
fn try_repaired(kind: &str, image: &NamedTempFile, kinds: &[Kind], count: u64) -> Outcome {
    let sums = damage::checksums(image.path(), kinds)?;
    assert!(sums.len() > 10, "{kind} has {} checksums", sums.len());
    try_with(kind, image, &sums, count)
}

fn try_with(kind: &str, image: &NamedTempFile, sums: &Checksums, count: u64) -> Outcome {
    let mut dead = 0;
    let (mut report, mut failed) = (String::new(), String::new());
    for seed in 0..count {
        let damage = Damage::inflict(image.path(), seed, sums)?;
        let fate = attempt(image.path())?;
        damage.mend(image.path())?;
        let line = format!("{kind} seed {seed}: {fate}\n");
        dead += u64::from(line.contains(victim::DEAD));
        report += &line;
        if !matches!(fate, Fate::Survived(_)) {
            failed += &line;
        }
    }
    writeln!(
        report,
        "{kind}: {count} images, {dead} deaths of the kernel"
    )?;
    print!("{report}");
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
    std::fs::write(directory.join(format!("hostile-{kind}.txt")), report)?;
    match failed.is_empty() {
        true => Ok(()),
        false => Err(failed.into()),
    }
}

/// Damage gets further where no checksum stops it.
const EXT4_WITHOUT_CHECKSUMS: Filesystem = Filesystem {
    make: &["mkfs.ext4", "-q", "-b", "4096", "-O", "^metadata_csum"],
    ..fs::EXT4
};

fn xfs_image() -> Result<NamedTempFile, Box<dyn Error>> {
    filled(&fs::XFS, 320 << 20)
}

fn btrfs_image() -> Result<NamedTempFile, Box<dyn Error>> {
    let filesystem = Filesystem {
        // Where there is no second copy to fall back to.
        make: &["mkfs.btrfs", "-q", "--metadata", "single"],
        ..fs::BTRFS
    };
    filled(&filesystem, 128 << 20)
}

#[test]
fn ext4() -> Outcome {
    let filesystem = Filesystem {
        // As big ones have it: a symbolic link may fill a block.
        make: &["mkfs.ext4", "-q", "-b", "4096"],
        ..fs::EXT4
    };
    try_all("ext4", &filled(&filesystem, 48 << 20)?, 20)
}

#[test]
fn ext4_without_checksums() -> Outcome {
    let image = filled(&EXT4_WITHOUT_CHECKSUMS, 48 << 20)?;
    try_all("ext4-without-checksums", &image, 30)
}

#[test]
fn xfs() -> Outcome {
    try_all("xfs", &xfs_image()?, 6)?;
    try_repaired("xfs-repaired", &xfs_image()?, XFS, 12)
}

#[test]
fn btrfs() -> Outcome {
    try_all("btrfs", &btrfs_image()?, 6)?;
    try_repaired("btrfs-repaired", &btrfs_image()?, BTRFS, 12)
}

#[test]
fn f2fs() -> Outcome {
    try_all("f2fs", &filled(&fs::F2FS, 64 << 20)?, 8)
}

#[test]
fn vfat() -> Outcome {
    try_all("vfat", &filled(&fs::VFAT, 48 << 20)?, 10)
}

#[test]
fn squashfs() -> Outcome {
    try_all("squashfs", &squashfs_image()?, 8)
}

#[test]
fn erofs() -> Outcome {
    try_all("erofs", &erofs_image()?, 8)
}

#[test]
fn iso9660() -> Outcome {
    try_all("iso9660", &iso9660_image()?, 6)
}

#[test]
#[ignore = "takes minutes; cargo xtask soak"]
fn many_ext4() -> Outcome {
    let image = filled(&EXT4_WITHOUT_CHECKSUMS, 48 << 20)?;
    try_all("many-ext4", &image, MANY)
}

#[test]
#[ignore = "takes minutes; cargo xtask soak"]
fn many_xfs() -> Outcome {
    try_repaired("many-xfs", &xfs_image()?, XFS, MANY)
}

#[test]
#[ignore = "takes minutes; cargo xtask soak"]
fn many_btrfs() -> Outcome {
    try_repaired("many-btrfs", &btrfs_image()?, BTRFS, MANY)
}

#[test]
#[ignore = "takes minutes; cargo xtask soak"]
fn many_vfat() -> Outcome {
    try_all("many-vfat", &filled(&fs::VFAT, 48 << 20)?, MANY)
}

#[test]
#[ignore = "takes minutes; cargo xtask soak"]
fn many_squashfs() -> Outcome {
    try_all("many-squashfs", &squashfs_image()?, MANY)
}

#[test]
#[ignore = "takes minutes; cargo xtask soak"]
fn many_erofs() -> Outcome {
    try_all("many-erofs", &erofs_image()?, MANY)
}
