//! Methods of [`Mount`] that concern its whole filesystem: label, UUID, size.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use drupe_abi::Errno;
use drupe_machine::Error as MachineError;

use super::file::named;
use crate::Mount;
use crate::error::Result;
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

    fn magic(&self) -> sys::Result<i64> {
        let root = &self.inner.root;
        Ok(root.sys().fstatfs(root.raw())?.f_type)
    }
}
