//! What is tried with each filesystem.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use drupe::{AttachedDisk, Disk, FileTimes, Kernel, Mount, MountOptions, OpenOptions, nr};

use crate::Result;
use crate::rows::Row;
use crate::tools::{run, sparse_file};

/// The columns of what can be written to.
pub(crate) const COLUMNS: [&str; 13] = [
    "written and read",
    "owners",
    "modes",
    "hard links",
    "symbolic links",
    "xattrs",
    "ACLs",
    "holes",
    "reflinks",
    "times to",
    "after 2038",
    "birth time",
    "O_TMPFILE",
];

/// The columns of what is made from a directory.
pub(crate) const COLUMNS_READ: [&str; 8] = [
    "read",
    "owners",
    "modes",
    "hard links",
    "symbolic links",
    "xattrs",
    "times to",
    "birth time",
];

const UID: u32 = 1234;
const GID: u32 = 5678;
const MODE: u32 = 0o751;
const HOLE: u64 = 4 << 20;
/// In nanoseconds: different in each digit.
const NANOSECONDS: u32 = 123_456_789;
/// Odd, so that a step of two seconds shows.
const SECONDS: u64 = 1_500_000_001;
const LATE: u64 = 3_000_000_000;

fn late() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(LATE)
}

fn time() -> SystemTime {
    UNIX_EPOCH + Duration::new(SECONDS, NANOSECONDS)
}

fn contents() -> Vec<u8> {
    // Not all of it can be compressed.
    let noise = |number: u32| number.wrapping_mul(0x9e37_79b9) >> 13;
    (0..300_000_u32).map(|n| noise(n / 3) as u8).collect()
}

/// An ACL (posix_acl_xattr.h): of its owner rwx, of user 4321 r, its group x, mask rx,
/// others x.
fn acl() -> Vec<u8> {
    let entries = [
        (1u16, 7u16, u32::MAX),
        (2, 4, 4321),
        (4, 1, u32::MAX),
        (16, 5, u32::MAX),
        (32, 1, u32::MAX),
    ];
    let mut bytes = 2u32.to_le_bytes().to_vec();
    for (tag, permissions, id) in entries {
        bytes.extend(tag.to_le_bytes());
        bytes.extend(permissions.to_le_bytes());
        bytes.extend(id.to_le_bytes());
    }
    bytes
}

const ACL: &str = "system.posix_acl_access";

/// Makes one, writes to it, and looks at what is left after it was unmounted.
pub(crate) fn written(row: &Row) -> Result<Vec<String>> {
    let image = sparse_file(row.mib)?;
    run(row.made, image.path(), None)?;
    let kernel = Kernel::boot()?;
    let disk = kernel.add_disk(Disk::open(image.path())?)?;
    let root = mount(&disk, row)?;
    let (reflinks, unnamed) = write(&kernel, &root)?;
    root.umount()?;

    let root = mount(&disk, row)?;
    let mut cells = look(&root)?;
    let read = root.read("/file")? == contents();
    cells.insert(0, yes(read));
    let last = cells.pop().ok_or("no birth time")?;
    let acl = root.get_xattr("/acl", ACL).ok().flatten() == Some(acl());
    let hole = root.metadata("/hole")?;
    if hole.len() != HOLE + 1 {
        return Err(format!("a file with a hole has {} bytes", hole.len()).into());
    }
    let after = root.metadata("/late")?.modified()? == late();
    let reflinks = reflinks && root.read("/clone").ok() == Some(contents());
    let step = cells.pop().ok_or("no step of times")?;
    cells.extend([
        yes(acl),
        yes(hole.blocks() * 512 < HOLE / 2),
        yes(reflinks),
        step,
        yes(after),
        last,
        yes(unnamed),
    ]);
    root.umount()?;
    disk.remove()?;
    kernel.halt()?;
    if !row.check.is_empty() {
        let said = run(row.check, image.path(), None)?;
        if row.faults.iter().any(|fault| said.contains(fault)) {
            return Err(format!("{} is not content:\n{said}", row.check).into());
        }
    }
    Ok(cells)
}

/// Makes one from a directory, and looks at it.
pub(crate) fn read(row: &Row) -> Result<Vec<String>> {
    let directory = tempfile::tempdir()?;
    let path = |name: &str| directory.path().join(name);
    fs::write(path("file"), contents())?;
    fs::set_permissions(path("file"), fs::Permissions::from_mode(MODE))?;
    // Only root can; otherwise, its owner is who makes it.
    let _ = chown(path("file"), Some(UID), Some(GID));
    let own = fs::metadata(path("file"))?;
    rustix::fs::setxattr(
        path("file"),
        "user.colour",
        b"red",
        rustix::fs::XattrFlags::empty(),
    )
    .map_err(|error| format!("a directory for temporary files without xattrs: {error}"))?;
    fs::hard_link(path("file"), path("other"))?;
    symlink("file", path("link"))?;
    fs::File::options()
        .write(true)
        .open(path("file"))?
        .set_modified(time())?;
    let image = sparse_file(0)?;
    run(row.made, image.path(), Some(directory.path()))?;
    // A disk is whole sectors.
    let len = image.as_file().metadata()?.len();
    image.as_file().set_len(len.next_multiple_of(512))?;

    let kernel = Kernel::boot()?;
    let disk = Disk::options().read_only(true).open(image.path())?;
    let disk = kernel.add_disk(disk)?;
    let root = mount(&disk, row)?;
    let mut cells = look(&root)?;
    let read = root.read("/file")? == contents();
    cells.insert(0, yes(read));
    let found = root.metadata("/file")?;
    cells[1] = yes((found.uid(), found.gid()) == (own.uid(), own.gid()));
    root.umount()?;
    if !row.check.is_empty() {
        run(row.check, image.path(), None)?;
    }
    Ok(cells)
}

fn mount(disk: &AttachedDisk, row: &Row) -> Result<Mount> {
    Ok(disk.whole().mount(MountOptions::new().data(row.options))?)
}

/// Writes all that can be; whether reflinks and files without names can.
fn write(kernel: &Kernel, root: &Mount) -> Result<(bool, bool)> {
    root.write("/file", contents())?;
    // Each of these may be refused; what counts is what is there later.
    let _ = root.chown("/file", Some(UID), Some(GID));
    let _ = root.set_permissions("/file", fs::Permissions::from_mode(MODE));
    let _ = root.hard_link("/file", "/other");
    let _ = root.symlink("file", "/link");
    let _ = root.set_xattr("/file", "user.colour", "red");
    root.write("/acl", "x")?;
    let _ = root.set_xattr("/acl", ACL, acl());
    root.create("/hole")?.write_all_at(b"x", HOLE)?;
    let reflinks = clone(kernel, root);
    let unnamed = root.root()?.create_unnamed(libc::O_RDWR, 0o600).is_ok();
    root.set_times("/file", FileTimes::new().set_modified(time()))?;
    root.write("/late", "x")?;
    let _ = root.set_times("/late", FileTimes::new().set_modified(late()));
    Ok((reflinks, unnamed))
}

/// `/clone` becomes a file that shares the blocks of `/file`.
fn clone(kernel: &Kernel, root: &Mount) -> bool {
    /// `FICLONE` of linux/fs.h.
    const FICLONE: usize = 0x4004_9409;
    let mut options = OpenOptions::new();
    let to = root.open_with("/clone", options.write(true).create_new(true));
    let (Ok(to), Ok(from)) = (to, root.open("/file")) else {
        return false;
    };
    let arguments = [
        to.raw_fd() as usize,
        FICLONE,
        from.raw_fd() as usize,
        0,
        0,
        0,
    ];
    // SAFETY: the call takes two descriptors of the kernel's, and no memory.
    unsafe { kernel.syscall(nr::IOCTL, arguments).is_ok() }
}

/// Owners, modes, hard links, symbolic links, xattrs, the step of times, times of birth.
fn look(root: &Mount) -> Result<Vec<String>> {
    let file = root.metadata("/file")?;
    let hard_link = match root.metadata("/other") {
        Ok(other) => other.nlink() == 2 && other.ino() == file.ino(),
        Err(_) => false,
    };
    let link = root
        .read_link("/link")
        .is_ok_and(|link| link.as_os_str() == "file");
    let xattr = root.get_xattr("/file", "user.colour").ok().flatten();
    Ok(vec![
        yes((file.uid(), file.gid()) == (UID, GID)),
        yes(file.mode() & 0o7777 == MODE),
        yes(hard_link),
        yes(link),
        yes(xattr.as_deref() == Some(b"red")),
        step(file.mtime(), file.mtime_nsec())?,
        yes(file.created().is_ok()),
    ])
}

/// The step of times that gives this one for [`time`].
fn step(seconds: i64, nanoseconds: u32) -> Result<String> {
    let steps = [
        (1, "1 ns"),
        (100, "100 ns"),
        (1000, "1 µs"),
        (10_000_000, "10 ms"),
        (1_000_000_000, "1 s"),
        (2_000_000_000, "2 s"),
    ];
    let nanoseconds = i128::from(nanoseconds) + 1_000_000_000 * i128::from(seconds);
    let wanted = i128::from(NANOSECONDS) + 1_000_000_000 * i128::from(SECONDS);
    let found = steps
        .iter()
        .find(|(step, _)| wanted - wanted % step == nanoseconds);
    match found {
        Some((_, name)) => Ok((*name).into()),
        None => Err(format!("{wanted} ns became {nanoseconds} ns").into()),
    }
}

fn yes(yes: bool) -> String {
    if yes { "✓" } else { "–" }.into()
}
