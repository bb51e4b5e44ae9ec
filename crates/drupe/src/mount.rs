//! [`Mount`]: a mounted filesystem; mounting, unmounting, syncing. Operations on its
//! files are in [`crate::fs`].

use std::ffi::{CStr, CString};
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use drupe_abi::Errno;
use drupe_machine::without_deadline;

use crate::device::Device;
use crate::error::{Cause, Error, Result};
use crate::kernel::{Kernel, KernelInner, Pseudo, Settle};
use crate::sys::{self, AT_FDCWD, OwnedFd, Sys};

/// Options of a mount, as for mount(8).
///
/// Device nodes of the filesystem never open devices of the kernel (`nodev`).
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct MountOptions {
    read_only: bool,
    no_atime: bool,
    /// Further flags of mount(2).
    flags: u64,
    fstype: Option<String>,
    data: String,
    /// Names of further devices of the filesystem.
    devices: Vec<String>,
}

impl MountOptions {
    /// The defaults: writable if the disk is, with the detected type.
    pub fn new() -> MountOptions {
        MountOptions::default()
    }

    /// Mounts read-only. Default: read-only if the disk is. On a writable disk, a journal
    /// is replayed even so.
    pub fn read_only(mut self, yes: bool) -> MountOptions {
        self.read_only = yes;
        self
    }

    /// Does not record when files were last read.
    pub fn no_atime(mut self, yes: bool) -> MountOptions {
        self.no_atime = yes;
        self
    }

    /// Sets the type by the kernel's name ("ext4", "ntfs3"). Default: detected.
    pub fn fstype(mut self, fstype: &str) -> MountOptions {
        self.fstype = Some(fstype.to_owned());
        self
    }

    /// Sets options of the filesystem, separated by commas: "compress=zstd".
    pub fn data(mut self, options: &str) -> MountOptions {
        self.data = options.to_owned();
        self
    }

    /// Adds another device of a btrfs on several devices, by its name
    /// ([`Partition::name`](crate::Partition::name)) in the same kernel. All must be
    /// given.
    pub fn device(mut self, name: &str) -> MountOptions {
        self.devices.push(name.to_owned());
        self
    }

    /// Options as mount(8) takes them, separated by commas: "ro", "noatime" and its like,
    /// "sync", "dirsync", "lazytime". Anything else is passed to the filesystem, in
    /// addition to [`MountOptions::data`]. "nodev", "nosuid", "noexec" and their
    /// opposites have no effect: a mount never has devices, and no program runs in the
    /// kernel.
    pub fn options(mut self, options: &str) -> MountOptions {
        for option in options.split(',').filter(|option| !option.is_empty()) {
            match option {
                "ro" => self.read_only = true,
                "rw" => self.read_only = false,
                "atime" => self.no_atime = false,
                "noatime" => self.no_atime = true,
                "defaults" | "async" | "dev" | "nodev" | "suid" | "nosuid" | "exec" | "noexec" => {}
                _ => match flag(option) {
                    Some((flag, true)) => self.flags |= flag,
                    Some((flag, false)) => self.flags &= !flag,
                    None if self.data.is_empty() => option.clone_into(&mut self.data),
                    None => self.data = format!("{},{option}", self.data),
                },
            }
        }
        self
    }

    /// Whether the mount is to be read-only.
    pub fn is_read_only(&self) -> bool {
        self.read_only
    }

    /// When reading a file updates its time of last access.
    pub fn access_times(&self) -> AccessTimes {
        match () {
            () if self.no_atime => AccessTimes::Never,
            () if self.flags & libc::MS_STRICTATIME != 0 => AccessTimes::Always,
            () => AccessTimes::Relative,
        }
    }

    fn flags(&self, disk_read_only: bool) -> u64 {
        let mut flags = libc::MS_NODEV | libc::MS_NOSUID | self.flags;
        if self.read_only || disk_read_only {
            flags |= libc::MS_RDONLY;
        }
        if self.no_atime {
            flags |= libc::MS_NOATIME;
        }
        flags
    }
}

/// When reading a file updates its time of last access.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AccessTimes {
    /// Never (noatime).
    Never,
    /// When that time is older than a day, or than the last change (relatime).
    #[default]
    Relative,
    /// Always (strictatime).
    Always,
}

/// The flag of mount(2) that an option sets or clears.
fn flag(option: &str) -> Option<(u64, bool)> {
    Some(match option {
        "sync" => (libc::MS_SYNCHRONOUS, true),
        "dirsync" => (libc::MS_DIRSYNC, true),
        "nodiratime" => (libc::MS_NODIRATIME, true),
        "diratime" => (libc::MS_NODIRATIME, false),
        "strictatime" => (libc::MS_STRICTATIME, true),
        "nostrictatime" | "relatime" => (libc::MS_STRICTATIME, false),
        "lazytime" => (MS_LAZYTIME, true),
        "nolazytime" => (MS_LAZYTIME, false),
        _ => return None,
    })
}

/// `MS_LAZYTIME`, include/uapi/linux/mount.h.
const MS_LAZYTIME: u64 = 1 << 25;

/// A mounted filesystem. Its methods are those of [`std::fs`]; paths start at
/// its root, with or without a slash, and never leave it.
///
/// There is no umask: modes are exact. All operations are done as root.
///
/// Clones are handles to the same mount. It is unmounted with the last handle
/// to it; files count as handles.
#[derive(Clone)]
pub struct Mount {
    pub(crate) inner: Arc<MountInner>,
}

impl fmt::Debug for Mount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let device = self.inner.device.as_ref().map(|device| &device.name);
        f.debug_struct("Mount")
            .field("device", &device)
            .finish_non_exhaustive()
    }
}

/// A mount. Its fields are dropped in their order: first its root is closed, then it is
/// unmounted, then disk and kernel are released.
pub(crate) struct MountInner {
    /// The root directory, open for reading.
    pub(crate) root: OwnedFd,
    pub(crate) attached: Attached,
    /// The device that was mounted, if there is one.
    pub(crate) device: Option<Device>,
    pub(crate) kernel: Arc<KernelInner>,
}

/// A directory of the kernel's own tree with something mounted on it.
///
/// # Invariants
/// `target` is a mount point while `mounted`.
pub(crate) struct Attached {
    sys: Arc<Sys>,
    target: CString,
    mounted: bool,
    /// Where other mounts are shown in this one, and the devices that these need.
    pub(crate) below: Mutex<Vec<(CString, Option<Device>)>>,
}

impl Attached {
    fn umount(&mut self) -> sys::Result<()> {
        let below = self.below.get_mut().unwrap_or_else(PoisonError::into_inner);
        while let Some((target, _)) = below.last() {
            self.sys
                .umount(target, libc::UMOUNT_NOFOLLOW | libc::MNT_DETACH)?;
            below.pop();
        }
        self.sys.umount(&self.target, 0)?;
        self.mounted = false;
        self.sys
            .unlinkat(AT_FDCWD, &self.target, libc::AT_REMOVEDIR)
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        if self.mounted {
            // Whoever wants the error calls Mount::umount.
            let _ = without_deadline(|| self.umount());
        }
    }
}

impl Mount {
    /// Unmounts the filesystem. Fails with EBUSY while there are other handles; then the
    /// last of them unmounts it. All data has been written out in either case.
    pub fn umount(self) -> Result<()> {
        let failed = |cause: Cause| Error::new("umount", cause);
        self.sync()?;
        let Ok(inner) = Arc::try_unwrap(self.inner) else {
            return Err(failed(Errno::BUSY.into()));
        };
        let MountInner {
            root, mut attached, ..
        } = inner;
        drop(root);
        attached.umount().map_err(|e| failed(e.into()))
    }

    /// Writes everything out (syncfs(2)). Returns also errors of earlier background
    /// writes.
    pub fn sync(&self) -> Result<()> {
        let root = &self.inner.root;
        let synced = root.sys().syncfs(root.raw());
        synced.map_err(|e| Error::new("sync", e))
    }

    /// Drops the kernel's caches of all its filesystems: clean pages, names and inodes
    /// (`drop_caches` in `Documentation/admin-guide/sysctl/vm.rst`).
    pub fn drop_caches(&self) -> Result<()> {
        let dropped = set(&self.inner.kernel, c"/proc/sys/vm/drop_caches", b"3");
        dropped.map_err(|e| Error::new("drop caches", e))
    }

    /// Makes the kernel write back late, on all its filesystems: up to nine tenths of its
    /// memory may be dirty. So data is mostly written by [`Mount::sync`], not by the
    /// kernel in the background (`dirty_ratio` and `dirty_background_ratio` in
    /// `Documentation/admin-guide/sysctl/vm.rst`).
    pub fn write_back_late(&self) -> Result<()> {
        let kernel = &self.inner.kernel;
        let done = set(kernel, c"/proc/sys/vm/dirty_background_ratio", b"80")
            .and_then(|()| set(kernel, c"/proc/sys/vm/dirty_ratio", b"90"));
        done.map_err(|e| Error::new("write back late", e))
    }

    /// Discards free space (fstrim(8)), which becomes holes of an image file. Returns the
    /// number of bytes. EOPNOTSUPP where the filesystem or the disk cannot.
    pub fn trim(&self) -> Result<u64> {
        self.trim_range([0, u64::MAX, 0])
    }

    /// Discards free space of a part of the filesystem: its start, its length, and the
    /// least length of a discarded range, in bytes (ioctl_fitrim(2)).
    pub fn trim_range(&self, range: [u64; 3]) -> Result<u64> {
        let root = &self.inner.root;
        let trimmed = root.sys().trim(root.raw(), range);
        trimmed.map_err(|e| Error::new("trim", e))
    }

    /// The first error of a write to one of the kernel's disks, or of a flush. Data that
    /// was written since then, and some that was written before, may be lost. Syncing a
    /// file reports errors of that file only.
    pub fn write_error(&self) -> Option<Errno> {
        self.inner.kernel.write_error.get()
    }

    /// Whether it is mounted read-only, as an option or because the filesystem cannot be
    /// written.
    pub fn is_read_only(&self) -> Result<bool> {
        Ok(self.statfs()?.is_read_only())
    }

    /// Allocates memory of the mount's kernel: see
    /// [`Kernel::buffer`](crate::Kernel::buffer).
    pub fn buffer(&self, len: usize) -> Result<crate::Buffer> {
        let buffer = self.inner.kernel.sys.machine().buffer(len);
        Ok(crate::Buffer(buffer.map_err(|e| Error::new("buffer", e))?))
    }
}

impl Settle for MountInner {
    /// Writes everything out and makes the mount read-only, before its kernel halts.
    fn settle(&self) -> Result<()> {
        let sys = self.root.sys();
        let synced = sys.syncfs(self.root.raw());
        let flags = libc::MS_REMOUNT | libc::MS_RDONLY | libc::MS_NODEV | libc::MS_NOSUID;
        // EBUSY: files are open for writing. What was synced has to do then.
        let _ = sys.mount(c"", &self.attached.target, c"", flags, b"");
        synced.map_err(|e| Error::new("sync", e))
    }
}

impl Kernel {
    /// Mounts a filesystem that needs no disk: "tmpfs", "proc" and so on.
    pub fn mount_virtual(&self, fstype: &str, options: MountOptions) -> Result<Mount> {
        mount_virtual(&self.inner, fstype, &options)
    }
}

/// Mounts a filesystem without a disk.
fn mount_virtual(kernel: &Arc<KernelInner>, fstype: &str, options: &MountOptions) -> Result<Mount> {
    let failed = |e| Error::at("mount", fstype, e);
    let name = CString::new(fstype).map_err(|_| failed(Cause::Errno(Errno::INVAL)))?;
    let attached = attach(
        kernel,
        &name,
        std::slice::from_ref(&name),
        options.flags(false),
        options,
    );
    finish(kernel, attached.map_err(|e| failed(e.into()))?, None).map_err(|e| failed(e.into()))
}

/// Mounts the filesystem on a device.
pub(crate) fn mount_device(device: &Device, options: &MountOptions) -> Result<Mount> {
    let failed = |cause: Cause| Error::at("mount", &device.name, cause);
    let kernel = device.kernel();
    let read_only = device.is_read_only();
    let candidates = candidates(device, options)?;
    let node = kernel.device(&device.name);
    let node = node.map_err(|e| failed(e.into()))?;
    let flags = options.flags(read_only);
    let mut options = options.clone();
    for name in &options.devices {
        let separator = if options.data.is_empty() { "" } else { "," };
        options.data = format!("{}{separator}device=/dev/{name}", options.data);
    }
    let options = &options;
    let mark = kernel.sys.machine().logged();
    match attach(kernel, &node, &candidates, flags, options) {
        Ok(attached) => {
            finish(kernel, attached, Some(device.clone())).map_err(|e| failed(e.into()))
        }
        Err(drupe_machine::Error::Errno(errno)) => Err(failed(match (errno, &candidates[..]) {
            (Errno::ROFS, [fstype]) if read_only => Cause::JournalReplay {
                fstype: fstype.to_string_lossy().into_owned(),
            },
            // None of all that were tried.
            (_, [] | [_, _, ..]) => Cause::NoFilesystem(None),
            (errno, [fstype]) => {
                let log = kernel.sys.machine().log_since(mark);
                let fstype = fstype.to_string_lossy().into_owned();
                refusal(&device.name, errno, fstype, &log)
            }
        })),
        Err(error) => Err(failed(error.into())),
    }
}

/// Why a filesystem could not be mounted, found out from the kernel's log.
fn refusal(device: &str, errno: Errno, fstype: String, log: &str) -> Cause {
    // fs/btrfs/disk-io.c, and volumes.c.
    if log.contains("log replay required on RO media") {
        return Cause::JournalReplay { fstype };
    }
    let is_missing = |line: &str| {
        line.contains("devid") && line.contains("is missing")
            || line.contains("failed to read the system array: -2")
    };
    if fstype == "btrfs" && log.lines().any(is_missing) {
        return Cause::MissingDevice { fstype };
    }
    match said_about(device, log) {
        Some(log) => Cause::Mount { errno, log },
        None => Cause::Errno(errno),
    }
}

/// The last lines of a log that name a device, joined, without their times; the very last
/// line if none does.
fn said_about(device: &str, log: &str) -> Option<String> {
    let lines = log.lines().map(|line| {
        let (time, rest) = line.split_once("] ").unwrap_or(("", line));
        match time.starts_with('[') {
            true => rest.trim(),
            false => line.trim(),
        }
    });
    let lines: Vec<&str> = lines.filter(|line| !line.is_empty()).collect();
    let about = |line: &&&str| {
        let mut words = line.split(|c: char| !c.is_ascii_alphanumeric());
        words.any(|word| word == device)
    };
    let mut about: Vec<&str> = lines.iter().rev().filter(about).take(2).copied().collect();
    about.reverse();
    if about.is_empty() {
        about.extend(lines.last());
    }
    (!about.is_empty()).then(|| about.join("; ").replace(char::is_control, "?"))
}

/// The filesystem types to try: the given one, else the detected one, else all of the
/// kernel.
fn candidates(device: &Device, options: &MountOptions) -> Result<Vec<CString>> {
    let failed = |cause: Cause| Error::at("mount", &device.name, cause);
    if let Some(fstype) = &options.fstype {
        let name = CString::new(&fstype[..]).map_err(|_| failed(Errno::NODEV.into()))?;
        return Ok(vec![name]);
    }
    match device.probe()? {
        Some(found) => match (found.driver, found.no_driver) {
            (Some(driver), _) => Ok(vec![driver.to_owned()]),
            (None, Some(no_driver)) => Err(failed(Cause::NoDriver(no_driver))),
            (None, None) => Err(failed(Cause::NoFilesystem(Some(found.kind)))),
        },
        None => disk_filesystems(device.kernel()).map_err(|e| failed(e.into())),
    }
}

/// The types of /proc/filesystems that need a disk.
fn disk_filesystems(kernel: &Arc<KernelInner>) -> sys::Result<Vec<CString>> {
    kernel.need(Pseudo::Proc)?;
    let sys = &kernel.sys;
    let file = sys.openat(AT_FDCWD, c"/proc/filesystems", libc::O_RDONLY, 0)?;
    let mut list = Vec::with_capacity(4096);
    while sys.read_more(file.raw(), &mut list)? > 0 {
        list.reserve(1024);
    }
    let names = list.split(|&byte| byte == b'\n');
    Ok(names
        .filter_map(|line| line.strip_prefix(b"\t"))
        .filter_map(|name| CString::new(name).ok())
        .collect())
}

/// Mounts the first type that fits on a new directory.
fn attach(
    kernel: &Arc<KernelInner>,
    source: &CString,
    types: &[CString],
    flags: u64,
    options: &MountOptions,
) -> sys::Result<Attached> {
    let sys = &kernel.sys;
    let target = CString::new(format!("/mnt/{}", kernel.mount_number())).unwrap_or_default();
    sys.mkdirat(AT_FDCWD, &target, 0o755)?;
    let mut result = Err(drupe_machine::Error::Errno(Errno::INVAL));
    for fstype in types {
        result = sys.mount(source, &target, fstype, flags, options.data.as_bytes());
        if result.is_ok() {
            // Without, it is only slower.
            let _ = match fstype.as_bytes() {
                b"f2fs" => hold_up_late(kernel),
                b"erofs" => keep_memory_free(kernel),
                _ => Ok(()),
            };
        }
        // Any errno: another type, or damaged beyond recognition. On a disk of
        // a sector or two even ENOMEM or EIO.
        if !matches!(result, Err(drupe_machine::Error::Errno(_))) {
            break;
        }
    }
    if let Err(error) = result {
        // The mount failed: that is the error to report.
        let _ = sys.unlinkat(AT_FDCWD, &target, libc::AT_REMOVEDIR);
        return Err(error);
    }
    // INVARIANT: mounted just now.
    Ok(Attached {
        sys: Arc::clone(sys),
        target,
        mounted: true,
        below: Mutex::default(),
    })
}

/// Raises the limit of dirty memory at which writers are slowed down, on all filesystems
/// of the kernel (`Documentation/admin-guide/sysctl/vm.rst`).
///
/// f2fs keeps metadata until it has 16 MiB of it (`nr_pages_to_skip` in
/// `fs/f2fs/segment.h`). With little memory, the kernel would slow writers down long
/// before that, to a few writes in a second, and the metadata would still not be written.
fn hold_up_late(kernel: &Arc<KernelInner>) -> sys::Result<()> {
    set(kernel, c"/proc/sys/vm/dirty_ratio", b"80")
}

/// Keeps a fifth to two fifths of the memory free.
///
/// EROFS decompresses a whole cluster when it reads ahead, which may be 16 MiB of a file,
/// and allocates pages for that without waiting (`GFP_NOWAIT` in `fs/erofs/zdata.c`). If
/// that fails, it frees the pages, and the cluster is decompressed again for each of its
/// pages, up to 4,096 times.
fn keep_memory_free(kernel: &Arc<KernelInner>) -> sys::Result<()> {
    // In 1/10,000 of the memory: with less than a cluster between its marks, reading took
    // forty times as long.
    set(kernel, c"/proc/sys/vm/watermark_scale_factor", b"2000")
}

/// Sets a sysctl.
fn set(kernel: &Arc<KernelInner>, path: &CStr, value: &[u8]) -> sys::Result<()> {
    kernel.need(Pseudo::Proc)?;
    let file = kernel.sys.openat(AT_FDCWD, path, libc::O_WRONLY, 0)?;
    kernel.sys.write(file.raw(), value).map(drop)
}

fn finish(
    kernel: &Arc<KernelInner>,
    attached: Attached,
    device: Option<Device>,
) -> sys::Result<Mount> {
    let flags = libc::O_RDONLY | libc::O_DIRECTORY;
    let root = kernel.sys.openat(AT_FDCWD, &attached.target, flags, 0)?;
    let inner = Arc::new(MountInner {
        root,
        attached,
        device,
        kernel: Arc::clone(kernel),
    });
    let settle: Weak<dyn Settle> = Arc::downgrade(&inner) as _;
    kernel.register(settle);
    Ok(Mount { inner })
}

impl MountInner {
    /// The mount point in the kernel's own tree.
    pub(crate) fn target(&self) -> &Path {
        use std::os::unix::ffi::OsStrExt;
        Path::new(std::ffi::OsStr::from_bytes(self.attached.target.to_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_of_mount() {
        let options = MountOptions::new()
            .data("a=1")
            .options("ro,noatime,discard,sync,data=journal,,nodev,lazytime,nolazytime");
        assert_eq!(options.data, "a=1,discard,data=journal");
        assert!(options.is_read_only());
        assert_eq!(options.access_times(), AccessTimes::Never);
        assert_eq!(options.flags, libc::MS_SYNCHRONOUS);
        let options = options.options("rw,atime,strictatime");
        assert!(!options.is_read_only());
        assert_eq!(options.access_times(), AccessTimes::Always);
    }

    #[test]
    fn the_kernels_words_are_one_line() {
        let log = "[    0.1] EXT4-fs (vda1): the first of three\n\
            [    0.2] EXT4-fs (vda): another one's\n\
            [    0.3] EXT4-fs (vda1): couldn't mount \u{1b}\n\
            [    0.4] EXT4-fs (vda1): because [x] of it\n\
            [    0.5] something else\n";
        assert_eq!(
            said_about("vda1", log).as_deref(),
            Some("EXT4-fs (vda1): couldn't mount ?; EXT4-fs (vda1): because [x] of it")
        );
        assert_eq!(said_about("vdb", log).as_deref(), Some("something else"));
        assert_eq!(said_about("vdb", ""), None);
    }
}
