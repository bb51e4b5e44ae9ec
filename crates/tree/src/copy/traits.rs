//! The two sides of a copy as traits: [`super::host`] and [`super::image`]
//! implement both.
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

/// Which kernel has the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum World {
    /// The host's.
    Host,
    /// The library's: an image.
    Image,
}

/// A directory to copy from.
pub(crate) trait SourceDir: Sized + Send {
    type File: SourceFile;
    const WORLD: World;

    /// Names, and types where the directory tells them.
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
    /// It has no beginning to go back to, even if it is a regular file.
    fn is_stream(&self) -> bool {
        false
    }
    /// Reads on from where the last one ended; 0 at the end.
    fn read(&self, bytes: &mut [u8]) -> Result<usize>;
    /// Less than asked for only at the end.
    fn read_at(&self, buffer: &mut Buffer, range: Range<usize>, offset: u64) -> Result<usize>;
    /// The next data from `offset` on, which is not within a hole; `None`: no
    /// more. All is data where the filesystem does not tell.
    fn next_data(&self, offset: u64, size: u64) -> Result<Option<Range<u64>>>;
    /// Bypass the page cache, if possible.
    fn set_direct(&self, yes: bool) -> Result<bool>;
}

/// A directory to copy into.
pub(crate) trait TargetDir: SourceDir<File: TargetFile> + Settable {
    /// Another handle to this one.
    fn again(&self) -> Result<Self>;
    fn create_dir(&self, name: &OsStr, mode: u32) -> Result<()>;
    /// EEXIST if there is anything of that name.
    fn create(&self, name: &OsStr, mode: u32) -> Result<Self::File>;
    /// Opens a device or FIFO for writing; `None` while nobody reads the FIFO.
    fn open_node(&self, name: &OsStr) -> Result<Option<Self::File>>;
    /// What kind of disk image this file is, if it is one.
    fn disk_image(&self, name: &OsStr) -> Result<Option<&'static str>>;
    fn symlink(&self, original: &Path, name: &OsStr) -> Result<()>;
    fn mknod(&self, name: &OsStr, mode: u32, dev: u64) -> Result<()>;
    /// Makes a second name; both paths begin at the directory that the copy
    /// started from.
    fn link(&self, first: &Path, second: &Path) -> Result<()>;
    /// Gives an entry another name; what has that, and is no directory, is replaced.
    fn rename(&self, from: &OsStr, to: &OsStr) -> Result<()>;
    /// Removes anything but a directory.
    fn remove(&self, name: &OsStr) -> Result<()>;
    /// Removes an empty directory.
    fn remove_dir(&self, name: &OsStr) -> Result<()>;
    /// What is made here gets these owners and exactly the mode asked for;
    /// `None`: who knows, because of a set-group-ID bit or a default ACL.
    fn owners_of_new(&self) -> Result<Option<(u32, u32)>>;

    /// What is written from now on is only written out by [`TargetDir::settle`].
    fn write_back_late(&self) -> Result<()>;
    /// Writes out what is still to be written, and forgets what could be read again.
    fn settle(&self) -> Result<()>;

    fn chown_of(&self, name: &OsStr, uid: u32, gid: u32) -> Result<()>;
    fn chmod_of(&self, name: &OsStr, mode: u32) -> Result<()>;
    fn set_times_of(&self, name: &OsStr, accessed: Time, modified: Time) -> Result<()>;
    fn set_xattr_of(&self, entry: &OsStr, name: &OsStr, value: &[u8]) -> Result<()>;
    fn remove_xattr_of(&self, entry: &OsStr, name: &OsStr) -> Result<()>;
}

/// A file to copy into.
pub(crate) trait TargetFile: Settable + Sized {
    /// Closes it: network filesystems may tell only then that there is no room.
    fn close(self) -> Result<()>;
    /// Writes at the end of what was written so far.
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
    fn set_xattr(&self, name: &OsStr, value: &[u8]) -> Result<()>;
    /// ENODATA if there is none of that name.
    fn remove_xattr(&self, name: &OsStr) -> Result<()>;
}

/// An entry of a directory that can't be opened: a symbolic link, a device.
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

    fn set_xattr(&self, name: &OsStr, value: &[u8]) -> Result<()> {
        self.dir.set_xattr_of(self.name, name, value)
    }

    fn remove_xattr(&self, name: &OsStr) -> Result<()> {
        self.dir.remove_xattr_of(self.name, name)
    }
}
