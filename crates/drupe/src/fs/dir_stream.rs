//! [`DirStream`]: an open directory that is read from any position.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use super::file::named;
use super::read_dir::{Record, Records};
use crate::FileType;
use crate::error::Result;
use crate::mount::MountInner;
use crate::sys::OwnedFd;

/// An open directory as readdir(3) has it: with `.` and `..`, and with positions to seek
/// to. For file servers; other programs use [`ReadDir`](crate::ReadDir).
pub struct DirStream {
    // Closed before the mount is let go.
    fd: OwnedFd,
    records: Records,
    /// The position of the next entry.
    position: i64,
    /// The position of the last entry.
    before: i64,
    _mount: Arc<MountInner>,
}

impl fmt::Debug for DirStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DirStream")
            .field("fd", &self.fd)
            .field("position", &self.position)
            .finish_non_exhaustive()
    }
}

/// An entry of a [`DirStream`].
#[derive(Debug)]
pub struct StreamEntry<'a> {
    /// The inode's number according to the directory. For a mount point, this is the
    /// inode below the mount.
    pub ino: u64,
    /// The position of the next entry.
    pub next: i64,
    /// Its type; `None`: the filesystem does not store it in the directory.
    pub file_type: Option<FileType>,
    /// Its name.
    pub name: &'a OsStr,
}

impl DirStream {
    pub(super) fn new(fd: OwnedFd, mount: &Arc<MountInner>) -> DirStream {
        DirStream {
            fd,
            records: Records::new(),
            position: 0,
            before: 0,
            _mount: Arc::clone(mount),
        }
    }

    /// The position of the next entry; 0 at the start. Other positions are opaque numbers
    /// of the filesystem.
    pub fn position(&self) -> i64 {
        self.position
    }

    /// Seeks to a position of an entry, or to 0. After seeking to 0, changes of the
    /// directory are seen.
    pub fn seek(&mut self, position: i64) -> Result<()> {
        self.records.forget();
        let sys = self.fd.sys();
        named("seek", sys.lseek(self.fd.raw(), position, libc::SEEK_SET))?;
        (self.position, self.before) = (position, position);
        Ok(())
    }

    /// The next entry; `None` at the end.
    pub fn next_entry(&mut self) -> Result<Option<StreamEntry<'_>>> {
        let record = self.records.next_of_all(self.fd.sys(), self.fd.raw());
        let Some(record) = named("read directory", record)? else {
            return Ok(None);
        };
        self.before = std::mem::replace(&mut self.position, record.next);
        let Record {
            ino, next, d_type, ..
        } = record;
        Ok(Some(StreamEntry {
            ino,
            next,
            file_type: FileType::from_dirent(d_type),
            name: OsStr::from_bytes(record.name),
        }))
    }

    /// Makes the last entry the next one again. Only once in a row.
    pub fn back(&mut self) {
        self.records.back();
        self.position = self.before;
    }

    /// Makes the directory durable (fsync(2)).
    pub fn sync_all(&self) -> Result<()> {
        named("sync", self.fd.sys().fsync(self.fd.raw()))
    }
}
