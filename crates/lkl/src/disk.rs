//! Disks that the program has added.

use std::ffi::c_int;
use std::fs::File;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use drupe::{AttachedDisk, BlockDevice, Disk, Kernel};
use drupe_host::disk::FileDisk;

use crate::border::{Errno, Result};
use crate::disk_ops::{LklDisk, OwnDisk};
use crate::error::errno;
use crate::state::{self, List};

static DISKS: List<AddedDisk> = List::new();

/// A disk, of a kernel or to be.
struct AddedDisk {
    device: Arc<dyn BlockDevice>,
    attached: Option<AttachedDisk>,
}

impl AddedDisk {
    /// Plugs it in.
    fn attach(&mut self, kernel: &Kernel) -> Result<()> {
        let disk = kernel.add_disk(Disk::new(Arc::clone(&self.device)));
        self.attached = Some(disk.map_err(|error| errno(&error))?);
        Ok(())
    }
}

/// Plugs all disks into a kernel that has started.
pub(crate) fn attach_all(kernel: &Kernel) -> Result<()> {
    let mut disks = DISKS.lock();
    let mut disks = disks.iter_mut().flatten();
    disks.try_for_each(|disk| disk.attach(kernel))
}

/// The kernel has been halted: they are those of the next one.
pub(crate) fn detach_all() {
    for disk in DISKS.lock().iter_mut().flatten() {
        disk.attached = None;
    }
}

/// The name of a disk in the kernel: "vda".
pub(crate) fn name(number: u32) -> Result<String> {
    let disks = DISKS.lock();
    let disk = disks.get(number as usize).and_then(Option::as_ref);
    let attached = disk.and_then(|disk| disk.attached.as_ref());
    let attached = attached.ok_or(Errno::of(libc::ENODEV))?;
    Ok(attached.name().to_owned())
}

/// The file of a descriptor.
fn file(descriptor: c_int) -> Result<FileDisk> {
    if descriptor < 0 {
        return Err(Errno::of(libc::EBADF));
    }
    // SAFETY: the program has it open; if not, duplicating it fails.
    let borrowed = unsafe { BorrowedFd::borrow_raw(descriptor) };
    let owned = borrowed.try_clone_to_owned();
    let owned = owned.map_err(|error| Errno::host(&error))?;
    // SAFETY: a command without an argument.
    let flags = unsafe { libc::fcntl(descriptor, libc::F_GETFL) };
    let read_only = flags & libc::O_ACCMODE == libc::O_RDONLY;
    FileDisk::from_file(File::from(owned), read_only).map_err(|error| Errno::host(&error))
}

export! {
    fn lkl_disk_add(disk: *mut LklDisk) -> c_int {
        // SAFETY: NULL, or a disk of the program's that nobody else uses meanwhile.
        let disk = unsafe { disk.as_mut() }.ok_or(Errno::of(libc::EFAULT))?;
        let device: Arc<dyn BlockDevice> = match disk.ops.is_null() {
            true => Arc::new(file(disk.descriptor())?),
            false => Arc::new(OwnDisk::new(*disk)?),
        };
        let mut added = AddedDisk { device, attached: None };
        if let Some(kernel) = state::running() {
            added.attach(&kernel)?;
        }
        let number = DISKS.add(added);
        disk.dev = std::ptr::without_provenance_mut(number + 1);
        c_int::try_from(number).map_err(|_| Errno::of(libc::ENOSPC))
    }

    fn lkl_disk_remove(disk: LklDisk) -> c_int {
        let missing = Errno::of(libc::ENODEV);
        let number = disk.dev.addr().checked_sub(1).ok_or(missing)?;
        let mut disks = DISKS.lock();
        let place = disks.get_mut(number).ok_or(missing)?;
        let added = place.as_mut().ok_or(missing)?;
        if let Some(attached) = added.attached.clone() {
            attached.remove().map_err(|error| errno(&error))?;
        }
        let removed = place.take();
        drop(disks);
        drop(removed);
        Ok(0)
    }
}
