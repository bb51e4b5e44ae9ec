//! Helpers of the suites: kernels and mounts of images.

use std::error::Error;
use std::path::Path;

use drupe::{Disk, Kernel, Mount, MountOptions};

/// Mounts an image with a kernel of its own, does something, and takes
/// everything apart; each step must succeed.
pub(crate) fn mounted<T>(
    image: &Path,
    options: &MountOptions,
    work: impl FnOnce(&Mount) -> Result<T, Box<dyn Error>>,
) -> Result<T, Box<dyn Error>> {
    mounted_disk(Disk::open(image)?, options, work)
}

/// The same with the disk opened otherwise.
pub(crate) fn mounted_disk<T>(
    disk: Disk,
    options: &MountOptions,
    work: impl FnOnce(&Mount) -> Result<T, Box<dyn Error>>,
) -> Result<T, Box<dyn Error>> {
    mounted_by(Kernel::boot()?, disk, options, work)
}

/// The same with a kernel that is halted in the end.
pub(crate) fn mounted_by<T>(
    kernel: Kernel,
    disk: Disk,
    options: &MountOptions,
    work: impl FnOnce(&Mount) -> Result<T, Box<dyn Error>>,
) -> Result<T, Box<dyn Error>> {
    let disk = kernel.add_disk(disk)?;
    let mount = disk.whole().mount(options.clone())?;
    let result = work(&mount)?;
    mount.umount()?;
    disk.remove()?;
    kernel.halt()?;
    Ok(result)
}
