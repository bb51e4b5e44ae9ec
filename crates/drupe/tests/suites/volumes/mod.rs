//! Volumes between disks and filesystems: LUKS by cryptsetup, LVM by lvm2, md.

mod luks;
mod lvm;
mod md;

use std::ffi::CString;
use std::path::Path;

use drupe::{Disk, Kernel, MountOptions, Partition, Volumes, nr};
use zeroize::Zeroizing;

use crate::Outcome;
use crate::filesystems::{EXT4, Filesystem};

const MIB: u64 = 1 << 20;

/// Attaches images and finds what is on them.
fn volumes(
    kernel: &Kernel,
    images: &[&Path],
    read_only: bool,
    passphrase: Option<&str>,
) -> Result<Volumes, Box<dyn std::error::Error>> {
    let mut disks = Vec::new();
    for image in images {
        let disk = Disk::options().read_only(read_only).open(image)?;
        disks.push(kernel.add_disk(disk)?);
    }
    // Each is asked for once; after a wrong one there is no other.
    let mut ask = |_: &_, attempt| {
        let passphrase = passphrase.filter(|_| attempt == 0);
        passphrase.map(|text| Zeroizing::new(text.as_bytes().to_vec()))
    };
    Ok(kernel.volumes(&disks, &mut ask)?)
}

/// The device of a volume.
fn partition(volumes: &Volumes, id: &str) -> Result<Partition, Box<dyn std::error::Error>> {
    let found = volumes.find(0, id).and_then(|index| volumes.get(index));
    let known = || {
        volumes
            .iter()
            .map(|v| v.id().to_owned())
            .collect::<Vec<_>>()
    };
    let troubles = || {
        volumes
            .iter()
            .filter_map(|v| v.trouble().map(ToString::to_string))
            .collect::<Vec<_>>()
    };
    let volume = found.ok_or_else(|| format!("no {id} in {:?}: {:?}", known(), troubles()))?;
    Ok(volume.partition().clone())
}

/// Copies bytes onto a device of the kernel.
fn write_device(kernel: &Kernel, name: &str, bytes: &[u8]) -> Outcome {
    let path = CString::new(format!("/dev/{name}"))?;
    let flags = (libc::O_WRONLY | libc::O_EXCL) as usize;
    let at = libc::AT_FDCWD as isize as usize;
    let open = [at, path.as_ptr() as usize, flags, 0, 0, 0];
    // SAFETY: reads a string.
    let fd = unsafe { kernel.syscall(nr::OPENAT, open) }?;
    let mut done = 0;
    while done < bytes.len() {
        let rest = &bytes[done..];
        let write = [fd, rest.as_ptr() as usize, rest.len(), done, 0, 0];
        // SAFETY: reads `rest`.
        done += unsafe { kernel.syscall(nr::PWRITE64, write) }?;
    }
    // SAFETY: no pointers, and the descriptor is ours.
    unsafe { kernel.syscall(nr::FSYNC, [fd, 0, 0, 0, 0, 0]) }?;
    // SAFETY: the same.
    unsafe { kernel.syscall(nr::CLOSE, [fd, 0, 0, 0, 0, 0]) }?;
    Ok(())
}

/// Makes ext4 on a device of the kernel, with a file on it.
fn make_ext4(kernel: &Kernel, partition: &Partition, text: &str) -> Outcome {
    let filesystem = Filesystem {
        // As large as the sectors of any volume here.
        make: &["mkfs.ext4", "-q", "-b", "4096"],
        size: partition.size(),
        ..EXT4
    };
    let image = std::fs::read(filesystem.image()?.path())?;
    write_device(kernel, partition.name(), &image)?;
    let mount = partition.mount(MountOptions::new())?;
    mount.write("/file", text)?;
    Ok(mount.umount()?)
}

/// What make_ext4 has written.
fn read_ext4(partition: &Partition) -> Result<String, Box<dyn std::error::Error>> {
    let mount = partition.mount(MountOptions::new())?;
    let text = mount.read_to_string("/file")?;
    mount.umount()?;
    Ok(text)
}
