//! Subvolumes of btrfs.

use std::path::Path;

use drupe_abi::Errno;

use crate::error::{Error, Result};
use crate::mount::Mount;

/// Subvolumes of btrfs (btrfs-subvolume(8)). ENOTTY or EINVAL on other filesystems.
impl Mount {
    /// Makes an empty subvolume at a path, of which all but the last part exist.
    pub fn create_subvolume(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let name = path.file_name();
        let name = name.ok_or_else(|| Error::at("create subvolume", path, Errno::EXIST))?;
        let dir = self.open_dir(path.parent().unwrap_or(Path::new("/")))?;
        dir.create_subvolume(name)
    }

    /// Makes a subvolume read-only, or writable again.
    pub fn set_subvolume_read_only(&self, path: impl AsRef<Path>, yes: bool) -> Result<()> {
        let path = path.as_ref();
        let dir = self.open_dir(path)?;
        let dir = dir.descriptor();
        let set = dir.sys().set_subvolume_read_only(dir.raw(), yes);
        set.map_err(|e| Error::at("set read-only", path, e))
    }

    /// Has a mount without the option `subvol` show this subvolume.
    pub fn set_default_subvolume(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let dir = self.open_dir(path)?;
        let dir = dir.descriptor();
        let set = dir.sys().set_default_subvolume(dir.raw());
        set.map_err(|e| Error::at("make default", path, e))
    }
}
