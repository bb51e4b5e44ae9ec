//! Lifetimes of handles: each keeps what it needs, and no order of dropping loses data.

use std::error::Error;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Instant;

use drupe::{Cause, Disk, Errno, Kernel, MemoryDisk, MountOptions};

mod image;

type Outcome = Result<(), Box<dyn Error>>;

fn errno<T>(result: drupe::Result<T>) -> Option<Errno> {
    result.err().and_then(|error| error.errno())
}

/// What the image holds, by the word of debugfs.
fn cat(image: &Path, file: &str) -> Result<String, Box<dyn Error>> {
    let mut debugfs = Command::new("debugfs");
    image::run(debugfs.arg("-R").arg(format!("cat {file}")).arg(image))
}

#[test]
fn every_order_of_dropping() -> Outcome {
    // Each digit names a handle: kernel, disk, mount, file.
    for order in ["0123", "3210", "2130", "1032", "0321"] {
        let image = image::ext4(16 << 20)?;
        let kernel = Kernel::boot()?;
        let disk = kernel.add_disk(Disk::open(image.path())?)?;
        let mount = disk.whole().mount(MountOptions::new())?;
        let mut file = mount.create("file")?;
        file.write_all(order.as_bytes())?;
        let mut handles: [Option<Box<dyn std::any::Any>>; 4] = [
            Some(Box::new(kernel)),
            Some(Box::new(disk)),
            Some(Box::new(mount)),
            Some(Box::new(file)),
        ];
        for digit in order.bytes() {
            handles[usize::from(digit - b'0')] = None;
        }
        // Unmounted: no journal to replay, nothing lost. And unlocked.
        image::check_ext4(image.path())?;
        assert_eq!(cat(image.path(), "file")?, order);
        Disk::open(image.path())?;
    }
    Ok(())
}

#[test]
fn busy_things_stay() -> Outcome {
    let image = image::ext4(16 << 20)?;
    let kernel = Kernel::boot()?;
    let disk = kernel.add_disk(Disk::open(image.path())?)?;
    let mount = disk.whole().mount(MountOptions::new())?;
    assert_eq!(errno(disk.clone().remove()), Some(Errno::BUSY));
    let file = mount.create("file")?;
    assert_eq!(errno(mount.umount()), Some(Errno::BUSY));
    file.write_all_at(b"still open", 0)?;
    drop(file);
    // That was the last one: it is unmounted now.
    disk.remove()?;
    image::check_ext4(image.path())?;
    assert_eq!(cat(image.path(), "file")?, "still open");
    Ok(())
}

#[test]
fn halting_with_everything_open() -> Outcome {
    let image = image::ext4(16 << 20)?;
    let kernel = Kernel::boot()?;
    let disk = kernel.add_disk(Disk::open(image.path())?)?;
    let mount = disk.whole().mount(MountOptions::new())?;
    mount.write("closed", "closed")?;
    let file = mount.create("open")?;
    file.write_all_at(b"open", 0)?;
    kernel.halt()?;
    kernel.halt()?;
    let error = file
        .write_all_at(b"late", 0)
        .expect_err("the kernel is gone");
    assert!(matches!(error.cause(), Cause::Halted), "{error}");
    let error = mount.read("closed").expect_err("the kernel is gone");
    assert_eq!(error.to_string(), "open closed: the kernel has been halted");
    drop((file, mount, disk, kernel));
    // As after sync(2): e2fsck replays the journal and has nothing to repair.
    image::run(Command::new("e2fsck").arg("-p").arg(image.path()))?;
    image::check_ext4(image.path())?;
    assert_eq!(cat(image.path(), "closed")?, "closed");
    assert_eq!(cat(image.path(), "open")?, "open");
    Ok(())
}

#[test]
fn two_kernels_two_disks() -> Outcome {
    let (one, two) = (image::ext4(16 << 20)?, image::ext4(16 << 20)?);
    let open = |image: &Path| -> drupe::Result<_> {
        let kernel = Kernel::boot()?;
        let disk = kernel.add_disk(Disk::open(image)?)?;
        disk.whole().mount(MountOptions::new())
    };
    let (first, second) = (open(one.path())?, open(two.path())?);
    std::thread::scope(|scope| {
        let write = |mount: &drupe::Mount, text: &str| -> drupe::Result<()> {
            for n in 0..100 {
                mount.write(format!("{text} {n}"), text)?;
            }
            Ok(())
        };
        let (first, second) = (&first, &second);
        let threads = [
            scope.spawn(move || write(first, "first")),
            scope.spawn(move || write(second, "second")),
        ];
        threads
            .into_iter()
            .try_for_each(|thread| match thread.join() {
                Ok(result) => result,
                Err(panic) => std::panic::resume_unwind(panic),
            })
    })?;
    assert!(!first.exists("second 0")?);
    first.umount()?;
    assert_eq!(second.read_to_string("second 99")?, "second");
    second.umount()?;
    image::check_ext4(one.path())?;
    image::check_ext4(two.path())
}

/// A mount of another thread's making works in this one, and without a disk.
#[test]
fn threads_come_and_go() -> Outcome {
    let kernel = Kernel::boot()?;
    let mount = kernel.mount_virtual("tmpfs", MountOptions::new())?;
    for n in 0..50 {
        let mount = mount.clone();
        let name = format!("of thread {n}");
        let thread = std::thread::spawn(move || mount.write(name, "x"));
        thread.join().map_err(|_| "a thread panicked")??;
    }
    assert_eq!(mount.read_dir("/")?.count(), 50);
    mount.umount()?;
    Ok(kernel.halt()?)
}

#[test]
fn a_disk_of_the_programs_own() -> Outcome {
    let image = image::ext4(8 << 20)?;
    let memory = Arc::new(MemoryDisk::from_image(&std::fs::read(image.path())?));
    let kernel = Kernel::boot()?;
    let disk = kernel.add_disk(Disk::new(Arc::clone(&memory)))?;
    let mount = disk.whole().mount(MountOptions::new())?;
    mount.write("file", "in memory")?;
    mount.umount()?;
    disk.remove()?;
    std::fs::write(image.path(), memory.to_image())?;
    image::check_ext4(image.path())?;
    assert_eq!(cat(image.path(), "file")?, "in memory");
    Ok(())
}

#[test]
fn read_only_in_three_ways() -> Outcome {
    let image = image::ext4(16 << 20)?;
    let before = std::fs::read(image.path())?;
    let kernel = Kernel::boot()?;

    let disk = kernel.add_disk(Disk::options().read_only(true).open(image.path())?)?;
    let mount = disk.whole().mount(MountOptions::new())?;
    assert_eq!(errno(mount.create("x")), Some(Errno::ROFS));
    drop((mount, disk));

    let disk = kernel.add_disk(Disk::options().copy_on_write(true).open(image.path())?)?;
    let mount = disk.whole().mount(MountOptions::new())?;
    mount.write("x", "only in memory")?;
    assert_eq!(mount.read("x")?, b"only in memory");
    drop((mount, disk));
    assert!(
        before == std::fs::read(image.path())?,
        "the image was written"
    );

    let disk = kernel.add_disk(Disk::open(image.path())?)?;
    let mount = disk.whole().mount(MountOptions::new().read_only(true))?;
    assert_eq!(errno(mount.create("x")), Some(Errno::ROFS));
    mount.umount()?;
    image::check_ext4(image.path())
}

#[test]
fn what_is_no_filesystem() -> Outcome {
    let image = image::empty(8 << 20)?;
    let kernel = Kernel::boot()?;
    let disk = kernel.add_disk(Disk::open(image.path())?)?;
    let error = disk.whole().mount(MountOptions::new()).err();
    let cause = error.as_ref().map(drupe::Error::cause);
    assert!(
        matches!(cause, Some(Cause::NoFilesystem(None))),
        "{cause:?}"
    );
    let error = disk.partition(1).err().map(|error| error.to_string());
    assert_eq!(
        error.as_deref(),
        Some("partition: there is no partition 1; the disk has no partition table")
    );
    let options = MountOptions::new().fstype("nosuchfs");
    assert_eq!(errno(disk.whole().mount(options)), Some(Errno::NODEV));
    let error = Disk::open("/nonexistent")
        .err()
        .map(|error| error.to_string());
    assert_eq!(
        error.as_deref(),
        Some("open disk /nonexistent: No such file or directory (ENOENT)")
    );
    Ok(())
}

/// The second one waits until the first has made the filesystem clean.
#[test]
fn halting_from_two_threads_leaves_a_clean_filesystem() -> Outcome {
    for _ in 0..20 {
        let image = image::ext4(16 << 20)?;
        let kernel = Kernel::boot()?;
        let disk = kernel.add_disk(Disk::open(image.path())?)?;
        let mount = disk.whole().mount(MountOptions::new())?;
        mount.write("file", vec![7; 1 << 20])?;
        let start = Barrier::new(2);
        let halt = || {
            start.wait();
            kernel.halt()
        };
        thread::scope(|scope| {
            let other = scope.spawn(halt);
            halt()?;
            other.join().expect("no panic")
        })?;
        image::check_ext4(image.path())?;
    }
    Ok(())
}

/// Eight threads contend for the CPU, so that a deadline that has passed would
/// often refuse a call: nothing that gives something back may be refused.
#[test]
fn drops_have_no_deadline() -> Outcome {
    let image = image::ext4(16 << 20)?;
    let kernel = Kernel::boot()?;
    let disk = kernel.add_disk(Disk::open(image.path())?)?;
    let mount = disk.whole().mount(MountOptions::new())?;
    mount.write("file", vec![7; 100_000])?;
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..500 {
                    let file = mount.open("file").expect("no deadline");
                    let now = Instant::now();
                    let size = drupe::with_deadline(now, || {
                        let size = file.metadata().map(|metadata| metadata.len());
                        drop(file);
                        size
                    });
                    match size {
                        Ok(size) => assert_eq!(size, 100_000),
                        Err(error) => assert!(matches!(error.cause(), Cause::TimedOut)),
                    }
                }
            });
        }
    });
    // EBUSY if a file were still open.
    mount.umount()?;
    drupe::with_deadline(Instant::now(), || -> Outcome {
        Kernel::boot()?;
        drop((disk, kernel));
        Ok(())
    })?;
    image::check_ext4(image.path())
}
