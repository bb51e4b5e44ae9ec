//! The traits of the two sides of a copy, source and target. [`mod@super::host`] and
//! [`super::image`] implement both.
//!
//! Names are single names; no symbolic link is ever followed.

use std::ffi::{OsStr, OsString};
use std::ops::Range;
use std::path::{Path, PathBuf};

use drupe::Buffer;

use super::event::{Kind, Stat};
use crate::error::Result;
use crate::time::Time;

pub(crate) type Xattrs = Vec<(OsString, Vec<u8>)>;

/// The side that has the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum World {
    /// The host.
    Host,
    /// An image.
    Image,
}

/// A directory to copy from.
pub(crate) trait SourceDir: Sized + Send {
    type File: SourceFile;
    const WORLD: World;

    /// Names of the entries, and their types if the directory stores them.
    fn entries(&self) -> Result<Vec<(OsString, Option<Kind>)>>;
    fn open_dir(&self, name: &OsStr) -> Result<Self>;
    fn open(&self, name: &OsStr) -> Result<Self::File>;
    fn read_link(&self, name: &OsStr) -> Result<PathBuf>;
    fn stat_of(&self, name: &OsStr) -> Result<Stat>;
    fn xattrs_of(&self, name: &OsStr) -> Result<Xattrs>;
    fn stat(&self) -> Result<Stat>;
    fn xattrs(&self) -> Result<Xattrs>;
}

/// A file to copy from.
pub(crate) trait SourceFile: Send + Sync {
    fn stat(&self) -> Result<Stat>;
    fn xattrs(&self) -> Result<Xattrs>;
    /// Whether it can only be read from its position to its end, even if it is a regular
    /// file.
    fn is_stream(&self) -> bool {
        false
    }
    /// Reads from the current position; 0 at the end.
    fn read(&self, bytes: &mut [u8]) -> Result<usize>;
    /// Reads at an offset into kernel memory. Returns less than requested only at the
    /// end.
    fn read_at(&self, buffer: &mut Buffer, range: Range<usize>, offset: u64) -> Result<usize>;
    /// The next range of data from `offset` on; `None`: only a hole follows. Everything
    /// is data if the filesystem does not report holes.
    fn next_data(&self, offset: u64, size: u64) -> Result<Option<Range<u64>>>;
    /// Bypass the page cache, if possible.
    fn set_direct(&self, yes: bool) -> Result<bool>;
}

/// A directory to copy into.
pub(crate) trait TargetDir: SourceDir<File: TargetFile> + Settable {
    /// Another handle to this one.
    fn again(&self) -> Result<Self>;
    fn create_dir(&self, name: &OsStr, mode: u32) -> Result<()>;
    /// Makes a file; EEXIST if the name is taken.
    fn create(&self, name: &OsStr, mode: u32) -> Result<Self::File>;
    /// Opens a device or FIFO for writing; `None` while the FIFO has no reader.
    fn open_node(&self, name: &OsStr) -> Result<Option<Self::File>>;
    /// The kind of disk image that this file is, if it is one.
    fn disk_image(&self, name: &OsStr) -> Result<Option<&'static str>>;
    fn symlink(&self, original: &Path, name: &OsStr) -> Result<()>;
    fn mknod(&self, name: &OsStr, mode: u32, dev: u64) -> Result<()>;
    /// Makes a hard link; both paths begin at the directory where the copy started.
    fn link(&self, first: &Path, second: &Path) -> Result<()>;
    /// Renames an entry, replacing an existing file that is not a directory.
    fn rename(&self, from: &OsStr, to: &OsStr) -> Result<()>;
    /// Removes anything but a directory.
    fn remove(&self, name: &OsStr) -> Result<()>;
    /// Removes an empty directory.
    fn remove_dir(&self, name: &OsStr) -> Result<()>;
    /// The owners of files that are made here, whose mode is then exact. `None`: unknown,
    /// because of a set-group-ID bit or a default ACL.
    fn owners_of_new(&self) -> Result<Option<(u32, u32)>>;

    /// Delays writing back until [`TargetDir::settle`].
    fn write_back_late(&self) -> Result<()>;
    /// Writes everything out, and drops caches.
    fn settle(&self) -> Result<()>;

    fn chown_of(&self, name: &OsStr, uid: u32, gid: u32) -> Result<()>;
    fn chmod_of(&self, name: &OsStr, mode: u32) -> Result<()>;
    fn set_times_of(&self, name: &OsStr, accessed: Time, modified: Time) -> Result<()>;
    fn set_xattr_of(&self, entry: &OsStr, name: &OsStr, value: &[u8]) -> Result<()>;
    fn remove_xattr_of(&self, entry: &OsStr, name: &OsStr) -> Result<()>;
}

/// A file to copy into.
pub(crate) trait TargetFile: Settable + Sized {
    /// Closes it: network filesystems may report only then that they are full.
    fn close(self) -> Result<()>;
    /// Appends to what was written so far.
    fn write_all(&self, bytes: &[u8]) -> Result<()>;
    fn write_at(&self, buffer: &Buffer, range: Range<usize>, offset: u64) -> Result<()>;
    fn set_len(&self, len: u64) -> Result<()>;
    /// Bypass the page cache, if possible.
    fn set_direct(&self, yes: bool) -> Result<bool>;
}

/// Something whose attributes can be set.
pub(crate) trait Settable {
    fn chown(&self, uid: u32, gid: u32) -> Result<()>;
    fn chmod(&self, mode: u32) -> Result<()>;
    fn set_times(&self, accessed: Time, modified: Time) -> Result<()>;
    /// The time of modification that it has.
    fn modified(&self) -> Result<Time>;
    fn set_xattr(&self, name: &OsStr, value: &[u8]) -> Result<()>;
    /// ENODATA if there is none of that name.
    fn remove_xattr(&self, name: &OsStr) -> Result<()>;
}

/// An entry of a directory that cannot be opened: a symbolic link, a device.
pub(crate) struct Entry<'a, D> {
    pub(crate) dir: &'a D,
    pub(crate) name: &'a OsStr,
}

impl<D: TargetDir> Settable for Entry<'_, D> {
    fn chown(&self, uid: u32, gid: u32) -> Result<()> {
        self.dir.chown_of(self.name, uid, gid)
    }

    fn chmod(&self, mode: u32) -> Result<()> {
        self.dir.chmod_of(self.name, mode)
    }

    fn set_times(&self, accessed: Time, modified: Time) -> Result<()> {
        self.dir.set_times_of(self.name, accessed, modified)
    }

    fn modified(&self) -> Result<Time> {
        Ok(self.dir.stat_of(self.name)?.modified)
    }

    fn set_xattr(&self, name: &OsStr, value: &[u8]) -> Result<()> {
        self.dir.set_xattr_of(self.name, name, value)
    }

    fn remove_xattr(&self, name: &OsStr) -> Result<()> {
        self.dir.remove_xattr_of(self.name, name)
    }
}
