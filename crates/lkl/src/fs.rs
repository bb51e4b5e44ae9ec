//! Mounting: `lkl_mount_dev` and its neighbours.

use std::ffi::{CStr, CString, c_char, c_int, c_long, c_uint};

use crate::border::{Errno, Result, text};
use crate::call::{Descriptor, HERE, sys};
use crate::disk;

/// How long to wait before a filesystem that is busy is tried again, in milliseconds.
const PAUSE: c_long = 10;

/// A text without a NUL in it.
pub(crate) fn c_text(text: String) -> CString {
    CString::new(text).unwrap_or_default()
}

/// Makes a directory that may be there.
fn need_directory(path: &CStr, mode: u32) -> Result<()> {
    match sys!(MKDIRAT, HERE, path, mode) {
        Err(errno) if errno != Errno::of(libc::EEXIST) => Err(errno),
        _ => Ok(()),
    }
}

/// Whether something is mounted at a path. The kernel would mount some filesystems, such as
/// proc, again, over the first one.
fn is_mounted(path: &CStr) -> Result<bool> {
    // struct statx
    let mut found = [0_u64; 32];
    sys!(STATX, HERE, path, 0, 0, &mut found[..])?;
    Ok(found[1] & libc::STATX_ATTR_MOUNT_ROOT as u64 != 0)
}

/// Mounts a filesystem without a disk at "/NAME"; whether it was mounted just now.
pub(crate) fn mount_fs(name: &CStr) -> Result<bool> {
    let mut path = b"/".to_vec();
    path.extend_from_slice(name.to_bytes());
    let path = CString::new(path).unwrap_or_default();
    need_directory(&path, 0o777)?;
    if is_mounted(&path)? {
        return Ok(false);
    }
    match sys!(MOUNT, c"none", path.as_c_str(), name, 0, 0) {
        Ok(_) => Ok(true),
        Err(errno) if errno == Errno::of(libc::EBUSY) => Ok(false),
        Err(errno) => {
            // Was it here before, then something is in it.
            let _ = sys!(UNLINKAT, HERE, path.as_c_str(), libc::AT_REMOVEDIR);
            Err(errno)
        }
    }
}

/// The number of a device, from the file of sysfs that has it.
fn number(path: &CStr) -> Result<u32> {
    let mut buffer = [0; 32];
    let file = Descriptor::open(path, libc::O_RDONLY)?;
    let len = file.read(&mut buffer)?;
    let text = String::from_utf8_lossy(&buffer[..len]);
    let numbers = text
        .trim()
        .split_once(':')
        .and_then(|(major, minor)| Some((major.parse::<u32>().ok()?, minor.parse::<u32>().ok()?)));
    let (major, minor) = numbers.ok_or(Errno::of(libc::EINVAL))?;
    // As the kernel takes them (include/linux/kdev_t.h).
    Ok(minor & 0xff | major << 8 | (minor & !0xff) << 12)
}

/// The number of a disk or of one of its partitions.
fn disk_number(disk: u32, part: u32) -> Result<u32> {
    mount_fs(c"sysfs")?;
    let name = disk::name(disk)?;
    number(&c_text(match part {
        0 => format!("/sysfs/block/{name}/dev"),
        part => format!("/sysfs/block/{name}/{name}{part}/dev"),
    }))
}

/// Where the device of a number is, and where it is mounted.
fn places(device: u32) -> [CString; 2] {
    ["/dev", "/mnt"].map(|dir| c_text(format!("{dir}/{device:08x}")))
}

/// # Safety
/// As of `lkl_mount_blkdev`.
unsafe fn mount(
    device: u32,
    kind: *const c_char,
    flags: c_int,
    options: *const c_char,
    path: *mut c_char,
    path_len: c_uint,
) -> Result<()> {
    // SAFETY: a text of the caller's.
    let kind = unsafe { text(kind) }?;
    let options = match options.is_null() {
        true => c"",
        // SAFETY: a text of the caller's.
        false => unsafe { text(options) }?,
    };
    let [node, target] = places(device);
    let written = target.as_bytes_with_nul();
    if path.is_null() || (path_len as usize) < written.len() {
        return Err(Errno::of(libc::ENOMEM));
    }
    // SAFETY: there is room for the path, which is as long.
    unsafe { path.copy_from(target.as_ptr(), written.len()) };
    need_directory(c"/dev", 0o700)?;
    need_directory(c"/mnt", 0o700)?;
    sys!(
        MKNODAT,
        HERE,
        node.as_c_str(),
        libc::S_IFBLK | 0o600,
        device
    )?;
    let mounted = sys!(MKDIRAT, HERE, target.as_c_str(), 0o700).and_then(|_| {
        let mounted = sys!(
            MOUNT,
            node.as_c_str(),
            target.as_c_str(),
            kind,
            flags,
            options
        );
        if mounted.is_err() {
            let _ = sys!(UNLINKAT, HERE, target.as_c_str(), libc::AT_REMOVEDIR);
        }
        mounted
    });
    if mounted.is_err() {
        let _ = sys!(UNLINKAT, HERE, node.as_c_str(), 0);
    }
    mounted.map(|_| ())
}

/// Unmounts, and tries again while it is busy.
fn umount_timeout(path: &CStr, flags: c_int, mut milliseconds: c_long) -> Result<()> {
    loop {
        match sys!(UMOUNT2, path, flags) {
            Err(errno) if errno == Errno::of(libc::EBUSY) && milliseconds > 0 => {
                let pause: [c_long; 2] = [0, PAUSE * 1_000_000];
                sys!(NANOSLEEP, &pause[..], 0)?;
                milliseconds -= PAUSE;
            }
            result => return result.map(|_| ()),
        }
    }
}

fn umount(device: u32, flags: c_int, milliseconds: c_long) -> Result<c_long> {
    let [node, target] = places(device);
    umount_timeout(&target, flags, milliseconds)?;
    sys!(UNLINKAT, HERE, node.as_c_str(), 0)?;
    sys!(UNLINKAT, HERE, target.as_c_str(), libc::AT_REMOVEDIR)?;
    Ok(0)
}

/// Writes a result of a call's to where the caller wants it.
///
/// # Safety
/// `to` is NULL, or a `T` can be written there.
unsafe fn put<T>(to: *mut T, value: T) -> Result<c_int> {
    if to.is_null() {
        return Err(Errno::of(libc::EFAULT));
    }
    // SAFETY: the caller's.
    unsafe { to.write(value) };
    Ok(0)
}

export! {
    fn lkl_mount_fs(fstype: *const c_char) -> c_int {
        // SAFETY: a text of the caller's.
        let mounted = mount_fs(unsafe { text(fstype) }?)?;
        Ok((!mounted).into())
    }

    fn lkl_encode_dev_from_sysfs(sysfs_path: *const c_char, pdevid: *mut u32) -> c_int {
        // SAFETY: a text of the caller's.
        let number = number(unsafe { text(sysfs_path) }?)?;
        // SAFETY: the caller's.
        unsafe { put(pdevid, number) }
    }

    fn lkl_get_virtio_blkdev(disk_id: c_int, part: c_uint, pdevid: *mut u32) -> c_int {
        let disk = u32::try_from(disk_id).map_err(|_| Errno::of(libc::EINVAL))?;
        let number = disk_number(disk, part)?;
        // SAFETY: the caller's.
        unsafe { put(pdevid, number) }
    }

    fn lkl_mount_dev(
        disk_id: c_uint,
        part: c_uint,
        fs_type: *const c_char,
        flags: c_int,
        opts: *const c_char,
        mnt_str: *mut c_char,
        mnt_str_len: c_uint,
    ) -> c_long {
        let device = disk_number(disk_id, part)?;
        // SAFETY: the caller's.
        unsafe { mount(device, fs_type, flags, opts, mnt_str, mnt_str_len) }?;
        Ok(0)
    }

    fn lkl_mount_blkdev(
        dev: c_uint,
        fs_type: *const c_char,
        flags: c_int,
        opts: *const c_char,
        mnt_str: *mut c_char,
        mnt_str_len: c_uint,
    ) -> c_long {
        // SAFETY: the caller's.
        unsafe { mount(dev, fs_type, flags, opts, mnt_str, mnt_str_len) }?;
        Ok(0)
    }

    fn lkl_umount_dev(disk_id: c_uint, part: c_uint, flags: c_int, timeout_ms: c_long) -> c_long {
        umount(disk_number(disk_id, part)?, flags, timeout_ms)
    }

    fn lkl_umount_blkdev(dev: c_uint, flags: c_int, timeout_ms: c_long) -> c_long {
        umount(dev, flags, timeout_ms)
    }

    fn lkl_umount_timeout(path: *const c_char, flags: c_int, timeout_ms: c_long) -> c_long {
        // SAFETY: a text of the caller's.
        umount_timeout(unsafe { text(path) }?, flags, timeout_ms)?;
        Ok(0)
    }
}
