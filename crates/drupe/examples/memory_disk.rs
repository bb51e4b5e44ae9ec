//! Changes a disk image in memory: the file itself stays as it is.
//!
//! ```text
//! truncate -s 64M disk.img && mkfs.ext4 disk.img
//! cargo run --example memory_disk disk.img new.img
//! ```

use std::sync::Arc;

use drupe::{Disk, Kernel, MemoryDisk, MountOptions};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut paths = std::env::args_os().skip(1);
    let image = paths.next().ok_or("usage: memory_disk IMAGE [RESULT]")?;

    // The kernel gets one handle to the disk, the program keeps the other.
    let memory = Arc::new(MemoryDisk::from_image(&std::fs::read(image)?));
    let kernel = Kernel::boot()?;
    let disk = kernel.add_disk(Disk::new(Arc::clone(&memory)))?;
    let root = disk.whole().mount(MountOptions::new())?;
    root.write("/note", "Written to memory.\n")?;
    for entry in root.read_dir("/")? {
        println!("{}", entry?.path().display());
    }
    root.umount()?;

    if let Some(result) = paths.next() {
        std::fs::write(result, memory.to_image())?;
    }
    Ok(())
}
