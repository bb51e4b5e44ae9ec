//! Mounts: how they come and go, and what is known of them.

use std::ffi::c_char;

use drupe::{Kernel, Mount, MountOptions, Partition};

use crate::border::{Given, Options, Out, Owned, check_flags, member};
use crate::devices::READ_ONLY;
use crate::failure::Result;

/// `struct drupe_mount_options`.
#[derive(Clone, Copy)]
#[repr(C)]
struct Wanted {
    size: usize,
    fstype: *const c_char,
    options: *const c_char,
    flags: u32,
    spare: u32,
}

// SAFETY: it is repr(C); its pointers may be NULL.
unsafe impl Options for Wanted {}

const _: () = assert!(size_of::<Wanted>() == 32);

/// `struct drupe_statfs`.
#[repr(C)]
struct StatFs {
    block_size: u64,
    bytes: u64,
    bytes_free: u64,
    bytes_available: u64,
    files: u64,
    files_free: u64,
    name_max: u64,
    magic: u64,
    flags: u32,
    spare_flags: u32,
    spare: [u64; 7],
}

const _: () = assert!(size_of::<StatFs>() == 128);

impl Wanted {
    fn options(self) -> Result<MountOptions> {
        check_flags(self.flags, READ_ONLY)?;
        let mut options = MountOptions::new();
        // SAFETY: a member of the options: NULL, or a string.
        if let Some(text) = unsafe { member(self.options, "options") }? {
            options = options.options(text);
        }
        // SAFETY: as above.
        if let Some(fstype) = unsafe { member(self.fstype, "fstype") }? {
            options = options.fstype(fstype);
        }
        match self.flags & READ_ONLY {
            0 => Ok(options),
            _ => Ok(options.read_only(true)),
        }
    }
}

handles! {
    Mount => drupe_mount_free;
}

export! {
    fn drupe_partition_mount(
        partition: &Partition,
        options: Given<Wanted>,
    ) -> handle<Mount> {
        Ok(partition.mount(options.0.options()?)?)
    }

    fn drupe_mount_virtual(
        kernel: &Kernel,
        fstype: &str,
        options: Given<Wanted>,
    ) -> handle<Mount> {
        Ok(kernel.mount_virtual(fstype, options.0.options()?)?)
    }

    fn drupe_mount_sync(mount: &Mount) -> status {
        Ok(mount.sync()?)
    }

    fn drupe_mount_trim(mount: &Mount, bytes: Out<u64>) -> status {
        bytes.put(mount.trim()?);
        Ok(())
    }

    fn drupe_statfs(mount: &Mount, info: Out<StatFs>) -> status {
        let found = mount.statfs()?;
        info.put(StatFs {
            block_size: found.block_size(),
            bytes: found.total(),
            bytes_free: found.free(),
            bytes_available: found.available(),
            files: found.files(),
            files_free: found.files_free(),
            name_max: found.name_max(),
            magic: found.magic(),
            flags: if found.is_read_only() { READ_ONLY } else { 0 },
            spare_flags: 0,
            spare: [0; 7],
        });
        Ok(())
    }

    fn drupe_umount(mount: Owned<Mount>) -> status {
        Ok(mount.0.umount()?)
    }
}
