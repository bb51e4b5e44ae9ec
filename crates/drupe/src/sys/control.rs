//! Calls of ioctl(2) on a filesystem as a whole: its label, UUID and size, and what is
//! btrfs' own. Each takes a structure of plain numbers and bytes, without pointers.

use super::call::{Result, Sys, fd};
use super::nr;

/// An ioctl whose argument is `LEN` bytes that the kernel reads, writes, or both.
///
/// # Invariants
///
/// `LEN` is at least what the kernel accesses, and no byte of it is a pointer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Control<const LEN: usize>(usize);

const fn ioc(direction: usize, group: usize, number: usize, size: usize) -> usize {
    direction << 30 | size << 16 | group << 8 | number
}

const BTRFS: usize = 0x94;

// INVARIANT, of all of these: the structures of include/uapi/linux/fs.h, ext4.h, btrfs.h
// and fs/xfs/libxfs/xfs_fs.h. The only pointer is `qgroup_inherit` of a snapshot, which
// counts if `flags` says so: see `Sys::control`.
/// `char[FSLABEL_MAX]`
pub(crate) const GET_LABEL: Control<256> = Control(ioc(2, 0x94, 49, 256));
pub(crate) const SET_LABEL: Control<256> = Control(ioc(1, 0x94, 50, 256));
/// `struct fsuuid`, which counts as 8 bytes, with the 16 behind it.
pub(crate) const EXT4_SET_UUID: Control<24> = Control(ioc(1, b'f' as usize, 44, 8));
/// The number of blocks.
pub(crate) const EXT4_RESIZE: Control<8> = Control(ioc(1, b'f' as usize, 16, 8));
/// `struct xfs_fsop_geom_v1`
pub(crate) const XFS_GEOMETRY: Control<112> = Control(ioc(2, b'X' as usize, 100, 112));
/// `struct xfs_growfs_data`
pub(crate) const XFS_GROW: Control<16> = Control(ioc(1, b'X' as usize, 110, 16));
/// `struct btrfs_ioctl_vol_args`
pub(crate) const BTRFS_RESIZE: Control<4096> = Control(ioc(1, BTRFS, 3, 4096));
pub(crate) const BTRFS_SUBVOLUME_CREATE: Control<4096> = Control(ioc(1, BTRFS, 14, 4096));
pub(crate) const BTRFS_SUBVOLUME_DELETE: Control<4096> = Control(ioc(1, BTRFS, 15, 4096));
/// `struct btrfs_ioctl_search_args`
pub(crate) const BTRFS_SEARCH: Control<4096> = Control(ioc(3, BTRFS, 17, 4096));
/// `struct btrfs_ioctl_ino_lookup_args`
pub(crate) const BTRFS_LOOKUP: Control<4096> = Control(ioc(3, BTRFS, 18, 4096));
/// `struct btrfs_ioctl_vol_args_v2`
pub(crate) const BTRFS_SNAPSHOT: Control<4096> = Control(ioc(1, BTRFS, 23, 4096));
/// `struct btrfs_ioctl_scrub_args`
pub(crate) const BTRFS_SCRUB: Control<1024> = Control(ioc(3, BTRFS, 27, 1024));
/// `struct btrfs_ioctl_fs_info_args`
pub(crate) const BTRFS_INFO: Control<1024> = Control(ioc(2, BTRFS, 31, 1024));

/// `BTRFS_SUBVOL_QGROUP_INHERIT`: there is a pointer.
const QGROUP_INHERIT: u8 = 4;

impl Sys {
    pub(crate) fn control<const LEN: usize>(
        &self,
        file: i32,
        request: Control<LEN>,
        argument: &mut [u8; LEN],
    ) -> Result<()> {
        if request.0 == BTRFS_SNAPSHOT.0 {
            // `flags` is at 16: without this bit, the pointer is not looked at.
            argument[16] &= !QGROUP_INHERIT;
        }
        let args = [fd(file), request.0, argument.as_mut_ptr() as usize];
        // SAFETY: by the invariant of `Control`, the kernel accesses `argument` only, all
        // of whose bit patterns are values.
        unsafe { self.raw(nr::IOCTL, args) }.map(drop)
    }
}
