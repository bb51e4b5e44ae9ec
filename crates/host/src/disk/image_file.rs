//! [`ImageFile`]: a file or block device of the host that holds a disk, locked.

use super::Harm;
use rustix::fs::{FileType, FlockOperation, OFlags, flock, fstat};
use rustix::io::Errno;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

/// A file or block device of the host that holds a disk, or a part of one.
///
/// It is locked (`flock(2)`) until dropped: any number of read-only users, or
/// one that writes.
#[derive(Debug)]
pub struct ImageFile {
    file: File,
    size: u64,
    regular: bool,
    /// Whether to report [`Harm::Removed`]: the file is opened for writing and had a
    /// name.
    to_be_found: bool,
    /// The process that has locked the file: a child of fork(2) has it too.
    owner: u32,
}

impl ImageFile {
    /// Opens and locks the file at `path`.
    ///
    /// # Errors
    ///
    /// Those of `open(2)`; `EWOULDBLOCK` when another process, or this one, has locked
    /// the file; `EINVAL` when it is neither a file nor a block device. For writing also:
    /// `EBUSY` when the host has mounted the device or has another device on it, and an
    /// error that names the loop device to which the file is attached.
    pub fn open(path: &Path, read_only: bool) -> io::Result<ImageFile> {
        let mut options = OpenOptions::new();
        options.read(true).write(!read_only);
        let found = fs::metadata(path)?;
        if !read_only && found.file_type().is_block_device() {
            // Nobody else may have it so, the host's filesystems among them (open(2)).
            options.custom_flags(OFlags::EXCL.bits().cast_signed());
        }
        refuse_attached(path, read_only)?;
        ImageFile::from_file(options.open(path)?, read_only)
    }

    /// Like [`ImageFile::open`], for a path from an untrusted source: a symbolic link at
    /// its end is refused, and opening a FIFO does not block.
    ///
    /// # Errors
    ///
    /// See [`ImageFile::open`]; `ELOOP` when the path ends in a symbolic link.
    pub fn open_no_follow(path: &Path, read_only: bool) -> io::Result<ImageFile> {
        refuse_attached(path, read_only)?;
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let mut options = OpenOptions::new();
        options.read(true).write(!read_only);
        let file = options.custom_flags(flags.bits().cast_signed());
        ImageFile::from_file(file.open(path)?, read_only)
    }

    /// Like [`ImageFile::open`], for a file that is open already.
    ///
    /// # Errors
    ///
    /// See [`ImageFile::open`].
    pub fn from_file(mut file: File, read_only: bool) -> io::Result<ImageFile> {
        let found = fstat(&file)?;
        let regular = match FileType::from_raw_mode(found.st_mode) {
            FileType::RegularFile => true,
            FileType::BlockDevice => false,
            _ => return Err(Errno::INVAL.into()),
        };
        let lock = match read_only {
            true => FlockOperation::NonBlockingLockShared,
            false => FlockOperation::NonBlockingLockExclusive,
        };
        flock(&file, lock)?;
        Ok(ImageFile {
            size: file.seek(SeekFrom::End(0))?,
            file,
            regular,
            to_be_found: !read_only && found.st_nlink > 0,
            owner: std::process::id(),
        })
    }

    /// The file itself. A duplicate of it shares the lock.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Size in bytes when it was opened.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Makes the file `size` bytes large.
    ///
    /// # Errors
    ///
    /// Those of ftruncate(2); `EINVAL` for a block device.
    pub fn set_len(&mut self, size: u64) -> io::Result<()> {
        self.file.set_len(size)?;
        self.size = size;
        Ok(())
    }

    /// What another program did to the file since it was opened.
    pub fn harm(&self) -> Option<Harm> {
        if !self.regular {
            return None;
        }
        let found = fstat(&self.file).ok()?;
        let now = found.st_size.cast_unsigned();
        if now < self.size {
            let size = self.size;
            return Some(Harm::Cut { size, now });
        }
        (self.to_be_found && found.st_nlink == 0).then_some(Harm::Removed)
    }

    /// Fails if the file was cut short since it was opened: a write behind its new end
    /// would fill the lost part with zeroes.
    ///
    /// # Errors
    ///
    /// `EIO`: it was cut short.
    pub fn check_not_cut(&self) -> io::Result<()> {
        match self.harm() {
            Some(Harm::Cut { .. }) => Err(Errno::IO.into()),
            Some(Harm::Removed) | None => Ok(()),
        }
    }

    /// Whether it is a regular file, not a block device.
    pub fn is_regular(&self) -> bool {
        self.regular
    }
}

impl Drop for ImageFile {
    fn drop(&mut self) {
        // Closing does not do if a process that was started meanwhile holds the
        // file too, until it executes its program. Closing follows anyway.
        if self.owner == std::process::id() {
            let _ = flock(&self.file, FlockOperation::Unlock);
        }
    }
}

/// An error if a file that is to be written is attached to a loop device.
fn refuse_attached(path: &Path, read_only: bool) -> io::Result<()> {
    if !read_only && let Some(device) = attached_loop(path) {
        let what = format!(
            "it is attached to {device}, which the host may have mounted: \
             detach it with losetup -d {device}"
        );
        return Err(io::Error::new(io::ErrorKind::ResourceBusy, what));
    }
    Ok(())
}

/// The writable loop device of the host to which the file at `path` is attached,
/// according to /sys: "/dev/loop0".
pub fn attached_loop(path: &Path) -> Option<String> {
    let file = fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
    let is_it = |device: &Path| {
        let backing = fs::read_to_string(device.join("loop/backing_file")).ok()?;
        let backing = fs::metadata(backing.trim_end_matches('\n')).ok()?;
        let read_only = fs::read_to_string(device.join("ro")).ok()?;
        let same = (backing.dev(), backing.ino()) == (file.dev(), file.ino());
        (same && read_only.trim() == "0").then_some(())
    };
    fs::read_dir("/sys/block")
        .ok()?
        .flatten()
        .find_map(|device| {
            let name = device.file_name().into_string().ok()?;
            (name.starts_with("loop") && is_it(&device.path()).is_some())
                .then(|| format!("/dev/{name}"))
        })
}

/// A process that has locked a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockHolder {
    /// Its process ID.
    pub pid: u32,
    /// Its name (`/proc/PID/comm`), if that can be read.
    pub name: Option<String>,
}

/// Whether another lock (`flock(2)`) on the file at `path` would make [`ImageFile::open`]
/// with `read_only` fail. Cheap, unlike [`lock_holder`].
pub fn is_locked(path: &Path, read_only: bool) -> bool {
    let mut options = OpenOptions::new();
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let lock = match read_only {
        true => FlockOperation::NonBlockingLockShared,
        false => FlockOperation::NonBlockingLockExclusive,
    };
    let file = options.read(true).custom_flags(flags).open(path);
    file.is_ok_and(|file| flock(&file, lock) == Err(Errno::WOULDBLOCK))
}

/// The process that holds a lock (`flock(2)`) on the file at `path`, according to
/// /proc/locks, which does not show processes of other PID namespaces.
///
/// Takes some 10 ms: the host synchronises all its processors before it shows its locks.
pub fn lock_holder(path: &Path) -> Option<LockHolder> {
    let file = fs::metadata(path).ok()?;
    let (major, minor) = (rustix::fs::major(file.dev()), rustix::fs::minor(file.dev()));
    let id = format!("{major:02x}:{minor:02x}:{}", file.ino());
    let locks = fs::read_to_string("/proc/locks").ok()?;
    let pid = locks.lines().find_map(|line| holder(line, &id))?;
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok();
    Some(LockHolder {
        pid,
        name: name.map(|name| name.trim_end().escape_debug().to_string()),
    })
}

/// The process of a line like `1: FLOCK ADVISORY WRITE 708 08:02:1572871 0 EOF`
/// (`proc_locks(5)`), if the lock is on the file `id` and is held, not waited for ("1: ->
/// FLOCK ...").
fn holder(line: &str, id: &str) -> Option<u32> {
    let mut fields = line.split_whitespace().skip(1);
    if fields.next()? != "FLOCK" {
        return None;
    }
    let pid = fields.nth(2)?.parse().ok()?;
    (fields.next()? == id && pid != 0).then_some(pid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lock_is_found_by_its_file() {
        let id = "08:02:42";
        let line = "3: FLOCK  ADVISORY  WRITE 708 08:02:42 0 EOF";
        assert_eq!(holder(line, id), Some(708));
        assert_eq!(holder(line, "08:02:4"), None);
        for other in [
            "3: POSIX  ADVISORY  WRITE 708 08:02:42 0 EOF",
            "3: -> FLOCK  ADVISORY  WRITE 708 08:02:42 0 EOF",
            "3: FLOCK  ADVISORY  WRITE 0 08:02:42 0 EOF",
            "",
        ] {
            assert_eq!(holder(other, id), None, "{other}");
        }
    }
}
