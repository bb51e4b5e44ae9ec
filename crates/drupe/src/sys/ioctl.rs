//! Calls of ioctl(2): for block devices, the device mapper, md, and file flags
//! (chattr(1)).

use drupe_abi::Errno;
use drupe_machine::Error;

use super::call::{Result, Sys, fd};
use super::nr;

/// `_IOC()` of include/uapi/asm-generic/ioctl.h; `direction`: 0 none, 1 write,
/// 2 read, 3 both.
const fn ioc(direction: usize, group: usize, number: usize, size: usize) -> usize {
    direction << 30 | size << 16 | group << 8 | number
}

/// `struct dm_ioctl`, include/uapi/linux/dm-ioctl.h.
pub(crate) const DM_HEADER: usize = 312;

/// `struct mdu_array_info_s`, include/uapi/linux/raid/md_u.h: 18 words.
type ArrayInfo = [u32; 18];
/// `struct mdu_disk_info_s`: number, major, minor, raid_disk, state.
type DiskInfo = [u32; 5];

const MD: usize = 9;
const SET_ARRAY_INFO: usize = ioc(1, MD, 0x23, size_of::<ArrayInfo>());
const ADD_NEW_DISK: usize = ioc(1, MD, 0x21, size_of::<DiskInfo>());
const RUN_ARRAY: usize = ioc(1, MD, 0x30, 12);
const STOP_ARRAY: usize = ioc(0, MD, 0x32, 0);

/// `struct blkpg_partition`, include/uapi/linux/blkpg.h.
#[repr(C)]
struct BlkpgPartition {
    /// First byte on the disk.
    start: i64,
    length: i64,
    number: i32,
    names: [u8; 128],
}

/// `struct blkpg_ioctl_arg`.
#[repr(C)]
struct BlkpgArgument {
    operation: i32,
    flags: i32,
    data_len: i32,
    data: *const BlkpgPartition,
}

const BLKPG: usize = ioc(0, 0x12, 105, 0);
const BLKPG_ADD_PARTITION: i32 = 1;

/// `FS_IOC_GETFLAGS` and `FS_IOC_SETFLAGS`: their numbers have the size of a long, their
/// argument is an int (include/uapi/linux/fs.h).
const GETFLAGS: usize = ioc(2, b'f' as usize, 1, 8);
const SETFLAGS: usize = ioc(1, b'f' as usize, 2, 8);

/// `struct fsxattr`, include/uapi/linux/fs.h.
pub(crate) type RawFsxattr = [u8; 28];
const FSGETXATTR: usize = ioc(2, b'X' as usize, 31, size_of::<RawFsxattr>());
const FSSETXATTR: usize = ioc(1, b'X' as usize, 32, size_of::<RawFsxattr>());

/// `struct btrfs_ioctl_ino_lookup_args`: the ID of a tree, that of an object in it, the
/// object's path.
#[repr(C)]
struct InodeLookup {
    tree: u64,
    object: u64,
    path: [u8; 4080],
}
const BTRFS: usize = 0x94;
const INO_LOOKUP: usize = ioc(3, BTRFS, 18, size_of::<InodeLookup>());
const DEFAULT_SUBVOL: usize = ioc(1, BTRFS, 19, size_of::<u64>());
const SUBVOL_GETFLAGS: usize = ioc(2, BTRFS, 25, size_of::<u64>());
const SUBVOL_SETFLAGS: usize = ioc(1, BTRFS, 26, size_of::<u64>());
const SUBVOL_READ_ONLY: u64 = 1 << 1;
/// The object ID of a subvolume's own directory.
const FIRST_OBJECT: u64 = 256;

impl Sys {
    pub(crate) fn set_subvolume_read_only(&self, dir: i32, yes: bool) -> Result<()> {
        let mut flags = 0u64;
        let args = [fd(dir), SUBVOL_GETFLAGS, &raw mut flags as usize];
        // SAFETY: writes a u64.
        unsafe { self.raw(nr::IOCTL, args) }?;
        if yes {
            flags |= SUBVOL_READ_ONLY;
        } else {
            flags &= !SUBVOL_READ_ONLY;
        }
        let args = [fd(dir), SUBVOL_SETFLAGS, &raw const flags as usize];
        // SAFETY: reads a u64.
        unsafe { self.raw(nr::IOCTL, args) }.map(drop)
    }

    /// Makes the subvolume that a directory is in the default one.
    pub(crate) fn set_default_subvolume(&self, dir: i32) -> Result<()> {
        let mut lookup = InodeLookup {
            tree: 0,
            object: FIRST_OBJECT,
            path: [0; _],
        };
        let args = [fd(dir), INO_LOOKUP, &raw mut lookup as usize];
        // SAFETY: reads and writes a struct btrfs_ioctl_ino_lookup_args.
        unsafe { self.raw(nr::IOCTL, args) }?;
        let args = [fd(dir), DEFAULT_SUBVOL, &raw const lookup.tree as usize];
        // SAFETY: reads a u64.
        unsafe { self.raw(nr::IOCTL, args) }.map(drop)
    }

    /// Makes a partition device for the `len` bytes of a disk at `start`.
    pub(crate) fn add_partition(&self, disk: i32, number: u32, start: u64, len: u64) -> Result<()> {
        let signed = |bytes: u64| i64::try_from(bytes).map_err(|_| Error::Errno(Errno::INVAL));
        let partition = BlkpgPartition {
            start: signed(start)?,
            length: signed(len)?,
            number: number as i32,
            names: [0; 128],
        };
        let argument = BlkpgArgument {
            operation: BLKPG_ADD_PARTITION,
            flags: 0,
            data_len: size_of::<BlkpgPartition>() as i32,
            data: &raw const partition,
        };
        let args = [fd(disk), BLKPG, &raw const argument as usize];
        // SAFETY: reads a struct blkpg_ioctl_arg, and the struct blkpg_partition
        // that it points to.
        unsafe { self.raw(nr::IOCTL, args) }.map(drop)
    }

    pub(crate) fn flags(&self, file: i32) -> Result<u32> {
        let mut flags = 0u32;
        let args = [fd(file), GETFLAGS, &raw mut flags as usize];
        // SAFETY: writes an int.
        unsafe { self.raw(nr::IOCTL, args) }?;
        Ok(flags)
    }

    pub(crate) fn set_flags(&self, file: i32, flags: u32) -> Result<()> {
        let args = [fd(file), SETFLAGS, &raw const flags as usize];
        // SAFETY: reads an int.
        unsafe { self.raw(nr::IOCTL, args) }.map(drop)
    }

    pub(crate) fn fsxattr(&self, file: i32) -> Result<RawFsxattr> {
        let mut attributes = [0; _];
        let args = [fd(file), FSGETXATTR, &raw mut attributes as usize];
        // SAFETY: writes a struct fsxattr, all of whose bit patterns are values.
        unsafe { self.raw(nr::IOCTL, args) }?;
        Ok(attributes)
    }

    pub(crate) fn set_fsxattr(&self, file: i32, attributes: &RawFsxattr) -> Result<()> {
        let args = [fd(file), FSSETXATTR, attributes.as_ptr() as usize];
        // SAFETY: reads a struct fsxattr.
        unsafe { self.raw(nr::IOCTL, args) }.map(drop)
    }

    /// Makes the device mapper's command `number`. `buffer` begins with a header, whose
    /// `data_size` is set here.
    pub(crate) fn dm(&self, control: i32, number: usize, buffer: &mut [u8]) -> Result<()> {
        let size = buffer.len() as u32;
        let Some(field) = buffer.get_mut(12..16).filter(|_| size >= DM_HEADER as u32) else {
            return Err(Error::Errno(Errno::INVAL));
        };
        field.copy_from_slice(&size.to_ne_bytes());
        let request = ioc(3, 0xfd, number, DM_HEADER);
        let args = [fd(control), request, buffer.as_mut_ptr() as usize];
        // SAFETY: reads and writes within `data_size` bytes, which is all of
        // `buffer`.
        unsafe { self.raw(nr::IOCTL, args) }.map(drop)
    }

    /// Sets the superblock version of an array without disks.
    pub(crate) fn md_set_version(&self, array: i32, version: (u32, u32)) -> Result<()> {
        let mut info: ArrayInfo = [0; 18];
        (info[0], info[1]) = version;
        let args = [fd(array), SET_ARRAY_INFO, &raw const info as usize];
        // SAFETY: reads a struct mdu_array_info_s.
        unsafe { self.raw(nr::IOCTL, args) }.map(drop)
    }

    pub(crate) fn md_add_disk(&self, array: i32, (major, minor): (u32, u32)) -> Result<()> {
        let info: DiskInfo = [0, major, minor, 0, 0];
        let args = [fd(array), ADD_NEW_DISK, &raw const info as usize];
        // SAFETY: reads a struct mdu_disk_info_s.
        unsafe { self.raw(nr::IOCTL, args) }.map(drop)
    }

    pub(crate) fn md_run(&self, array: i32) -> Result<()> {
        // SAFETY: takes a struct mdu_param_s, and does not look at it.
        unsafe { self.raw(nr::IOCTL, [fd(array), RUN_ARRAY, 0]) }.map(drop)
    }

    pub(crate) fn md_stop(&self, array: i32) -> Result<()> {
        // SAFETY: takes no argument.
        unsafe { self.raw(nr::IOCTL, [fd(array), STOP_ARRAY, 0]) }.map(drop)
    }
}
