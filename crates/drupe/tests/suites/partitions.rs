//! Disks with partition tables made by sfdisk and sgdisk.

use std::error::Error;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::process::Stdio;

use drupe::{Cause, Disk, Kernel, MountOptions};
use tempfile::NamedTempFile;

use crate::Outcome;
use crate::filesystems::{EXT4, Filesystem, VFAT};
use crate::tools::{run, sparse_file, tool};

const MIB: u64 = 1 << 20;
/// First byte and filesystem of each partition.
const PARTS: [(u64, Filesystem); 2] = [
    (
        MIB,
        Filesystem {
            size: 64 * MIB,
            ..EXT4
        },
    ),
    (
        65 * MIB,
        Filesystem {
            size: 50 * MIB,
            ..VFAT
        },
    ),
];
const DISK: u64 = 120 * MIB;

/// Puts a filesystem into each partition.
fn fill(disk: &NamedTempFile) -> Outcome {
    for (start, filesystem) in &PARTS {
        let mut part = filesystem.image()?;
        let mut target = disk.reopen()?;
        target.seek(SeekFrom::Start(*start))?;
        std::io::copy(part.as_file_mut(), &mut target)?;
    }
    Ok(())
}

/// Checks the filesystem of each partition.
fn check(disk: &NamedTempFile) -> Outcome {
    for (start, filesystem) in &PARTS {
        let part = NamedTempFile::new()?;
        let mut source: File = disk.reopen()?;
        source.seek(SeekFrom::Start(*start))?;
        std::io::copy(&mut source.take(filesystem.size), &mut part.as_file())?;
        filesystem.check(part.path())?;
    }
    Ok(())
}

fn both_partitions(disk: NamedTempFile, table: &str) -> Outcome {
    fill(&disk)?;
    let kernel = Kernel::boot()?;
    let attached = kernel.add_disk(Disk::open(disk.path())?)?;
    let numbers: Vec<_> = attached.partitions()?.iter().map(|p| p.number()).collect();
    assert_eq!(numbers, [Some(1), Some(2)]);
    let [first, second] = [attached.partition(1)?, attached.partition(2)?];
    for (partition, (start, filesystem)) in [&first, &second].into_iter().zip(&PARTS) {
        assert_eq!(
            (partition.start(), partition.size()),
            (*start, filesystem.size)
        );
        assert_eq!(partition.info()?.ok_or("no entry")?.table, table);
    }
    let wrong = attached.partition(7).err().ok_or("there is no 7")?;
    assert_eq!(
        wrong.to_string(),
        "partition: there is no partition 7; there are: 1, 2"
    );
    let whole = attached.whole().mount(MountOptions::new()).err();
    let whole = whole.ok_or("the whole disk is no filesystem")?;
    assert!(matches!(whole.cause(), Cause::NoFilesystem(_)), "{whole}");
    let [ext4, vfat] = [
        first.mount(MountOptions::new())?,
        second.mount(MountOptions::new())?,
    ];
    ext4.write("/which", "the first")?;
    vfat.write("/which", "the second")?;
    assert_eq!(ext4.read("/which")?, b"the first");
    assert_eq!(vfat.read("/which")?, b"the second");

    ext4.umount()?;
    vfat.umount()?;
    drop((first, second));
    attached.remove()?;
    kernel.halt()?;
    check(&disk)
}

/// A disk with the table that a script for sfdisk describes.
fn sfdisk(script: &str) -> Result<NamedTempFile, Box<dyn Error>> {
    let disk = sparse_file(DISK)?;
    let mut file = NamedTempFile::new()?;
    file.write_all(script.as_bytes())?;
    let input = Stdio::from(file.reopen()?);
    run(tool("sfdisk").arg("--quiet").arg(disk.path()).stdin(input))?;
    Ok(disk)
}

#[test]
fn gpt() -> Outcome {
    let disk = sparse_file(DISK)?;
    run(tool("sgdisk")
        .args(["--new=1:1M:+64M", "--new=2:65M:+50M", "--typecode=2:0700"])
        .arg(disk.path()))?;
    both_partitions(disk, "gpt")
}

#[test]
fn mbr() -> Outcome {
    let script = "label: dos\nstart=1MiB, size=64MiB, type=83\nstart=65MiB, size=50MiB, type=c\n";
    both_partitions(sfdisk(script)?, "dos")
}

#[test]
fn a_disk_without_a_table() -> Outcome {
    let image = PARTS[0].1.image()?;
    let kernel = Kernel::boot()?;
    let disk = kernel.add_disk(Disk::open(image.path())?)?;
    assert!(disk.partitions()?.is_empty());
    let wrong = disk.partition(1).err().ok_or("there is no partition")?;
    assert_eq!(
        wrong.to_string(),
        "partition: there is no partition 1; the disk has no partition table"
    );
    let mount = disk.whole().mount(MountOptions::new())?;
    mount.write("/file", "whole")?;
    mount.umount()?;
    PARTS[0].1.check(image.path())
}

#[test]
fn nothing_to_mount() -> Outcome {
    let image = sparse_file(MIB)?;
    let kernel = Kernel::boot()?;
    let disk = kernel.add_disk(Disk::open(image.path())?)?;
    let error = disk.whole().mount(MountOptions::new()).err();
    assert_eq!(
        error.ok_or("zeroes are no filesystem")?.to_string(),
        "mount vda: holds no filesystem known to this kernel"
    );
    Ok(())
}
