//! Durability: after a sync without an unmount, on a full disk, on a disk that cannot be
//! written.

use std::error::Error;

use drupe::{Cause, Disk, DiskOptions, Errno, Kernel, MountOptions};
use tempfile::NamedTempFile;

use crate::Outcome;
use crate::contents::Contents;
use crate::filesystems::{self as fs, Filesystem};
use crate::lab::{mounted, mounted_disk};

const SYNCED: &str = "/directory/synced";

fn contents() -> Contents {
    Contents::full(5, 200_000)
}

/// A copy of an image as it was on the disk right after a file was synced, and
/// nothing unmounted.
fn copied_after_sync(filesystem: &Filesystem) -> Result<NamedTempFile, Box<dyn Error>> {
    let image = filesystem.image()?;
    let copy = NamedTempFile::new()?;
    mounted(image.path(), &filesystem.options(), |mount| {
        mount.create_dir("/directory")?;
        for n in 0..50 {
            mount.write(format!("/directory/{n}"), vec![n; 3000])?;
        }
        let file = mount.create(SYNCED)?;
        file.write_all_at(&contents().bytes(), 0)?;
        file.sync_all()?;
        std::fs::copy(image.path(), copy.path())?;
        Ok(())
    })?;
    Ok(copy)
}

/// The copy mounts, has the data, and is clean afterwards.
fn survives(filesystem: &Filesystem) -> Outcome {
    let copy = copied_after_sync(filesystem)?;
    mounted(copy.path(), &filesystem.options(), |mount| {
        assert!(mount.read(SYNCED)? == contents().bytes(), "other contents");
        Ok(())
    })?;
    filesystem.check(copy.path())
}

#[test]
fn a_synced_file_survives_on_ext4() -> Outcome {
    survives(&fs::EXT4)
}

#[test]
fn a_synced_file_survives_on_xfs() -> Outcome {
    survives(&fs::XFS)
}

#[test]
fn a_synced_file_survives_on_btrfs() -> Outcome {
    survives(&fs::BTRFS)
}

#[test]
fn a_synced_file_survives_on_f2fs() -> Outcome {
    survives(&fs::F2FS)
}

/// A journal that needs to be replayed, on a disk that can't be written: one
/// clear error; a copy-on-write layer helps, and leaves the image alone.
fn dirty_journal(filesystem: &Filesystem) -> Outcome {
    let copy = copied_after_sync(filesystem)?;
    let before = std::fs::read(copy.path())?;
    let open = |options: DiskOptions| options.open(copy.path());

    let kernel = Kernel::boot()?;
    let disk = kernel.add_disk(open(Disk::options().read_only(true))?)?;
    let refused = disk.whole().mount(MountOptions::new()).err();
    let refused = refused.ok_or("mounted without its journal")?;
    assert!(
        matches!(refused.cause(), Cause::JournalReplay { .. }),
        "{refused}"
    );
    disk.remove()?;
    kernel.halt()?;

    let layer = open(Disk::options().copy_on_write(true))?;
    mounted_disk(layer, &filesystem.options(), |mount| {
        assert!(mount.read(SYNCED)? == contents().bytes(), "other contents");
        Ok(mount.write("/new", "only in memory")?)
    })?;
    assert!(
        before == std::fs::read(copy.path())?,
        "the image was written"
    );
    Ok(())
}

#[test]
fn dirty_journal_of_ext4() -> Outcome {
    dirty_journal(&Filesystem {
        size: 64 << 20,
        ..fs::EXT4
    })
}

#[test]
fn dirty_journal_of_xfs() -> Outcome {
    dirty_journal(&Filesystem {
        size: 320 << 20,
        ..fs::XFS
    })
}

#[test]
fn dirty_journal_of_btrfs() -> Outcome {
    dirty_journal(&fs::BTRFS)
}

#[test]
fn a_read_only_disk_stays_as_it_is() -> Outcome {
    let filesystem = Filesystem {
        size: 64 << 20,
        ..fs::EXT4
    };
    let image = filesystem.image()?;
    mounted(image.path(), &filesystem.options(), |mount| {
        Ok(mount.write("/file", "kept")?)
    })?;
    let before = std::fs::read(image.path())?;
    let disk = Disk::options().read_only(true).open(image.path())?;
    mounted_disk(disk, &filesystem.options(), |mount| {
        assert_eq!(mount.read("/file")?, b"kept");
        let refused = mount.write("/file", "changed").err().ok_or("written")?;
        assert_eq!(refused.errno(), Some(Errno::ROFS));
        Ok(())
    })?;
    assert!(
        before == std::fs::read(image.path())?,
        "the image was written"
    );
    Ok(())
}

/// Fills it to the last byte, with files and then with names.
fn fill(filesystem: &Filesystem) -> Outcome {
    let image = filesystem.image()?;
    mounted(image.path(), &filesystem.options(), |mount| {
        mount.write("/first", "there before")?;
        let piece = vec![9; 1 << 20];
        let full = (0..10_000).find_map(|n| {
            let name = format!("/file {n}");
            let written = mount.write(&name, &piece).and_then(|()| mount.sync());
            written.err()
        });
        let full = full.ok_or("it never filled up")?;
        assert_eq!(full.errno(), Some(Errno::NOSPC), "{full}");
        let full =
            (0..1_000_000).find_map(|n| mount.write(format!("/small {n}"), &piece[..5000]).err());
        let full = full.ok_or("it never filled up")?;
        assert_eq!(full.errno(), Some(Errno::NOSPC), "{full}");
        assert_eq!(mount.read("/first")?, b"there before");
        mount.remove_file("/file 0")?;
        mount.sync()?;
        Ok(mount.write("/again", &piece[..100])?)
    })?;
    filesystem.check(image.path())
}

#[test]
fn full_ext4() -> Outcome {
    fill(&Filesystem {
        size: 24 << 20,
        ..fs::EXT4
    })
}

#[test]
fn full_xfs() -> Outcome {
    fill(&Filesystem {
        size: 320 << 20,
        ..fs::XFS
    })
}

#[test]
fn full_btrfs() -> Outcome {
    fill(&Filesystem {
        size: 128 << 20,
        ..fs::BTRFS
    })
}

#[test]
fn full_vfat() -> Outcome {
    fill(&Filesystem {
        size: 40 << 20,
        ..fs::VFAT
    })
}
