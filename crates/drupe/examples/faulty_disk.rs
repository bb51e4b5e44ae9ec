//! Shows what a filesystem does when its disk fails: all writes from the 20th on fail.
//! The image is read into memory, and not changed.
//!
//! ```text
//! truncate -s 64M disk.img && mkfs.ext4 disk.img
//! cargo run --example faulty_disk disk.img
//! ```

use drupe::{Disk, DiskOp, Fault, FaultyDisk, Kernel, MemoryDisk, Mount, MountOptions};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let image = std::env::args_os().nth(1);
    let image = image.ok_or("usage: faulty_disk IMAGE")?;
    let disk = FaultyDisk::new(MemoryDisk::from_image(&std::fs::read(image)?));
    // The handle works while the kernel has the disk.
    let faults = disk.faults();

    let kernel = Kernel::boot()?;
    let disk = kernel.add_disk(Disk::new(disk))?;
    let root = disk.whole().mount(MountOptions::new())?;
    let before = faults.asked(DiskOp::Write);
    faults.add(Fault::new(DiskOp::Write).after(20));
    for number in 1..=10 {
        match write_safely(&root, number) {
            Ok(()) => println!("file {number} is on the disk"),
            Err(error) => println!("file {number} is not: {error}"),
        }
    }
    println!(
        "{} writes were asked for, {} failed",
        faults.asked(DiskOp::Write) - before,
        faults.failed(DiskOp::Write)
    );
    // The disk works again; the filesystem has given up.
    faults.clear();
    if let Err(error) = write_safely(&root, 11) {
        println!("file 11 is not: {error}");
    }
    println!("The kernel's own words:");
    for line in kernel.log().lines().filter(|line| line.contains("error")) {
        println!("  {line}");
    }
    Ok(())
}

/// Returns when the file is on the disk.
fn write_safely(root: &Mount, number: u32) -> drupe::Result<()> {
    let file = root.create(format!("/file-{number}"))?;
    file.write_all_at(&[7; 10_000], 0)?;
    file.sync_all()
}
