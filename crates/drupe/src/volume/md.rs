//! Assembles and stops md arrays (`drivers/md/md.c`).

use std::ffi::CString;
use std::sync::Arc;

use super::{Mapped, Teardown};
use crate::kernel::KernelInner;
use crate::partition::Partition;
use crate::sys::{self, AT_FDCWD, OwnedFd};
use crate::sysfs;

/// The major number of md devices.
const MAJOR: u32 = 9;

/// Starts the array of `members`, whose superblocks have `version`.
pub(super) fn assemble(
    kernel: &Arc<KernelInner>,
    version: (u32, u32),
    members: Vec<Partition>,
) -> sys::Result<Mapped> {
    let minor = kernel.mount_number();
    let name = format!("md{minor}");
    // Opening a device that is not there yet makes the array.
    let node = node(&name);
    let mode = libc::S_IFBLK | 0o600;
    let device = crate::fs::makedev(MAJOR, minor);
    kernel.sys.mknodat(AT_FDCWD, &node, mode, device)?;
    let opened = kernel.sys.openat(AT_FDCWD, &node, libc::O_RDONLY, 0);
    let array = opened.inspect_err(|_| {
        let _ = kernel.sys.unlinkat(AT_FDCWD, &node, 0);
    })?;
    let read_only = members.iter().all(Partition::is_read_only);
    // From here on, dropping it stops the array.
    let mut mapped = Mapped {
        kernel: Arc::clone(kernel),
        name,
        size: 0,
        read_only,
        teardown: Teardown::Md,
        _below: members,
    };
    start(kernel, &array, version, &mapped._below)?;
    drop(array);
    mapped.size = sysfs::size_of_device(kernel, &mapped.name)?;
    Ok(mapped)
}

fn start(
    kernel: &Arc<KernelInner>,
    array: &OwnedFd,
    version: (u32, u32),
    members: &[Partition],
) -> sys::Result<()> {
    kernel.sys.md_set_version(array.raw(), version)?;
    for member in members {
        let device = sysfs::dev_number(kernel, member.name())?;
        kernel.sys.md_add_disk(array.raw(), device)?;
    }
    kernel.sys.md_run(array.raw())
}

pub(super) fn stop(kernel: &Arc<KernelInner>, name: &str) -> sys::Result<()> {
    let node = node(name);
    let array = kernel.sys.openat(AT_FDCWD, &node, libc::O_RDONLY, 0)?;
    let stopped = kernel.sys.md_stop(array.raw());
    let removed = kernel.sys.unlinkat(AT_FDCWD, &node, 0);
    stopped.and(removed)
}

/// The path of a device node that this crate makes in the kernel's root: devtmpfs has one
/// only once the array exists.
fn node(name: &str) -> CString {
    CString::new(format!("/{name}")).unwrap_or_default()
}
