//! Reads names, numbers and sizes of the kernel's block devices in sysfs.

use std::ffi::CString;
use std::sync::Arc;

use drupe_abi::Errno;
use drupe_machine::Error as MachineError;
use drupe_ondisk::SECTOR;

use crate::fs;
use crate::kernel::{KernelInner, Pseudo};
use crate::sys::{self, AT_FDCWD};

/// The names in a directory.
pub(crate) fn names(kernel: &Arc<KernelInner>, path: &str) -> sys::Result<Vec<String>> {
    kernel.need(Pseudo::Sys)?;
    fs::names(&kernel.sys, path)
}

/// Major and minor number of a device.
pub(crate) fn dev_number(kernel: &Arc<KernelInner>, name: &str) -> sys::Result<(u32, u32)> {
    let text = self::text(kernel, &format!("/sys/class/block/{name}/dev"))?;
    text.split_once(':')
        .and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)))
        .ok_or(MachineError::Errno(Errno::INVAL))
}

/// Bytes of a device.
pub(crate) fn size_of_device(kernel: &Arc<KernelInner>, name: &str) -> sys::Result<u64> {
    // Sectors of 512 bytes, whatever the disk's own are.
    Ok(number(kernel, &format!("/sys/class/block/{name}/size"))? * SECTOR)
}

/// Reads a number from a file of sysfs.
pub(crate) fn number(kernel: &Arc<KernelInner>, path: &str) -> sys::Result<u64> {
    let text = self::text(kernel, path)?;
    text.parse().map_err(|_| MachineError::Errno(Errno::INVAL))
}

/// Reads a short file of sysfs.
fn text(kernel: &Arc<KernelInner>, path: &str) -> sys::Result<String> {
    kernel.need(Pseudo::Sys)?;
    let path = CString::new(path).map_err(|_| MachineError::Errno(Errno::INVAL))?;
    let file = kernel.sys.openat(AT_FDCWD, &path, libc::O_RDONLY, 0)?;
    let mut text = [0; 64];
    let len = kernel.sys.read(file.raw(), &mut text)?;
    Ok(String::from_utf8_lossy(&text[..len]).trim_end().to_owned())
}
