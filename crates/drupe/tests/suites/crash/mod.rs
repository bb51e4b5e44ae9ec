//! Power cuts: a [`workload`] on a recording disk, then the disk as it could be
//! had the power failed at any moment of it. Each such disk must mount, hold
//! all that was synced by then, and be clean by the word of the filesystem's own
//! checker afterwards.
//!
//! The moments are those before and after each flush, and random ones between,
//! with nothing, everything or a random part lost of what no flush covers.
//! A failure names moment and loss; the workload is the same in every run, up to
//! what the kernel's threads write on their own.

mod workload;

use std::error::Error;
use std::sync::Arc;

use drupe::{Disk, Loss, MemoryDisk, Record, RecordingDisk};
use fastrand::Rng;
use tempfile::NamedTempFile;

use crate::Outcome;
use crate::filesystems::{self as fs, Filesystem};
use crate::lab::mounted_disk;
use workload::Workload;

const EXT4: Filesystem = Filesystem {
    make: &["mkfs.ext4", "-q", "-b", "4096"],
    size: 64 << 20,
    ..fs::EXT4
};

const XFS: Filesystem = Filesystem {
    size: 300 << 20,
    ..fs::XFS
};

const BTRFS: Filesystem = Filesystem {
    size: 128 << 20,
    ..fs::BTRFS
};

const F2FS: Filesystem = Filesystem {
    size: 64 << 20,
    ..fs::F2FS
};

/// A run of the workload, and what was promised in it.
struct History {
    filesystem: Filesystem,
    disk: Arc<RecordingDisk>,
    workload: Workload,
}

impl History {
    /// `block_size`: what the disk writes whole or not at all, in bytes.
    fn of(filesystem: Filesystem, block_size: u32, rounds: u32) -> Result<Self, Box<dyn Error>> {
        let image = std::fs::read(filesystem.image()?.path())?;
        let disk = Arc::new(RecordingDisk::from_image(&image).block_size(block_size));
        let backend = Disk::new(Arc::clone(&disk));
        let workload = mounted_disk(backend, &filesystem.options(), |mount| {
            workload::run(mount, &disk, rounds)
        })?;
        Ok(History {
            filesystem,
            disk,
            workload,
        })
    }

    /// Moments to cut the power: the flushes, and random ones up to `count`.
    fn moments(&self, count: usize) -> Vec<(usize, Loss)> {
        let records = self.disk.recorded();
        let mut random = Rng::with_seed(11);
        let mut moments = Vec::new();
        for (n, record) in records.iter().enumerate() {
            if *record == Record::Flush {
                // Before it, when all that it covers can be lost, and after it.
                moments.push((n, Loss::Some(random.u64(..))));
                moments.push((n + 1, Loss::Everything));
            }
        }
        while moments.len() < count {
            let loss = match random.u32(0..8) {
                0 => Loss::Nothing,
                1 => Loss::Everything,
                _ => Loss::Some(random.u64(..)),
            };
            moments.push((random.usize(0..=records.len()), loss));
        }
        // When there are more flushes than moments wanted: some of all.
        random.shuffle(&mut moments);
        moments.truncate(count);
        moments
    }

    fn cut(&self, moment: usize, loss: Loss) -> Outcome {
        let disk = Arc::new(self.disk.after_power_cut(moment, loss));
        let backend = Disk::new(Arc::clone(&disk));
        mounted_disk(backend, &self.filesystem.options(), |mount| {
            self.workload.verify(mount, moment)?;
            mount.write("/afterwards", "it goes on")?;
            Ok(())
        })?;
        self.check(&disk)
    }

    fn check(&self, disk: &MemoryDisk) -> Outcome {
        let image = NamedTempFile::new()?;
        disk.save(image.as_file())?;
        self.filesystem.check(image.path())
    }

    fn cut_at(&self, moments: &[(usize, Loss)]) -> Outcome {
        let mut failures = String::new();
        for &(moment, loss) in moments {
            if let Err(error) = self.cut(moment, loss) {
                failures += &format!("after {moment} records, {loss:?}: {error}\n");
            }
        }
        match failures.is_empty() {
            true => Ok(()),
            false => Err(failures.into()),
        }
    }
}

/// Power cuts that take seconds, for every run of the tests.
fn some(filesystem: Filesystem, block_size: u32) -> Outcome {
    let history = History::of(filesystem, block_size, 8)?;
    history.cut_at(&history.moments(25))
}

/// At every flush, and a thousand altogether at least.
fn all(filesystem: Filesystem, block_size: u32) -> Outcome {
    let history = History::of(filesystem, block_size, 60)?;
    let flushes = history.disk.recorded();
    let flushes = flushes.iter().filter(|record| **record == Record::Flush);
    let moments = history.moments(1000.max(2 * flushes.count() + 200));
    println!(
        "{} records, {} power cuts",
        history.disk.moment(),
        moments.len()
    );
    history.cut_at(&moments)
}

#[test]
fn ext4() -> Outcome {
    some(EXT4, 512)
}

#[test]
fn xfs() -> Outcome {
    some(XFS, 512)
}

#[test]
fn btrfs() -> Outcome {
    some(BTRFS, 512)
}

/// f2fs counts on its blocks being written whole, as flash writes them, and on a flush
/// that covers writes on their way (`drupe_cpu::work`).
#[test]
fn f2fs() -> Outcome {
    some(F2FS, 4096)
}

#[test]
#[ignore = "takes minutes; cargo xtask soak"]
fn all_of_ext4() -> Outcome {
    all(EXT4, 512)
}

#[test]
#[ignore = "takes minutes; cargo xtask soak"]
fn all_of_xfs() -> Outcome {
    all(XFS, 512)
}

#[test]
#[ignore = "takes minutes; cargo xtask soak"]
fn all_of_btrfs() -> Outcome {
    all(BTRFS, 512)
}

#[test]
#[ignore = "takes minutes; cargo xtask soak"]
fn all_of_f2fs() -> Outcome {
    all(F2FS, 4096)
}

/// The suite notices a disk that forgets what it was told to flush.
#[test]
fn a_disk_that_lies_is_found_out() -> Outcome {
    let history = History::of(EXT4, 512, 8)?;
    let end = history.disk.moment();
    // The disk of an earlier moment, verified as if it were that of the end.
    let disk = Arc::new(history.disk.after_power_cut(end / 2, Loss::Everything));
    let verified = mounted_disk(Disk::new(disk), &EXT4.options(), |mount| {
        Ok(history.workload.verify(mount, end).is_err())
    })?;
    assert!(verified, "half of the writes are missing, and nothing is");
    Ok(())
}
