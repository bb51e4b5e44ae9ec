//! What is known of a file, as Python has it: the arguments of `os.stat_result`.

use drupe::{FileType, Metadata};

/// Of `os.stat_result`: the ten that it begins with, then nanoseconds of access,
/// modification and change, block size, blocks, device, and nanoseconds of birth or none.
pub(crate) type Stat = (
    (u32, u64, u64, u64, u32, u32, u64, i64, i64, i64),
    (i128, i128, i128),
    (u64, u64, u64),
    Option<i128>,
);

pub(crate) fn stat(metadata: &Metadata) -> Stat {
    let raw = metadata.as_statx();
    let nanoseconds = |time: &libc::statx_timestamp| {
        i128::from(time.tv_sec) * 1_000_000_000 + i128::from(time.tv_nsec)
    };
    let born = raw.stx_mask & libc::STATX_BTIME != 0;
    (
        (
            metadata.mode(),
            metadata.ino(),
            metadata.dev(),
            metadata.nlink(),
            metadata.uid(),
            metadata.gid(),
            metadata.len(),
            raw.stx_atime.tv_sec,
            raw.stx_mtime.tv_sec,
            raw.stx_ctime.tv_sec,
        ),
        (
            nanoseconds(&raw.stx_atime),
            nanoseconds(&raw.stx_mtime),
            nanoseconds(&raw.stx_ctime),
        ),
        (metadata.blksize(), metadata.blocks(), metadata.rdev()),
        born.then(|| nanoseconds(&raw.stx_btime)),
    )
}

/// `S_IF*` of a type.
pub(crate) fn kind(kind: FileType) -> u32 {
    match () {
        () if kind.is_file() => libc::S_IFREG,
        () if kind.is_dir() => libc::S_IFDIR,
        () if kind.is_symlink() => libc::S_IFLNK,
        () if kind.is_block_device() => libc::S_IFBLK,
        () if kind.is_char_device() => libc::S_IFCHR,
        () if kind.is_fifo() => libc::S_IFIFO,
        () if kind.is_socket() => libc::S_IFSOCK,
        () => 0,
    }
}
