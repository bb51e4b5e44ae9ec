//! [`unmount`]: unmounts a mount of a keeper, and waits for its result: `drupe umount`.

use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use drupe::Errno;
use rustix::mount::UnmountFlags;

use crate::host_mount::FSTYPE;
use crate::keeper::{self, Ended};

/// Why a directory was not unmounted. Except with [`NotUnmounted::Elsewhere`], nothing
/// was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NotUnmounted {
    /// No mount of drupe is on the directory.
    #[error("no mount of drupe is on it")]
    NotOurs,
    /// The mount's keeper, which knows the result, cannot be reached: it has died, or is
    /// in another network namespace.
    #[error(
        "its process drupe-keeper cannot be reached: it has died, or runs in another network namespace"
    )]
    NoKeeper,
    /// Another user has mounted it.
    #[error("another user has mounted it: only that user or root can unmount it")]
    Others,
    /// It was unmounted from the directory, but is mounted on another one too, and so
    /// goes on.
    #[error("is still mounted on {}: the image is in use until that is unmounted", .0.display())]
    Elsewhere(PathBuf),
    /// Files in it are open.
    #[error("is in use: end the programs that have files in it open")]
    Busy,
    /// An error of the host.
    #[error("{}", .0)]
    Host(io::Error),
}

impl From<io::Error> for NotUnmounted {
    fn from(error: io::Error) -> NotUnmounted {
        NotUnmounted::Host(error)
    }
}

/// Unmounts a mount of [`keep`](crate::keep) on `dir`, and returns when it has ended,
/// with its result. `None`: the process that served it had died before, and unsynced data
/// is lost.
///
/// # Errors
/// Any [`NotUnmounted`].
pub fn unmount(dir: &Path) -> Result<Option<Ended>, NotUnmounted> {
    let dir = mount_point(dir)?;
    let mounts = std::fs::read("/proc/self/mountinfo")?;
    // What was mounted last hides the others.
    let mut there = all(&mounts).collect::<Vec<_>>().into_iter().rev();
    let mount = there
        .find(|mount| mount.dir == dir)
        .filter(|mount| mount.fstype == FSTYPE.as_bytes())
        .ok_or(NotUnmounted::NotOurs)?;
    match keeper::connect(&mount.device, mount.owner) {
        Ok(keeper) => {
            take_away(&dir)?;
            // Those that were there before: its number may be another mount's by now. And only
            // now, since others go with it where directories are shared.
            let before: Vec<_> = all(&mounts).filter(|other| *other != mount).collect();
            let mounts = std::fs::read("/proc/self/mountinfo")?;
            let same = |other: &Mount| other.device == mount.device && before.contains(other);
            match all(&mounts).find(same) {
                Some(other) => Err(NotUnmounted::Elsewhere(other.dir)),
                None => Ok(keeper::hear(keeper)?),
            }
        }
        Err(Errno::ACCESS) => Err(NotUnmounted::Others),
        Err(_) => match dir.metadata().map_err(|error| error.raw_os_error()) {
            Err(Some(libc::ENOTCONN)) => take_away(&dir).map(|()| None),
            _ => Err(NotUnmounted::NoKeeper),
        },
    }
}

/// The directories on which mounts of drupe with this source are, as
/// [`Options::source`](crate::Options::source) gave it.
///
/// # Errors
///
/// `/proc` is not there.
pub fn mounted_from(is_source: impl Fn(&Path) -> bool) -> io::Result<Vec<PathBuf>> {
    let mounts = std::fs::read("/proc/self/mountinfo")?;
    let ours = all(&mounts).filter(|mount| mount.fstype == FSTYPE.as_bytes());
    let from = ours.filter(|mount| is_source(&mount.source));
    Ok(from.map(|mount| mount.dir).collect())
}

/// The FUSE mounts in the text of `/proc/self/mountinfo`.
fn all(mounts: &[u8]) -> impl Iterator<Item = Mount> {
    let lines = mounts.split(|&byte| byte == b'\n');
    lines.filter_map(Mount::parse)
}

/// The absolute path of a mount point. Works also if this user may not access the mount,
/// or it is not served any more.
fn mount_point(dir: &Path) -> io::Result<PathBuf> {
    let dir = std::path::absolute(dir)?;
    match dir.canonicalize() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(error),
        Err(error) => match (dir.parent(), dir.file_name()) {
            (Some(parent), Some(name)) => Ok(parent.canonicalize()?.join(name)),
            _ => Err(error),
        },
        found => found,
    }
}

/// The used fields of a line of `/proc/self/mountinfo` (proc(5)).
#[derive(Debug, PartialEq, Eq)]
struct Mount {
    device: String,
    dir: PathBuf,
    fstype: Vec<u8>,
    /// The image.
    source: PathBuf,
    /// FUSE's `user_id`.
    owner: u32,
}

impl Mount {
    fn parse(line: &[u8]) -> Option<Mount> {
        let mut fields = line.split(|&byte| byte == b' ');
        let device = String::from_utf8(fields.nth(2)?.to_vec()).ok()?;
        let dir = unescape(fields.nth(1)?);
        let mut fields = fields.skip_while(|field| *field != b"-").skip(1);
        let fstype = fields.next()?.to_vec();
        let source = unescape(fields.next()?);
        let options = std::str::from_utf8(fields.next()?).ok()?;
        let owner = options.split(',').find_map(|option| {
            let id = option.strip_prefix("user_id=")?;
            id.parse().ok()
        })?;
        let path = |bytes| PathBuf::from(std::ffi::OsString::from_vec(bytes));
        Some(Mount {
            device,
            dir: path(dir),
            fstype,
            source: path(source),
            owner,
        })
    }
}

/// Decodes `\040` (a space) and the like.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&byte, after)) = rest.split_first() {
        let escaped = after.first_chunk().filter(|_| byte == b'\\');
        let value = escaped.and_then(|digits: &[u8; 3]| {
            let digits = std::str::from_utf8(digits).ok()?;
            u8::from_str_radix(digits, 8).ok()
        });
        bytes.push(value.unwrap_or(byte));
        rest = match value {
            Some(_) => &after[3..],
            None => after,
        };
    }
    bytes
}

fn take_away(dir: &Path) -> Result<(), NotUnmounted> {
    use rustix::io::Errno;
    match rustix::mount::unmount(dir, UnmountFlags::empty()) {
        Ok(()) => Ok(()),
        Err(Errno::BUSY) => Err(NotUnmounted::Busy),
        // Somebody else was faster.
        Err(Errno::INVAL) => Err(NotUnmounted::NotOurs),
        Err(Errno::PERM) => by_fusermount(dir),
        Err(errno) => Err(NotUnmounted::Host(errno.into())),
    }
}

/// Unmounts with fusermount3(1), for an ordinary user.
fn by_fusermount(dir: &Path) -> Result<(), NotUnmounted> {
    let output = Command::new("fusermount3")
        .args(["-u", "--"])
        .arg(dir)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| io::Error::new(error.kind(), format!("fusermount3: {error}")))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(match said.contains("busy") {
        true => NotUnmounted::Busy,
        false => {
            let line = said.split_whitespace().collect::<Vec<_>>().join(" ");
            NotUnmounted::Host(io::Error::other(line))
        }
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    #[test]
    fn lines_of_mountinfo() {
        let line = b"36 25 0:33 / /mnt/a\\040b\\134 rw,nosuid shared:1 - fuse.drupe /x.img \
            rw,user_id=1000,group_id=7";
        let mount = Mount::parse(line).expect("whole");
        assert_eq!(mount.device, "0:33");
        assert_eq!(mount.dir.as_os_str().as_bytes(), b"/mnt/a b\\");
        assert_eq!(mount.fstype, b"fuse.drupe");
        assert_eq!(mount.source, Path::new("/x.img"));
        assert_eq!(mount.owner, 1000);
        for line in [
            &b""[..],
            b"36 25 0:33 / /mnt rw - ext4",
            b"36 25 0:33 / /mnt rw - ext4 /dev/vda rw",
            b"36 25 0:33 / /mnt rw - fuse.drupe x user_id=z",
        ] {
            assert_eq!(Mount::parse(line), None);
        }
    }

    #[test]
    fn what_is_not_ours_stays() {
        let dir = std::env::temp_dir();
        let not = unmount(&dir).expect_err("nothing of ours");
        assert!(matches!(not, NotUnmounted::NotOurs), "{not}");
        let not = unmount(&dir.join("drupe, not there")).expect_err("nothing");
        assert!(matches!(not, NotUnmounted::Host(_)), "{not}");
    }
}
