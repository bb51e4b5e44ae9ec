//! The writable filesystems that are tested: how each is made and checked, and
//! what it can keep.

use std::error::Error;
use std::path::Path;

use drupe::MountOptions;
use tempfile::NamedTempFile;

use crate::Outcome;
use crate::capabilities::{ALL, Capabilities, FAT, SECOND};
use crate::tools::{on_image, sparse_file};

/// A filesystem, or a way to use one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Filesystem {
    /// What makes one, the image to follow.
    pub(crate) make: &'static [&'static str],
    /// What checks one, the image to follow; empty: there is no such tool.
    pub(crate) check: &'static [&'static str],
    /// What a checker says that finds faults and exits with 0.
    pub(crate) faults: &'static [&'static str],
    /// Options of its own to mount it with.
    pub(crate) data: &'static str,
    /// Size of the image, in bytes.
    pub(crate) size: u64,
    pub(crate) can: Capabilities,
}

pub(crate) const EXT4: Filesystem = Filesystem {
    make: &["mkfs.ext4", "-q"],
    check: &["e2fsck", "-fn"],
    faults: &[],
    data: "",
    size: 512 << 20,
    can: ALL,
};

pub(crate) const XFS: Filesystem = Filesystem {
    make: &["mkfs.xfs", "-q"],
    check: &["xfs_repair", "-n"],
    can: Capabilities {
        symlink_max: 1000,
        ..ALL
    },
    ..EXT4
};

pub(crate) const XFS_BIG_DIRECTORIES: Filesystem = Filesystem {
    make: &["mkfs.xfs", "-q", "-n", "size=16384"],
    ..XFS
};

pub(crate) const BTRFS: Filesystem = Filesystem {
    make: &["mkfs.btrfs", "-q"],
    check: &["btrfs", "check", "--readonly"],
    ..EXT4
};

pub(crate) const BTRFS_ZSTD: Filesystem = Filesystem {
    data: "compress=zstd",
    ..BTRFS
};

pub(crate) const F2FS: Filesystem = Filesystem {
    make: &["mkfs.f2fs", "-q"],
    check: &["fsck.f2fs", "-f", "--dry-run"],
    faults: &["[Fail]", "ASSERT"],
    ..EXT4
};

pub(crate) const VFAT: Filesystem = Filesystem {
    make: &["mkfs.vfat", "-F", "32"],
    check: &["fsck.vfat", "-n"],
    can: FAT,
    ..EXT4
};

pub(crate) const EXFAT: Filesystem = Filesystem {
    make: &["mkfs.exfat"],
    check: &["fsck.exfat", "-n"],
    can: Capabilities {
        time_step: SECOND / 100,
        ..FAT
    },
    ..EXT4
};

pub(crate) const NTFS: Filesystem = Filesystem {
    make: &["mkfs.ntfs", "-F", "-Q", "-q"],
    check: &["ntfsfix", "-n"],
    data: "sparse",
    can: Capabilities {
        byte_names: false,
        time_step: 100,
        // fs/ntfs3: nt2kernel() has no seconds below 0, and device numbers are
        // written but not read back.
        seconds: (0, 1 << 33),
        device_numbers: false,
        xattrs: &["user."],
        ..ALL
    },
    ..EXT4
};

pub(crate) const UDF: Filesystem = Filesystem {
    make: &["mkudffs", "-b", "512", "--media-type=hd"],
    check: &[],
    can: Capabilities {
        xattrs: &[],
        byte_names: false,
        time_step: 1000,
        symlink_max: 60,
        name_max: 254,
        // Only with numbers of 8 bits.
        nodes: false,
        // fs/udf: udf_expand_file_adinicb() gives a file the block of a deleted
        // inode whose buffer is still dirty, and that overwrites it later.
        settle_deletions: true,
        ..ALL
    },
    ..EXT4
};

impl Filesystem {
    /// A fresh one.
    pub(crate) fn image(&self) -> Result<NamedTempFile, Box<dyn Error>> {
        let image = sparse_file(self.size)?;
        on_image(self.make, image.path())?;
        Ok(image)
    }

    /// How to mount it.
    pub(crate) fn options(&self) -> MountOptions {
        MountOptions::new().data(self.data)
    }

    /// Clean, by the word of its own checker.
    pub(crate) fn check(&self, image: &Path) -> Outcome {
        if self.check.is_empty() {
            return Ok(());
        }
        let said = on_image(self.check, image)?;
        match self.faults.iter().find(|fault| said.contains(**fault)) {
            Some(_) => Err(format!("{:?}: not clean\n{said}", self.check).into()),
            None => Ok(()),
        }
    }
}
