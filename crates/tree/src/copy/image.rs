//! [`ImageDir`]: a directory of an image as source or target of a copy.

use std::ffi::{OsStr, OsString};
use std::fs::Permissions;
use std::io::{Read, Write};
use std::ops::Range;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use drupe::{Buffer, Dir, Errno, File, Metadata, Mount, OpenOptions};

use super::event::{Kind, Stat};
use super::traits::{Settable, SourceDir, SourceFile, TargetDir, TargetFile, World, Xattrs};
use crate::error::{Result, host};
use crate::time::{Time, times};

/// An open directory of an image.
pub(crate) struct ImageDir {
    pub(crate) dir: Dir,
    /// The path where the copy started, for hard links.
    base: Arc<PathBuf>,
}

/// An open file of an image.
pub(crate) struct ImageFile(pub(crate) File);

impl ImageFile {
    /// Opens a file of any type, also a FIFO without a writer.
    pub(crate) fn open(mount: &Mount, path: &Path) -> Result<ImageFile> {
        let mut options = OpenOptions::new();
        options.read(true).custom_flags(libc::O_NONBLOCK);
        Ok(ImageFile(mount.open_with(path, &options)?))
    }
}

impl ImageDir {
    pub(crate) fn open(mount: &Mount, path: &Path) -> Result<ImageDir> {
        Ok(ImageDir {
            dir: mount.open_dir(path)?,
            base: Arc::new(path.to_owned()),
        })
    }

    /// A directory in which no hard links are made.
    pub(crate) fn of(dir: Dir) -> ImageDir {
        ImageDir {
            dir,
            base: Arc::default(),
        }
    }

    fn derive(&self, dir: Dir) -> ImageDir {
        ImageDir {
            dir,
            base: Arc::clone(&self.base),
        }
    }
}

/// The times of last access and modification.
pub fn times_of(metadata: &Metadata) -> (Time, Time) {
    let stat = stat(metadata);
    (stat.accessed, stat.modified)
}

/// The fields of an inode that a copy uses.
pub(crate) fn stat(metadata: &Metadata) -> Stat {
    Stat {
        mode: metadata.mode(),
        uid: metadata.uid(),
        gid: metadata.gid(),
        size: metadata.len(),
        blocks: metadata.blocks(),
        nlink: metadata.nlink(),
        dev: metadata.dev(),
        ino: metadata.ino(),
        rdev: metadata.rdev(),
        accessed: Time {
            seconds: metadata.atime(),
            nanos: metadata.atime_nsec(),
        },
        modified: Time {
            seconds: metadata.mtime(),
            nanos: metadata.mtime_nsec(),
        },
    }
}

impl SourceDir for ImageDir {
    type File = ImageFile;
    const WORLD: World = World::Image;

    fn entries(&self) -> Result<Vec<(OsString, Option<Kind>)>> {
        self.dir
            .read_dir()?
            .map(|entry| {
                let entry = entry?;
                let kind = entry.file_type()?;
                let kind = match () {
                    () if kind.is_file() => Kind::File,
                    () if kind.is_dir() => Kind::Dir,
                    () if kind.is_symlink() => Kind::Symlink,
                    () => Kind::Node,
                };
                Ok((entry.file_name(), Some(kind)))
            })
            .collect()
    }

    fn open_dir(&self, name: &OsStr) -> Result<ImageDir> {
        Ok(self.derive(self.dir.open_dir(name)?))
    }

    fn open(&self, name: &OsStr) -> Result<ImageFile> {
        Ok(ImageFile(self.dir.open(name)?))
    }

    fn read_link(&self, name: &OsStr) -> Result<PathBuf> {
        Ok(self.dir.read_link(name)?)
    }

    fn stat_of(&self, name: &OsStr) -> Result<Stat> {
        Ok(stat(&self.dir.symlink_metadata(name)?))
    }

    fn xattrs_of(&self, name: &OsStr) -> Result<Xattrs> {
        Ok(self.dir.xattrs_of(name)?)
    }

    fn stat(&self) -> Result<Stat> {
        Ok(stat(&self.dir.metadata()?))
    }

    fn xattrs(&self) -> Result<Xattrs> {
        Ok(self.dir.xattrs()?)
    }
}

impl SourceFile for ImageFile {
    fn stat(&self) -> Result<Stat> {
        Ok(stat(&self.0.metadata()?))
    }

    fn xattrs(&self) -> Result<Xattrs> {
        Ok(self.0.xattrs()?)
    }

    fn read(&self, bytes: &mut [u8]) -> Result<usize> {
        host("read", (&self.0).read(bytes))
    }

    fn read_at(&self, buffer: &mut Buffer, range: Range<usize>, offset: u64) -> Result<usize> {
        Ok(self.0.read_buffer_at(buffer, range, offset)?)
    }

    fn next_data(&self, offset: u64, size: u64) -> Result<Option<Range<u64>>> {
        let start = match self.0.seek_data(offset) {
            Ok(Some(start)) => start,
            Ok(None) => return Ok(None),
            Err(error) if error.errno() == Some(Errno::INVAL) => return Ok(Some(offset..size)),
            Err(error) => return Err(error.into()),
        };
        let end = self.0.seek_hole(start)?.unwrap_or(size);
        Ok(Some(start..end))
    }

    fn set_direct(&self, yes: bool) -> Result<bool> {
        Ok(self.0.set_direct(yes)?)
    }
}

impl TargetDir for ImageDir {
    fn again(&self) -> Result<ImageDir> {
        Ok(self.derive(self.dir.try_clone()?))
    }

    fn create_dir(&self, name: &OsStr, mode: u32) -> Result<()> {
        Ok(self.dir.create_dir(name, mode)?)
    }

    fn create(&self, name: &OsStr, mode: u32) -> Result<ImageFile> {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(mode);
        Ok(ImageFile(self.dir.open_with(name, &options)?))
    }

    fn open_node(&self, _name: &OsStr) -> Result<Option<ImageFile>> {
        // Nothing is behind the devices of an image.
        Ok(None)
    }

    fn disk_image(&self, _name: &OsStr) -> Result<Option<&'static str>> {
        Ok(None)
    }

    fn symlink(&self, original: &Path, name: &OsStr) -> Result<()> {
        Ok(self.dir.symlink(original, name)?)
    }

    fn mknod(&self, name: &OsStr, mode: u32, dev: u64) -> Result<()> {
        Ok(self.dir.mknod(name, mode, dev)?)
    }

    fn link(&self, first: &Path, second: &Path) -> Result<()> {
        let mount = self.dir.mount();
        Ok(mount.hard_link(self.base.join(first), self.base.join(second))?)
    }

    fn rename(&self, from: &OsStr, to: &OsStr) -> Result<()> {
        Ok(self.dir.rename(from, &self.dir, to)?)
    }

    fn remove(&self, name: &OsStr) -> Result<()> {
        Ok(self.dir.remove_file(name)?)
    }

    fn remove_dir(&self, name: &OsStr) -> Result<()> {
        Ok(self.dir.remove_dir(name)?)
    }

    fn owners_of_new(&self) -> Result<Option<(u32, u32)>> {
        let set_group_id = self.dir.metadata()?.mode() & libc::S_ISGID != 0;
        let default_acl = self.dir.get_xattr("system.posix_acl_default")?;
        // All operations in a kernel are root's, without a umask.
        Ok((!set_group_id && default_acl.is_none()).then_some((0, 0)))
    }

    fn write_back_late(&self) -> Result<()> {
        Ok(self.dir.mount().write_back_late()?)
    }

    fn settle(&self) -> Result<()> {
        let mount = self.dir.mount();
        mount.sync()?;
        // Otherwise the kernel does when memory is short, and what it can forget then
        // depends on how fast the disk is.
        Ok(mount.drop_caches()?)
    }

    fn chown_of(&self, name: &OsStr, uid: u32, gid: u32) -> Result<()> {
        Ok(self.dir.chown_of(name, Some(uid), Some(gid))?)
    }

    fn chmod_of(&self, name: &OsStr, mode: u32) -> Result<()> {
        let permissions = Permissions::from_mode(mode);
        Ok(self.dir.set_permissions_of(name, permissions)?)
    }

    fn set_times_of(&self, name: &OsStr, accessed: Time, modified: Time) -> Result<()> {
        Ok(self
            .dir
            .set_times_of(name, times(Some(accessed), Some(modified)))?)
    }

    fn set_xattr_of(&self, entry: &OsStr, name: &OsStr, value: &[u8]) -> Result<()> {
        Ok(self.dir.set_xattr_of(entry, name, value)?)
    }

    fn remove_xattr_of(&self, entry: &OsStr, name: &OsStr) -> Result<()> {
        Ok(self.dir.remove_xattr_of(entry, name)?)
    }
}

impl TargetFile for ImageFile {
    fn close(self) -> Result<()> {
        // Filesystems of disks tell it when they are written to, or unmounted.
        Ok(())
    }

    fn write_all(&self, bytes: &[u8]) -> Result<()> {
        host("write", (&self.0).write_all(bytes))
    }

    fn write_at(&self, buffer: &Buffer, range: Range<usize>, offset: u64) -> Result<()> {
        Ok(self.0.write_buffer_at(buffer, range, offset)?)
    }

    fn set_len(&self, len: u64) -> Result<()> {
        Ok(self.0.set_len(len)?)
    }

    fn set_direct(&self, yes: bool) -> Result<bool> {
        Ok(self.0.set_direct(yes)?)
    }
}

/// Implements [`Settable`] for directories and files, which have the same methods.
macro_rules! settable {
    ($handle:ty, $field:tt) => {
        impl Settable for $handle {
            fn chown(&self, uid: u32, gid: u32) -> Result<()> {
                Ok(self.$field.chown(Some(uid), Some(gid))?)
            }

            fn chmod(&self, mode: u32) -> Result<()> {
                Ok(self.$field.set_permissions(Permissions::from_mode(mode))?)
            }

            fn set_times(&self, accessed: Time, modified: Time) -> Result<()> {
                Ok(self
                    .$field
                    .set_times(times(Some(accessed), Some(modified)))?)
            }

            fn modified(&self) -> Result<Time> {
                Ok(self.stat()?.modified)
            }

            fn set_xattr(&self, name: &OsStr, value: &[u8]) -> Result<()> {
                Ok(self.$field.set_xattr(name, value)?)
            }

            fn remove_xattr(&self, name: &OsStr) -> Result<()> {
                Ok(self.$field.remove_xattr(name)?)
            }
        }
    };
}
settable!(ImageDir, dir);
settable!(ImageFile, 0);
