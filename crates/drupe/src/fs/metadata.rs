//! [`Metadata`] and [`FileType`], from statx(2); [`StatFs`], from statfs(2).

use std::fmt;
use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::time::SystemTime;

use super::times::system_time;

/// The attributes of a file, as [`std::fs::Metadata`].
#[derive(Clone)]
pub struct Metadata(libc::statx);

/// The type of a file, as [`std::fs::FileType`].
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct FileType(u32);

/// A device number from its two parts (makedev(3)).
pub fn makedev(major: u32, minor: u32) -> u64 {
    libc::makedev(major, minor)
}

impl Metadata {
    pub(super) fn new(mut stat: libc::statx) -> Metadata {
        for time in [
            &mut stat.stx_atime,
            &mut stat.stx_btime,
            &mut stat.stx_ctime,
            &mut stat.stx_mtime,
        ] {
            (time.tv_sec, time.tv_nsec) = normalize(time.tv_sec, time.tv_nsec);
        }
        Metadata(stat)
    }

    /// Size in bytes.
    #[expect(clippy::len_without_is_empty, reason = "as in std::fs::Metadata")]
    pub fn len(&self) -> u64 {
        self.0.stx_size
    }

    /// Type.
    pub fn file_type(&self) -> FileType {
        FileType(self.mode() & libc::S_IFMT)
    }

    /// It is a directory.
    pub fn is_dir(&self) -> bool {
        self.file_type().is_dir()
    }

    /// It is a regular file.
    pub fn is_file(&self) -> bool {
        self.file_type().is_file()
    }

    /// It is a symbolic link.
    pub fn is_symlink(&self) -> bool {
        self.file_type().is_symlink()
    }

    /// Permissions: the mode.
    pub fn permissions(&self) -> Permissions {
        Permissions::from_mode(self.mode())
    }

    /// Type and permissions (inode(7)).
    pub fn mode(&self) -> u32 {
        self.0.stx_mode.into()
    }

    /// When its contents last changed.
    pub fn modified(&self) -> io::Result<SystemTime> {
        time(&self.0.stx_mtime)
    }

    /// When it was last read.
    pub fn accessed(&self) -> io::Result<SystemTime> {
        time(&self.0.stx_atime)
    }

    /// When the file was created. `Unsupported` where the filesystem does not store that.
    pub fn created(&self) -> io::Result<SystemTime> {
        match self.0.stx_mask & libc::STATX_BTIME {
            0 => Err(io::ErrorKind::Unsupported.into()),
            _ => time(&self.0.stx_btime),
        }
    }

    /// When its inode last changed.
    pub fn changed(&self) -> io::Result<SystemTime> {
        time(&self.0.stx_ctime)
    }

    /// Seconds since 1970 of [`Metadata::accessed`]; negative before.
    pub fn atime(&self) -> i64 {
        self.0.stx_atime.tv_sec
    }

    /// Nanoseconds after [`Metadata::atime`].
    pub fn atime_nsec(&self) -> u32 {
        self.0.stx_atime.tv_nsec
    }

    /// Seconds since 1970 of [`Metadata::modified`]; negative before.
    pub fn mtime(&self) -> i64 {
        self.0.stx_mtime.tv_sec
    }

    /// Nanoseconds after [`Metadata::mtime`].
    pub fn mtime_nsec(&self) -> u32 {
        self.0.stx_mtime.tv_nsec
    }

    /// Seconds since 1970 of [`Metadata::changed`]; negative before.
    pub fn ctime(&self) -> i64 {
        self.0.stx_ctime.tv_sec
    }

    /// Nanoseconds after [`Metadata::ctime`].
    pub fn ctime_nsec(&self) -> u32 {
        self.0.stx_ctime.tv_nsec
    }

    /// The whole result of statx(2), with times before 1970 corrected.
    pub fn as_statx(&self) -> &libc::statx {
        &self.0
    }

    /// Owner.
    pub fn uid(&self) -> u32 {
        self.0.stx_uid
    }

    /// Group.
    pub fn gid(&self) -> u32 {
        self.0.stx_gid
    }

    /// Number of its inode.
    pub fn ino(&self) -> u64 {
        self.0.stx_ino
    }

    /// The number of its names (hard links).
    pub fn nlink(&self) -> u64 {
        self.0.stx_nlink.into()
    }

    /// The number of the device that it is on.
    pub fn dev(&self) -> u64 {
        makedev(self.0.stx_dev_major, self.0.stx_dev_minor)
    }

    /// The device number of a device node.
    pub fn rdev(&self) -> u64 {
        makedev(self.0.stx_rdev_major, self.0.stx_rdev_minor)
    }

    /// The number of blocks of 512 bytes that it occupies.
    pub fn blocks(&self) -> u64 {
        self.0.stx_blocks
    }

    /// The preferred size of reads and writes in bytes.
    pub fn blksize(&self) -> u64 {
        self.0.stx_blksize.into()
    }
}

/// Corrects times before 1970 of NTFS: they have negative nanoseconds (`nt2kernel` in
/// fs/ntfs3/ntfs_fs.h), which are unsigned in statx.
fn normalize(seconds: i64, nanos: u32) -> (i64, u32) {
    match nanos as i32 {
        negative @ -999_999_999..0 => {
            (seconds.saturating_sub(1), (negative + 1_000_000_000) as u32)
        }
        _ => (seconds, nanos),
    }
}

fn time(time: &libc::statx_timestamp) -> io::Result<SystemTime> {
    system_time(time.tv_sec, time.tv_nsec).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

impl fmt::Debug for Metadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metadata")
            .field("file_type", &self.file_type())
            .field("mode", &format_args!("{:#o}", self.mode()))
            .field("len", &self.len())
            .field("uid", &self.uid())
            .field("gid", &self.gid())
            .field("ino", &self.ino())
            .field("nlink", &self.nlink())
            .field("modified", &self.modified().ok())
            .finish_non_exhaustive()
    }
}

impl FileType {
    /// The type for the `d_type` of a directory entry; `None`: `DT_UNKNOWN`.
    pub(super) fn from_dirent(d_type: u8) -> Option<FileType> {
        // DT_* is S_IF* shifted (include/linux/fs_types.h).
        (d_type != libc::DT_UNKNOWN).then(|| FileType(u32::from(d_type) << 12))
    }

    /// A directory.
    pub fn is_dir(&self) -> bool {
        self.0 == libc::S_IFDIR
    }

    /// A regular file.
    pub fn is_file(&self) -> bool {
        self.0 == libc::S_IFREG
    }

    /// A symbolic link.
    pub fn is_symlink(&self) -> bool {
        self.0 == libc::S_IFLNK
    }

    /// A block device.
    pub fn is_block_device(&self) -> bool {
        self.0 == libc::S_IFBLK
    }

    /// A character device.
    pub fn is_char_device(&self) -> bool {
        self.0 == libc::S_IFCHR
    }

    /// A named pipe.
    pub fn is_fifo(&self) -> bool {
        self.0 == libc::S_IFIFO
    }

    /// A socket.
    pub fn is_socket(&self) -> bool {
        self.0 == libc::S_IFSOCK
    }
}

impl fmt::Debug for FileType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            libc::S_IFDIR => "directory",
            libc::S_IFREG => "file",
            libc::S_IFLNK => "symbolic link",
            libc::S_IFBLK => "block device",
            libc::S_IFCHR => "character device",
            libc::S_IFIFO => "fifo",
            libc::S_IFSOCK => "socket",
            _ => "unknown",
        })
    }
}

/// Size and free space of a filesystem, from statfs(2).
#[derive(Clone, Copy)]
pub struct StatFs(libc::statfs64);

impl StatFs {
    pub(super) fn new(stat: libc::statfs64) -> StatFs {
        StatFs(stat)
    }

    fn bytes(&self, blocks: u64) -> u64 {
        let unit = match self.0.f_frsize {
            0 => self.0.f_bsize,
            unit => unit,
        };
        blocks.saturating_mul(unit as u64)
    }

    /// Bytes of a block, the unit in which the filesystem counts.
    pub fn block_size(&self) -> u64 {
        self.bytes(1)
    }

    /// Total size in bytes.
    pub fn total(&self) -> u64 {
        self.bytes(self.0.f_blocks)
    }

    /// Bytes not in use.
    pub fn free(&self) -> u64 {
        self.bytes(self.0.f_bfree)
    }

    /// Bytes not in use, without those reserved for root.
    pub fn available(&self) -> u64 {
        self.bytes(self.0.f_bavail)
    }

    /// Total number of inodes; 0 where they are allocated as needed.
    pub fn files(&self) -> u64 {
        self.0.f_files
    }

    /// Inodes not in use.
    pub fn files_free(&self) -> u64 {
        self.0.f_ffree
    }

    /// Bytes of the longest name.
    pub fn name_max(&self) -> u64 {
        self.0.f_namelen as u64
    }

    /// It is mounted read-only.
    pub fn is_read_only(&self) -> bool {
        self.0.f_flags as u64 & libc::ST_RDONLY != 0
    }

    /// The type's magic number (`linux/magic.h`).
    pub fn magic(&self) -> u64 {
        self.0.f_type as u64
    }
}

impl fmt::Debug for StatFs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StatFs")
            .field("total", &self.total())
            .field("free", &self.free())
            .field("magic", &format_args!("{:#x}", self.magic()))
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn negative_nanoseconds() {
        // Of a time of 1965, as fs/ntfs3 gave it.
        let (seconds, nanos) = (-157_668_954, -876_543_300_i32 as u32);
        assert_eq!(normalize(seconds, nanos), (-157_668_955, 123_456_700));
        for fine in [(-1, 0), (-1, 999_999_999), (1, 1)] {
            assert_eq!(normalize(fine.0, fine.1), fine);
        }
    }
}
