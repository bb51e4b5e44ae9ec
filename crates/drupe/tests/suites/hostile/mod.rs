//! Images with random bytes damaged: what is in them is read, or refused with
//! an error; the process goes on, whatever the kernel makes of it.
//!
//! Each image is tried by a process of its own ([`victim`]), so that a death or
//! a hang is seen and named ([`attempt`]); [`damage`] breaks it, and mends it for
//! the next. The seeds are fixed: `KIND seed N` says all that is needed to do
//! it again.

mod attempt;
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

/// Tries `count` damaged versions of an image.
fn try_all(kind: &str, image: &NamedTempFile, count: u64) -> Outcome {
    let mut dead = 0;
    let (mut report, mut failed) = (String::new(), String::new());
    for seed in 0..count {
        let damage = Damage::inflict(image.path(), seed)?;
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

#[test]
fn ext4() -> Outcome {
    let filesystem = Filesystem {
        // As big ones have it: a symbolic link may fill a block.
        make: &["mkfs.ext4", "-q", "-b", "4096"],
        ..fs::EXT4
    };
    try_all("ext4", &filled(&filesystem, 48 << 20)?, 20)
}

/// Damage gets further where no checksum stops it.
#[test]
fn ext4_without_checksums() -> Outcome {
    let filesystem = Filesystem {
        make: &["mkfs.ext4", "-q", "-b", "4096", "-O", "^metadata_csum"],
        ..fs::EXT4
    };
    let image = filled(&filesystem, 48 << 20)?;
    try_all("ext4-without-checksums", &image, 30)
}

#[test]
fn xfs() -> Outcome {
    try_all("xfs", &filled(&fs::XFS, 320 << 20)?, 12)
}

#[test]
fn btrfs() -> Outcome {
    try_all("btrfs", &filled(&fs::BTRFS, 128 << 20)?, 12)
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
