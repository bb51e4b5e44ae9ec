//! Many threads on one mount, many kernels in one process.

use std::thread;
use std::time::{Duration, Instant};

use drupe::{Disk, Kernel, Mount, MountOptions};
use tempfile::NamedTempFile;

use crate::Outcome;
use crate::contents::Contents;
use crate::filesystems::{self as fs, Filesystem};
use crate::lab::mounted;

const THREADS: u64 = 8;

/// One round of a thread in its own directory: write, sync, read back, rename,
/// remove. `Err` names what was wrong.
fn round(
    mount: &Mount,
    thread: u64,
    round: u64,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let name = |n: u64| format!("/{thread}/file {n}");
    let contents = Contents::full(
        thread << 32 | round,
        (round * 7919 + thread * 4099) % 300_000,
    );
    let bytes = contents.bytes();
    let file = mount.create(name(round))?;
    file.write_all_at(&bytes, 0)?;
    if round.is_multiple_of(3) {
        file.sync_all()?;
    }
    if mount.read(name(round))? != bytes {
        return Err(format!("{} reads back otherwise", name(round)).into());
    }
    // What was written some rounds ago has been moved here.
    if round >= 10 {
        let old = round - 10;
        let contents = Contents::full(thread << 32 | old, (old * 7919 + thread * 4099) % 300_000);
        let moved = format!("/shared/{thread}-{old}");
        mount.rename(name(old), &moved)?;
        if mount.read(&moved)? != contents.bytes() {
            return Err(format!("{moved} reads back otherwise").into());
        }
        if !old.is_multiple_of(5) {
            mount.remove_file(&moved)?;
        }
    }
    if round.is_multiple_of(50) {
        mount.sync()?;
    }
    Ok(())
}

/// Works with all threads, as long as `more` says so of a round.
fn work(mount: &Mount, more: impl Fn(u64) -> bool + Sync) -> Outcome {
    mount.create_dir("/shared")?;
    for thread in 0..THREADS {
        mount.create_dir(format!("/{thread}"))?;
    }
    let more = &more;
    thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                scope.spawn(move || {
                    let mut rounds = (0..).take_while(|&n| more(n));
                    rounds.try_for_each(|n| round(mount, thread, n))
                })
            })
            .collect();
        for thread in threads {
            let result = thread.join().map_err(|_| "a thread panicked")?;
            result.map_err(|error| error as Box<dyn std::error::Error>)?;
        }
        Ok(())
    })
}

fn eight_threads(filesystem: &Filesystem, more: impl Fn(u64) -> bool + Sync) -> Outcome {
    let image = filesystem.image()?;
    let options = filesystem.options();
    mounted(image.path(), &options, |mount| work(mount, more))?;
    filesystem.check(image.path())
}

#[test]
fn eight_threads_on_ext4() -> Outcome {
    eight_threads(&fs::EXT4, |round| round < 60)
}

#[test]
fn eight_threads_on_xfs() -> Outcome {
    eight_threads(&fs::XFS, |round| round < 60)
}

#[test]
fn eight_threads_on_btrfs() -> Outcome {
    eight_threads(&fs::BTRFS, |round| round < 40)
}

#[test]
#[ignore = "takes half a minute; cargo xtask soak"]
fn eight_threads_for_30_seconds() -> Outcome {
    let end = Instant::now() + Duration::from_secs(30);
    let big = Filesystem {
        size: 8 << 30,
        ..fs::EXT4
    };
    eight_threads(&big, |_| Instant::now() < end)
}

#[test]
fn several_kernels_at_once() -> Outcome {
    let all = [fs::EXT4, fs::XFS, fs::VFAT, fs::F2FS];
    let results: Vec<Result<(), String>> = thread::scope(|scope| {
        let threads: Vec<_> = all
            .iter()
            .map(|filesystem| {
                scope.spawn(|| {
                    eight_threads(filesystem, |round| round < 15).map_err(|e| e.to_string())
                })
            })
            .collect();
        let join = |thread: thread::ScopedJoinHandle<'_, _>| thread.join();
        let results = threads.into_iter().map(join);
        results
            .map(|result| result.unwrap_or_else(|_| Err("a thread panicked".into())))
            .collect()
    });
    for result in results {
        result?;
    }
    Ok(())
}

/// Each has an image and a mount of its own, and all are there together.
#[test]
fn a_hundred_kernels_at_once() -> Outcome {
    let blank = Filesystem {
        size: 16 << 20,
        ..fs::EXT4
    }
    .image()?;
    let mut worlds = Vec::new();
    for n in 0..100u32 {
        let image = NamedTempFile::new()?;
        std::fs::copy(blank.path(), image.path())?;
        let kernel = Kernel::boot()?;
        let disk = kernel.add_disk(Disk::open(image.path())?)?;
        let mount = disk.whole().mount(MountOptions::new())?;
        mount.write("/number", n.to_string())?;
        worlds.push((image, kernel, mount));
    }
    for (n, (_, _, mount)) in worlds.iter().enumerate() {
        assert_eq!(mount.read_to_string("/number")?, n.to_string());
    }
    for (image, kernel, mount) in worlds {
        drop((mount, kernel));
        fs::EXT4.check(image.path())?;
    }
    Ok(())
}
