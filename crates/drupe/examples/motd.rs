//! Writes a file into a disk image and lists the directory it is in.
//!
//! ```text
//! truncate -s 64M disk.img && mkfs.ext4 disk.img
//! cargo run --example motd disk.img
//! ```

use drupe::{Disk, Kernel, MountOptions};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args_os().nth(1).ok_or("usage: motd IMAGE")?;
    let kernel = Kernel::boot()?;
    let disk = kernel.add_disk(Disk::open(path)?)?;
    let root = disk.whole().mount(MountOptions::new())?;

    root.create_dir_all("/etc")?;
    root.write("/etc/motd", "Written by Linux, in this very process.\n")?;
    for entry in root.read_dir("/etc")? {
        println!("{}", entry?.path().display());
    }
    Ok(root.umount()?)
}
