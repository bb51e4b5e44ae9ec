//! Filesystems on a disk that fails: errors, no panics, and a disk that can be
//! repaired.

use std::error::Error;
use std::process::Command;
use std::sync::Arc;

use drupe::{Disk, DiskOp, Errno, Fault, Faults, FaultyDisk, Kernel, MemoryDisk};
use drupe::{Mount, MountOptions};

mod image;

type Outcome = Result<(), Box<dyn Error>>;

fn errno<T>(result: drupe::Result<T>) -> Option<Errno> {
    result.err().and_then(|error| error.errno())
}

/// An ext4 with a file on it that is on the disk.
struct Setup {
    memory: Arc<MemoryDisk>,
    faults: Faults,
    kernel: Kernel,
    mount: Mount,
}

fn setup() -> Result<Setup, Box<dyn Error>> {
    let image = image::ext4(16 << 20)?;
    let memory = Arc::new(MemoryDisk::from_image(&std::fs::read(image.path())?));
    let disk = FaultyDisk::new(Arc::clone(&memory));
    let faults = disk.faults();
    let kernel = Kernel::boot()?;
    let disk = kernel.add_disk(Disk::new(disk))?;
    let mount = disk.whole().mount(MountOptions::new())?;
    let file = mount.create("kept")?;
    file.write_all_at(b"before the fault", 0)?;
    file.sync_all()?;
    Ok(Setup {
        memory,
        faults,
        kernel,
        mount,
    })
}

impl Setup {
    /// The kernel lives; e2fsck mends the disk; the file is there.
    fn check(self) -> Outcome {
        self.faults.clear();
        // What has been lost may be told once more.
        let _ = self.mount.umount();
        self.kernel.halt()?;
        let image = tempfile::NamedTempFile::new()?;
        std::fs::write(image.path(), self.memory.to_image())?;
        let repair = Command::new("e2fsck")
            .arg("-fy")
            .arg(image.path())
            .output()?;
        // 1: errors have been corrected.
        assert!(matches!(repair.status.code(), Some(0 | 1)), "{repair:?}");
        image::check_ext4(image.path())?;
        let mut debugfs = Command::new("debugfs");
        let kept = image::run(debugfs.args(["-R", "cat kept"]).arg(image.path()))?;
        assert_eq!(kept, "before the fault");
        Ok(())
    }
}

#[test]
fn writes_that_fail_make_ext4_read_only() -> Outcome {
    let setup = setup()?;
    setup.faults.add(Fault::new(DiskOp::Write));
    let file = setup.mount.create("lost")?;
    file.write_all_at(&[7; 100_000], 0)?;
    assert_eq!(errno(file.sync_all()), Some(Errno::IO));
    assert!(setup.faults.failed(DiskOp::Write) > 0);
    // No data is left to write: it is the journal now that cannot be.
    assert_eq!(errno(file.sync_all()), Some(Errno::IO));
    assert_eq!(errno(setup.mount.create("later")), Some(Errno::ROFS));
    drop(file);
    setup.check()
}

#[test]
fn a_flush_that_fails_is_told() -> Outcome {
    let setup = setup()?;
    let flushes = setup.faults.asked(DiskOp::Flush);
    setup.faults.add(Fault::new(DiskOp::Flush));
    let file = setup.mount.create("lost")?;
    file.write_all_at(b"x", 0)?;
    assert_eq!(errno(file.sync_all()), Some(Errno::IO));
    assert!(setup.faults.asked(DiskOp::Flush) > flushes);
    drop(file);
    setup.check()
}

/// Those of the disk: what is in the kernel's cache is still read.
#[test]
fn reads_that_fail_fail_alone() -> Outcome {
    let setup = setup()?;
    setup.mount.write("big", vec![7; 1 << 20])?;
    let file = setup.mount.open("big")?;
    file.sync_all()?;
    // The pages are clean: out of the cache with them.
    let drop_caches = setup.kernel.mount_virtual("proc", MountOptions::new())?;
    drop_caches.write("sys/vm/drop_caches", "1")?;
    setup.faults.add(Fault::new(DiskOp::Read));
    assert_eq!(errno(setup.mount.read("big")), Some(Errno::IO));
    setup.faults.clear();
    assert_eq!(setup.mount.read("big")?, vec![7; 1 << 20]);
    drop(file);
    setup.check()
}
