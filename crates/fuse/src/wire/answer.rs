//! [`Answer`]: builds an answer to the host, in a reused buffer.

use std::time::Duration;

use drupe::{Errno, FileType, Metadata};

/// Bytes of `struct fuse_out_header`.
const HEADER: usize = 16;

/// Bytes of `struct fuse_entry_out`.
const ENTRY: usize = 128;

/// Bytes of `struct fuse_dirent` without the name.
const DIRENT: usize = 24;

/// An answer to one request.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    /// Bytes behind `end` are of earlier answers, so that the buffer need not be cleared
    /// before a file is read into it.
    bytes: Vec<u8>,
    end: usize,
}

/// Attributes of a file, and how long the host may cache them.
#[derive(Clone, Copy)]
pub(crate) struct Attributes<'a> {
    /// The inode number for programs.
    pub(crate) ino: u64,
    pub(crate) metadata: &'a Metadata,
    pub(crate) valid: Duration,
}

/// The file of a name.
#[derive(Clone, Copy)]
pub(crate) struct Entry<'a> {
    pub(crate) node: u64,
    pub(crate) generation: u64,
    /// How long the host may cache the name.
    pub(crate) valid: Duration,
    pub(crate) attributes: Attributes<'a>,
}

/// An entry of a directory, as READDIR lists it.
#[derive(Clone, Copy)]
pub(crate) struct DirEntry<'a> {
    pub(crate) ino: u64,
    /// The position of the next entry.
    pub(crate) next: u64,
    pub(crate) file_type: Option<FileType>,
    pub(crate) name: &'a [u8],
}

impl Answer {
    /// Begins a new answer.
    pub(crate) fn clear(&mut self) {
        self.end = 0;
        self.bytes(&[0; HEADER]);
    }

    /// Completes the answer with its result. Returns the message.
    pub(crate) fn finish(&mut self, unique: u64, result: Result<(), Errno>) -> &[u8] {
        let error = match result {
            Ok(()) => 0,
            Err(errno) => {
                self.end = HEADER;
                -errno.raw_os_error()
            }
        };
        let message = &mut self.bytes[..self.end];
        let len = message.len() as u32;
        message[..4].copy_from_slice(&len.to_ne_bytes());
        message[4..8].copy_from_slice(&error.to_ne_bytes());
        message[8..HEADER].copy_from_slice(&unique.to_ne_bytes());
        message
    }

    /// Completes a notification. Returns the message.
    pub(crate) fn notice(&mut self, code: i32) -> &[u8] {
        self.finish(0, Ok(()));
        self.bytes[4..8].copy_from_slice(&code.to_ne_bytes());
        &self.bytes[..self.end]
    }

    /// Bytes of results so far.
    pub(crate) fn len(&self) -> usize {
        self.end - HEADER
    }

    /// Adds `len` bytes of unspecified content.
    fn room(&mut self, len: usize) -> &mut [u8] {
        let end = self.end + len;
        if self.bytes.len() < end {
            self.bytes.resize(end.next_power_of_two(), 0);
        }
        &mut self.bytes[self.end..end]
    }

    pub(crate) fn u32(&mut self, value: u32) {
        self.bytes(&value.to_ne_bytes());
    }

    pub(crate) fn u64(&mut self, value: u64) {
        self.bytes(&value.to_ne_bytes());
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.room(bytes.len()).copy_from_slice(bytes);
        self.end += bytes.len();
    }

    fn zeros(&mut self, len: usize) {
        self.room(len).fill(0);
        self.end += len;
    }

    /// Adds at most `len` bytes that `fill` writes; it returns how many.
    pub(crate) fn fill<E>(
        &mut self,
        len: usize,
        fill: impl FnOnce(&mut [u8]) -> Result<usize, E>,
    ) -> Result<(), E> {
        let filled = fill(self.room(len))?;
        self.end += filled.min(len);
        Ok(())
    }

    fn duration(&mut self, seconds: Duration) -> u32 {
        self.u64(seconds.as_secs());
        seconds.subsec_nanos()
    }

    /// `struct fuse_attr`.
    fn attr(&mut self, Attributes { ino, metadata, .. }: Attributes<'_>) {
        self.u64(ino);
        self.u64(metadata.len());
        self.u64(metadata.blocks());
        self.u64(metadata.atime() as u64);
        self.u64(metadata.mtime() as u64);
        self.u64(metadata.ctime() as u64);
        self.u32(metadata.atime_nsec());
        self.u32(metadata.mtime_nsec());
        self.u32(metadata.ctime_nsec());
        self.u32(metadata.mode());
        self.u32(metadata.nlink().try_into().unwrap_or(u32::MAX));
        self.u32(metadata.uid());
        self.u32(metadata.gid());
        // The kernel's layout of 32 bits is the low half of makedev(3)'s.
        self.u32(metadata.rdev() as u32);
        self.u32(metadata.blksize().try_into().unwrap_or(4096));
        self.u32(0);
    }

    /// `struct fuse_attr_out`.
    pub(crate) fn attributes(&mut self, attributes: Attributes<'_>) {
        let nanos = self.duration(attributes.valid);
        self.u32(nanos);
        self.u32(0);
        self.attr(attributes);
    }

    /// `struct fuse_entry_out`.
    pub(crate) fn entry(&mut self, entry: Entry<'_>) {
        self.u64(entry.node);
        self.u64(entry.generation);
        let name_nanos = self.duration(entry.valid);
        let attr_nanos = self.duration(entry.attributes.valid);
        self.u32(name_nanos);
        self.u32(attr_nanos);
        self.attr(entry.attributes);
    }

    /// Answers that the name does not exist, which the host may cache for `valid`.
    pub(crate) fn no_entry(&mut self, valid: Duration) {
        // The node is 0.
        self.zeros(16);
        let nanos = self.duration(valid);
        self.u64(0);
        self.u32(nanos);
        self.zeros(ENTRY - 36);
    }

    /// `struct fuse_open_out`.
    pub(crate) fn open(&mut self, handle: u64, flags: u32) {
        self.u64(handle);
        self.u32(flags);
        self.u32(0);
    }

    /// `struct fuse_statx_out`.
    pub(crate) fn statx(&mut self, attributes: Attributes<'_>) {
        let stat = attributes.metadata.as_statx();
        let nanos = self.duration(attributes.valid);
        self.u32(nanos);
        self.u32(0);
        self.zeros(16);
        self.u32(stat.stx_mask);
        self.u32(stat.stx_blksize);
        self.u64(stat.stx_attributes);
        self.u32(stat.stx_nlink);
        self.u32(stat.stx_uid);
        self.u32(stat.stx_gid);
        self.bytes(&stat.stx_mode.to_ne_bytes());
        self.zeros(2);
        self.u64(attributes.ino);
        self.u64(stat.stx_size);
        self.u64(stat.stx_blocks);
        self.u64(stat.stx_attributes_mask);
        for time in [
            stat.stx_atime,
            stat.stx_btime,
            stat.stx_ctime,
            stat.stx_mtime,
        ] {
            self.u64(time.tv_sec as u64);
            self.u32(time.tv_nsec);
            self.zeros(4);
        }
        self.u32(stat.stx_rdev_major);
        self.u32(stat.stx_rdev_minor);
        // The device is the host's own, and there is more to come.
        self.zeros(8 + 14 * 8);
    }

    /// Adds a directory entry, unless the entries would be longer than `most` bytes.
    pub(crate) fn dir_entry(&mut self, entry: DirEntry<'_>, most: usize) -> bool {
        let padded = (DIRENT + entry.name.len()).next_multiple_of(8);
        if self.len() + padded > most {
            return false;
        }
        let kind = entry.file_type.map_or(0, dirent_type);
        self.u64(entry.ino);
        self.u64(entry.next);
        self.u32(entry.name.len() as u32);
        self.u32(kind);
        self.bytes(entry.name);
        self.zeros(padded - DIRENT - entry.name.len());
        true
    }

    /// Adds a directory entry with the attributes of its file. `None`: without; the host
    /// looks the name up when it needs them.
    pub(crate) fn dir_entry_plus(
        &mut self,
        entry: DirEntry<'_>,
        found: Option<Entry<'_>>,
        most: usize,
    ) -> bool {
        let before = self.end;
        match found {
            Some(found) => self.entry(found),
            None => self.no_entry(Duration::ZERO),
        }
        let added = self.dir_entry(entry, most);
        if !added {
            self.end = before;
        }
        added
    }
}

/// `DT_*` of readdir(3).
fn dirent_type(kind: FileType) -> u32 {
    let kind = match kind {
        kind if kind.is_dir() => libc::DT_DIR,
        kind if kind.is_symlink() => libc::DT_LNK,
        kind if kind.is_fifo() => libc::DT_FIFO,
        kind if kind.is_socket() => libc::DT_SOCK,
        kind if kind.is_char_device() => libc::DT_CHR,
        kind if kind.is_block_device() => libc::DT_BLK,
        kind if kind.is_file() => libc::DT_REG,
        _ => libc::DT_UNKNOWN,
    };
    kind.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_has_no_results() {
        let mut answer = Answer::default();
        answer.clear();
        answer.u64(1);
        let message = answer.finish(5, Err(Errno::NOENT)).to_vec();
        let error = (-libc::ENOENT).to_ne_bytes();
        assert_eq!(message[..4], 16u32.to_ne_bytes());
        assert_eq!(message[4..8], error);
        assert_eq!(message[8..], 5u64.to_ne_bytes());
    }

    #[test]
    fn a_directory_is_filled_to_the_last_byte_that_fits() {
        let mut answer = Answer::default();
        answer.clear();
        let entry = |name| DirEntry {
            ino: 2,
            next: 3,
            file_type: None,
            name,
        };
        // 24 and 1, padded to 32; 24 and 8.
        assert!(answer.dir_entry(entry(b"a"), 64));
        assert!(answer.dir_entry(entry(b"abcdefgh"), 64));
        assert!(!answer.dir_entry(entry(b"b"), 95));
        assert_eq!(answer.len(), 64);
        assert!(!answer.dir_entry_plus(entry(b"b"), None, 64 + 159));
        assert!(answer.dir_entry_plus(entry(b"b"), None, 64 + 160));
        assert_eq!(answer.len(), 224);
        // No node: the host is to look it up.
        assert_eq!(answer.bytes[HEADER + 64..][..8], [0; 8]);
    }

    #[test]
    fn a_name_that_is_not_there_is_as_long_as_an_entry() {
        let mut answer = Answer::default();
        answer.clear();
        answer.no_entry(Duration::from_secs(5));
        assert_eq!(answer.len(), ENTRY);
        assert_eq!(answer.bytes[HEADER + 16..][..8], 5u64.to_ne_bytes());
    }
}
