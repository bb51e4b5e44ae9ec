//! Attributes, as FUSE has them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use drupe::{FileTimes, Metadata};
use fuser::{FileAttr, FileType, INodeNo, TimeOrNow};

/// The file of that number, as the host is to see it.
pub(crate) fn attr(number: u64, metadata: &Metadata) -> FileAttr {
    let time = |time: std::io::Result<SystemTime>| time.unwrap_or(UNIX_EPOCH);
    let modified = time(metadata.modified());
    FileAttr {
        ino: INodeNo(number),
        size: metadata.len(),
        blocks: metadata.blocks(),
        atime: time(metadata.accessed()),
        mtime: modified,
        ctime: time(metadata.changed()),
        crtime: metadata.created().unwrap_or(modified),
        kind: kind(metadata.file_type()),
        perm: (metadata.mode() & 0o7777) as u16,
        nlink: metadata.nlink().try_into().unwrap_or(u32::MAX),
        uid: metadata.uid(),
        gid: metadata.gid(),
        // The kernel's layout of 32 bits is the low half of makedev(3)'s.
        rdev: metadata.rdev() as u32,
        blksize: metadata.blksize().try_into().unwrap_or(4096),
        flags: 0,
    }
}

/// The type of a file.
pub(crate) fn kind(kind: drupe::FileType) -> FileType {
    match kind {
        kind if kind.is_dir() => FileType::Directory,
        kind if kind.is_symlink() => FileType::Symlink,
        kind if kind.is_fifo() => FileType::NamedPipe,
        kind if kind.is_socket() => FileType::Socket,
        kind if kind.is_char_device() => FileType::CharDevice,
        kind if kind.is_block_device() => FileType::BlockDevice,
        _ => FileType::RegularFile,
    }
}

/// Times to set; `None` if there are none.
pub(crate) fn times(accessed: Option<TimeOrNow>, modified: Option<TimeOrNow>) -> Option<FileTimes> {
    if accessed.is_none() && modified.is_none() {
        return None;
    }
    let mut times = FileTimes::new();
    times = match accessed {
        None => times,
        Some(TimeOrNow::Now) => times.set_accessed_now(),
        Some(TimeOrNow::SpecificTime(time)) => times.set_accessed(meant(time)),
    };
    Some(match modified {
        None => times,
        Some(TimeOrNow::Now) => times.set_modified_now(),
        Some(TimeOrNow::SpecificTime(time)) => times.set_modified(meant(time)),
    })
}

/// The time that was sent. Of one before 1970, fuser 0.18 subtracts the
/// nanoseconds, which are to be added.
fn meant(time: SystemTime) -> SystemTime {
    match time.duration_since(UNIX_EPOCH) {
        Ok(_) => time,
        Err(before) => {
            let nanos = before.duration().subsec_nanos();
            time + Duration::from_nanos(2 * u64::from(nanos))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_before_1970() {
        // -2 s and 0.8e9 ns: 1.2 s before 1970, which fuser makes 2.8 s.
        let sent = UNIX_EPOCH - Duration::from_millis(2800);
        assert_eq!(meant(sent), UNIX_EPOCH - Duration::from_millis(1200));
        let after = UNIX_EPOCH + Duration::from_millis(1200);
        assert_eq!(meant(after), after);
    }
}
