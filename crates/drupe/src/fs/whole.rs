//! Methods of [`Mount`] that concern its whole filesystem: label, UUID, size.

use std::ffi::{CString, OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::sync::{Arc, PoisonError};

use drupe_abi::Errno;
use drupe_machine::Error as MachineError;

use super::file::named;
use super::path::Links;
use crate::Mount;
use crate::error::{Error, Result};
use crate::kernel::Pseudo;
use crate::sys;
use crate::sys::control::{
    BTRFS_RESIZE, EXT4_RESIZE, EXT4_SET_UUID, GET_LABEL, SET_LABEL, XFS_GEOMETRY, XFS_GROW,
};

/// Magic numbers of statfs(2).
const EXT4: i64 = 0xef53;
const XFS: i64 = 0x5846_5342;
const BTRFS: i64 = 0x9123_683e;

impl Mount {
    /// The label of the filesystem. ENOTTY: its driver in the kernel does not tell
    /// ([`Partition::probe`](crate::Partition::probe) may).
    pub fn label(&self) -> Result<OsString> {
        let root = &self.inner.root;
        let mut label = [0; 256];
        let done = root.sys().control(root.raw(), GET_LABEL, &mut label);
        named("get label", done)?;
        let text = label.split(|&byte| byte == 0).next().unwrap_or_default();
        Ok(OsString::from_vec(text.to_vec()))
    }

    /// Sets the label of the filesystem. EINVAL: it is too long for it, ENOTTY: its driver
    /// in the kernel cannot.
    pub fn set_label(&self, label: impl AsRef<OsStr>) -> Result<()> {
        let root = &self.inner.root;
        let mut argument = [0; 256];
        let bytes = label.as_ref().as_bytes();
        let done = match argument[..255].get_mut(..bytes.len()) {
            Some(place) if !bytes.contains(&0) => {
                place.copy_from_slice(bytes);
                root.sys().control(root.raw(), SET_LABEL, &mut argument)
            }
            _ => Err(MachineError::Errno(Errno::INVAL)),
        };
        named("set label", done)
    }

    /// Sets the UUID of the filesystem. Only ext4 can, while it is mounted; ENOTTY
    /// elsewhere.
    pub fn set_uuid(&self, uuid: [u8; 16]) -> Result<()> {
        let root = &self.inner.root;
        let mut argument = [0; 24];
        argument[..4].copy_from_slice(&16u32.to_ne_bytes());
        argument[8..].copy_from_slice(&uuid);
        let done = match self.magic() {
            Ok(EXT4) => root.sys().control(root.raw(), EXT4_SET_UUID, &mut argument),
            Ok(_) => Err(MachineError::Errno(Errno::NOTTY)),
            Err(error) => Err(error),
        };
        named("set UUID", done)
    }

    /// Grows the filesystem to `size` bytes, which its device must have: ext4, XFS and
    /// btrfs on one device. ENOTTY elsewhere. It is rounded down to whole blocks.
    pub fn grow(&self, size: u64) -> Result<()> {
        named("grow", self.grow_to(size))
    }

    fn grow_to(&self, size: u64) -> sys::Result<()> {
        let root = &self.inner.root;
        match self.magic()? {
            EXT4 => {
                let block = root.sys().fstatfs(root.raw())?.f_bsize as u64;
                let mut blocks = (size / block).to_ne_bytes();
                root.sys().control(root.raw(), EXT4_RESIZE, &mut blocks)
            }
            XFS => {
                let mut geometry = [0; 112];
                root.sys()
                    .control(root.raw(), XFS_GEOMETRY, &mut geometry)?;
                let word = |at: usize| {
                    let bytes = geometry[at..].first_chunk();
                    u32::from_ne_bytes(bytes.copied().unwrap_or_default())
                };
                let (block, most_inodes) = (word(0), word(28));
                let blocks = size.checked_div(block.into()).unwrap_or_default();
                let mut grow = [0; 16];
                grow[..8].copy_from_slice(&blocks.to_ne_bytes());
                grow[8..12].copy_from_slice(&most_inodes.to_ne_bytes());
                root.sys().control(root.raw(), XFS_GROW, &mut grow)
            }
            BTRFS => {
                let mut argument = [0; 4096];
                let text = format!("1:{size}");
                argument[8..8 + text.len()].copy_from_slice(text.as_bytes());
                root.sys().control(root.raw(), BTRFS_RESIZE, &mut argument)
            }
            _ => Err(MachineError::Errno(Errno::NOTTY)),
        }
    }

    /// Shows the filesystem of `other`, which is of the same kernel, on the directory at
    /// `path`: paths of this mount lead into it from now on, as below a mount point. It
    /// stays there until this mount is unmounted, also behind the end of `other`.
    pub fn show_at(&self, path: impl AsRef<Path>, other: &Mount) -> Result<()> {
        let path = path.as_ref();
        let shown = self.show(path, other);
        shown.map_err(|e| Error::at("mount", path, e))
    }

    fn show(&self, path: &Path, other: &Mount) -> sys::Result<()> {
        let inner = &self.inner;
        if !Arc::ptr_eq(&inner.kernel, &other.inner.kernel) {
            return Err(MachineError::Errno(Errno::XDEV));
        }
        inner.kernel.need(Pseudo::Proc)?;
        let pinned = inner.pin(path, Links::Follow)?;
        let link = format!("/proc/self/fd/{}", pinned.raw());
        let link = CString::new(link).unwrap_or_default();
        let sys = pinned.sys();
        // Without links: it is inside this mount whatever the image does.
        let real = CString::new(sys.readlinkat(sys::AT_FDCWD, &link)?).unwrap_or_default();
        let source = other.inner.target().as_os_str().as_bytes();
        let source = CString::new(source).unwrap_or_default();
        sys.mount(&source, &link, c"", libc::MS_BIND, b"")?;
        let below = &inner.attached.below;
        let mut below = below.lock().unwrap_or_else(PoisonError::into_inner);
        below.push((real, other.inner.device.clone()));
        Ok(())
    }

    fn magic(&self) -> sys::Result<i64> {
        let root = &self.inner.root;
        Ok(root.sys().fstatfs(root.raw())?.f_type)
    }
}
