//! [`ReadDir`]: the entries of a directory, from getdents64(2).

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::ops::Range;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use drupe_abi::Errno;
use drupe_machine::Error as MachineError;

use super::path::with_name;
use crate::error::{Error, Result};
use crate::mount::MountInner;
use crate::sys::{self, OwnedFd, Sys};
use crate::{FileType, Metadata};

/// Bytes of entries that are read at once: about 800 entries.
const CHUNK: usize = 32 << 10;

/// The entries of a directory, without `.` and `..`, in the filesystem's order.
/// Keeps its mount. After an error there are no more.
pub struct ReadDir {
    dir: Arc<Opened>,
    records: Records,
    done: bool,
}

/// The directory that entries belong to.
struct Opened {
    // Closed before the mount is let go.
    fd: OwnedFd,
    /// The path as the caller gave it.
    path: PathBuf,
    _mount: Arc<MountInner>,
}

impl ReadDir {
    pub(super) fn new(fd: OwnedFd, path: &Path, mount: &Arc<MountInner>) -> ReadDir {
        ReadDir {
            dir: Arc::new(Opened {
                fd,
                path: path.to_owned(),
                _mount: Arc::clone(mount),
            }),
            records: Records::new(),
            done: false,
        }
    }
}

impl Iterator for ReadDir {
    type Item = Result<DirEntry>;

    fn next(&mut self) -> Option<Result<DirEntry>> {
        if self.done {
            return None;
        }
        let fd = &self.dir.fd;
        match self.records.next(fd.sys(), fd.raw()) {
            Ok(Some(record)) => Some(Ok(DirEntry {
                name: OsString::from_vec(record.name.to_vec()),
                ino: record.ino,
                file_type: FileType::from_dirent(record.d_type),
                dir: Arc::clone(&self.dir),
            })),
            Ok(None) => {
                self.done = true;
                None
            }
            Err(error) => {
                self.done = true;
                Some(Err(Error::at("read directory", &self.dir.path, error)))
            }
        }
    }
}

impl fmt::Debug for ReadDir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ReadDir({:?})", self.dir.path)
    }
}

/// One entry of a directory.
pub struct DirEntry {
    name: OsString,
    ino: u64,
    file_type: Option<FileType>,
    dir: Arc<Opened>,
}

impl DirEntry {
    /// Its name.
    pub fn file_name(&self) -> OsString {
        self.name.clone()
    }

    /// Its name, borrowed.
    pub fn name(&self) -> &OsStr {
        &self.name
    }

    /// The path of the directory, as the caller gave it, joined with the name.
    pub fn path(&self) -> PathBuf {
        self.dir.path.join(&self.name)
    }

    /// Number of its inode.
    pub fn ino(&self) -> u64 {
        self.ino
    }

    /// Its type. Makes a system call only if the directory does not store types.
    pub fn file_type(&self) -> Result<FileType> {
        match self.file_type {
            Some(file_type) => Ok(file_type),
            None => self.metadata().map(|metadata| metadata.file_type()),
        }
    }

    /// Its metadata; a symbolic link is not followed.
    pub fn metadata(&self) -> Result<Metadata> {
        let fd = &self.dir.fd;
        with_name(self.name.as_bytes(), |name| {
            fd.sys().statx(fd.raw(), name, libc::AT_SYMLINK_NOFOLLOW)
        })
        .map(Metadata::new)
        .map_err(|e| Error::at("metadata", self.path(), e))
    }
}

impl fmt::Debug for DirEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DirEntry({:?})", self.path())
    }
}

/// A `struct linux_dirent64`.
pub(super) struct Record<'a> {
    pub(super) ino: u64,
    /// The position of the next entry, for lseek(2).
    pub(super) next: i64,
    pub(super) d_type: u8,
    pub(super) name: &'a [u8],
}

/// The records of an open directory, a chunk at a time.
pub(super) struct Records {
    chunk: Vec<u8>,
    at: usize,
    /// The offset of the last record in the chunk.
    last: usize,
}

impl Records {
    pub(super) fn new() -> Records {
        Records {
            chunk: Vec::with_capacity(CHUNK),
            at: 0,
            last: 0,
        }
    }

    /// The next record except `.` and `..`.
    pub(super) fn next(&mut self, sys: &Sys, dir: i32) -> sys::Result<Option<Record<'_>>> {
        loop {
            let Some(range) = self.advance(sys, dir)? else {
                return Ok(None);
            };
            // Parsed again below: a borrow that is returned can't be one of a loop.
            let record = parse(&self.chunk[range.clone()]);
            if record.is_some_and(|(record, _)| !matches!(record.name, b"." | b"..")) {
                return Ok(parse(&self.chunk[range]).map(|(record, _)| record));
            }
        }
    }

    /// The next record.
    pub(super) fn next_of_all(&mut self, sys: &Sys, dir: i32) -> sys::Result<Option<Record<'_>>> {
        let range = self.advance(sys, dir)?;
        Ok(range.and_then(|range| parse(&self.chunk[range]).map(|(record, _)| record)))
    }

    /// Goes back by one record, the one that [`Records::next_of_all`] gave last.
    pub(super) fn back(&mut self) {
        self.at = self.last;
    }

    /// Forgets what was fetched: the directory's position has been changed.
    pub(super) fn forget(&mut self) {
        self.chunk.clear();
        (self.at, self.last) = (0, 0);
    }

    /// Steps over a record. Returns its range in the chunk.
    fn advance(&mut self, sys: &Sys, dir: i32) -> sys::Result<Option<Range<usize>>> {
        if self.at == self.chunk.len() {
            sys.getdents(dir, &mut self.chunk)?;
            self.at = 0;
            if self.chunk.is_empty() {
                return Ok(None);
            }
        }
        let start = self.at;
        self.last = start;
        let (_, len) = parse(&self.chunk[start..]).ok_or(MachineError::Errno(Errno::IO))?;
        self.at += len;
        Ok(Some(start..self.at))
    }
}

/// The record at the start of the bytes, and its length.
fn parse(bytes: &[u8]) -> Option<(Record<'_>, usize)> {
    // d_ino 8, d_off 8, d_reclen 2, d_type 1, then the name and a NUL.
    let len = usize::from(u16::from_ne_bytes(bytes.get(16..18)?.try_into().ok()?));
    let name = bytes.get(19..len)?;
    let end = name.iter().position(|&byte| byte == 0)?;
    let record = Record {
        ino: u64::from_ne_bytes(bytes.get(..8)?.try_into().ok()?),
        next: i64::from_ne_bytes(bytes.get(8..16)?.try_into().ok()?),
        d_type: bytes[18],
        name: &name[..end],
    };
    Some((record, len))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_records_and_nothing_else() {
        let mut bytes = vec![0; 24];
        bytes[0] = 42;
        bytes[16] = 24;
        bytes[18] = libc::DT_DIR;
        bytes[19..21].copy_from_slice(b"a\xff");
        let (record, len) = parse(&bytes).expect("a record");
        assert_eq!((record.ino, record.name, len), (42, &b"a\xff"[..], 24));
        let dir = FileType::from_dirent(record.d_type).expect("a type");
        assert!(dir.is_dir());

        assert!(parse(&bytes[..20]).is_none(), "cut off");
        bytes[19..].fill(b'x');
        assert!(parse(&bytes).is_none(), "a name without an end");
        bytes[16] = 0;
        assert!(parse(&bytes).is_none(), "no length");
    }
}
