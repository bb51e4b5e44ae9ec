//! What is done to files by their paths in a mount, and `struct drupe_stat`.

use std::ffi::{c_char, c_void};
use std::fs::Permissions;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use drupe::{FileTimes, Metadata, Mount};

use crate::border::{Out, c_memory, check_flags};
use crate::failure::{Failure, Result};

/// `DRUPE_NOFOLLOW`.
pub(crate) const NOFOLLOW: u32 = 1;

/// `struct drupe_time`.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct Time {
    sec: i64,
    nsec: u32,
    spare: u32,
}

/// `struct drupe_stat`.
#[repr(C)]
pub(crate) struct Stat {
    ino: u64,
    dev: u64,
    rdev: u64,
    size: u64,
    blocks: u64,
    nlink: u32,
    mode: u32,
    uid: u32,
    gid: u32,
    block_size: u32,
    spare_int: u32,
    atime: Time,
    mtime: Time,
    ctime: Time,
    btime: Time,
    spare: [u64; 4],
}

const _: () = assert!(size_of::<Stat>() == 160);

impl Stat {
    pub(crate) fn of(metadata: &Metadata) -> Stat {
        let stat = metadata.as_statx();
        let time = |time: &libc::statx_timestamp| Time {
            sec: time.tv_sec,
            nsec: time.tv_nsec,
            spare: 0,
        };
        Stat {
            ino: metadata.ino(),
            dev: metadata.dev(),
            rdev: metadata.rdev(),
            size: metadata.len(),
            blocks: metadata.blocks(),
            nlink: stat.stx_nlink,
            mode: metadata.mode(),
            uid: metadata.uid(),
            gid: metadata.gid(),
            block_size: stat.stx_blksize,
            spare_int: 0,
            atime: time(&stat.stx_atime),
            mtime: time(&stat.stx_mtime),
            ctime: time(&stat.stx_ctime),
            btime: time(&stat.stx_btime),
            spare: [0; 4],
        }
    }
}

/// A time that is to be set: `DRUPE_TIME_NOW` and `DRUPE_TIME_OMIT` are those of
/// utimensat(2).
enum Stamp {
    Now,
    Omit,
    At(SystemTime),
}

impl Time {
    fn stamp(self) -> Result<Stamp> {
        const NOW: u32 = libc::UTIME_NOW as u32;
        const OMIT: u32 = libc::UTIME_OMIT as u32;
        let whole = match u64::try_from(self.sec) {
            Ok(after) => UNIX_EPOCH.checked_add(Duration::from_secs(after)),
            Err(_) => UNIX_EPOCH.checked_sub(Duration::from_secs(self.sec.unsigned_abs())),
        };
        let at = |nsec: u32| whole?.checked_add(Duration::from_nanos(nsec.into()));
        match self.nsec {
            NOW => Ok(Stamp::Now),
            OMIT => Ok(Stamp::Omit),
            nsec @ 0..1_000_000_000 => {
                let time = at(nsec).ok_or_else(|| Failure::argument("a time is too far away"))?;
                Ok(Stamp::At(time))
            }
            nsec => Err(Failure::argument(format!(
                "{nsec} nanoseconds are too many"
            ))),
        }
    }
}

/// Whether the last symbolic link of a path is followed.
pub(crate) fn follows(flags: u32) -> Result<bool> {
    check_flags(flags, NOFOLLOW)?;
    Ok(flags & NOFOLLOW == 0)
}

/// An owner; -1 keeps what it is.
fn owner(id: u32) -> Option<u32> {
    (id != u32::MAX).then_some(id)
}

export! {
    fn drupe_stat(mount: &Mount, path: &Path, flags: u32, stat: Out<Stat>) -> status {
        let metadata = match follows(flags)? {
            true => mount.metadata(path)?,
            false => mount.symlink_metadata(path)?,
        };
        stat.put(Stat::of(&metadata));
        Ok(())
    }

    fn drupe_mkdir(mount: &Mount, path: &Path, mode: u32) -> status {
        mount.create_dir(path)?;
        match mode & 0o7777 {
            0o755 => Ok(()),
            mode => Ok(mount.set_permissions(path, Permissions::from_mode(mode))?),
        }
    }

    fn drupe_mkdir_all(mount: &Mount, path: &Path) -> status {
        Ok(mount.create_dir_all(path)?)
    }

    fn drupe_mknod(mount: &Mount, path: &Path, mode: u32, major: u32, minor: u32) -> status {
        Ok(mount.mknod(path, mode, drupe::makedev(major, minor))?)
    }

    fn drupe_unlink(mount: &Mount, path: &Path) -> status {
        Ok(mount.remove_file(path)?)
    }

    fn drupe_rmdir(mount: &Mount, path: &Path) -> status {
        Ok(mount.remove_dir(path)?)
    }

    fn drupe_rmdir_all(mount: &Mount, path: &Path) -> status {
        Ok(mount.remove_dir_all(path)?)
    }

    fn drupe_rename(mount: &Mount, from: &Path, to: &Path) -> status {
        Ok(mount.rename(from, to)?)
    }

    fn drupe_link(mount: &Mount, original: &Path, link: &Path) -> status {
        Ok(mount.hard_link(original, link)?)
    }

    fn drupe_symlink(mount: &Mount, target: &Path, link: &Path) -> status {
        Ok(mount.symlink(target, link)?)
    }

    fn drupe_readlink(mount: &Mount, path: &Path, target: Out<*mut c_char>) -> status {
        target.put(c_memory(mount.read_link(path)?.as_os_str().as_bytes())?);
        Ok(())
    }

    fn drupe_chmod(mount: &Mount, path: &Path, mode: u32) -> status {
        Ok(mount.set_permissions(path, Permissions::from_mode(mode & 0o7777))?)
    }

    fn drupe_chown(mount: &Mount, path: &Path, uid: u32, gid: u32, flags: u32) -> status {
        let (uid, gid) = (owner(uid), owner(gid));
        match follows(flags)? {
            true => Ok(mount.chown(path, uid, gid)?),
            false => Ok(mount.lchown(path, uid, gid)?),
        }
    }

    fn drupe_utimens(mount: &Mount, path: &Path, times: *const c_void, flags: u32) -> status {
        let times: *const Time = times.cast();
        let mut wanted = FileTimes::new().set_accessed_now().set_modified_now();
        if !times.is_null() {
            // SAFETY: two of them, as the header says.
            let (accessed, modified) = unsafe { (times.read(), times.add(1).read()) };
            wanted = match accessed.stamp()? {
                Stamp::Now => FileTimes::new().set_accessed_now(),
                Stamp::Omit => FileTimes::new(),
                Stamp::At(time) => FileTimes::new().set_accessed(time),
            };
            wanted = match modified.stamp()? {
                Stamp::Now => wanted.set_modified_now(),
                Stamp::Omit => wanted,
                Stamp::At(time) => wanted.set_modified(time),
            };
        }
        match follows(flags)? {
            true => Ok(mount.set_times(path, wanted)?),
            false => Ok(mount.set_times_nofollow(path, wanted)?),
        }
    }

    fn drupe_truncate(mount: &Mount, path: &Path, len: u64) -> status {
        let file = mount.open_with(path, drupe::OpenOptions::new().write(true))?;
        Ok(file.set_len(len)?)
    }
}
