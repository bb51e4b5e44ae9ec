//! [`Mount`]: a mounted filesystem; how it comes and goes. What can be done
//! with its files is in [`crate::fs`].

use std::ffi::{CStr, CString};
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Weak};

use drupe_abi::Errno;
use drupe_machine::without_deadline;

use crate::device::Device;
use crate::error::{Cause, Error, Result};
use crate::kernel::{Kernel, KernelInner, Pseudo, Settle};
use crate::sys::{self, AT_FDCWD, OwnedFd, Sys};

/// How to mount a filesystem, as mount(8) has it.
///
/// Device nodes on it are data, never devices of the kernel (`nodev`).
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct MountOptions {
    read_only: bool,
    no_atime: bool,
    /// Further ones of mount(2).
    flags: u64,
    fstype: Option<String>,
    data: String,
    /// Names of further devices.
    devices: Vec<String>,
}

impl MountOptions {
    /// Writable if the disk is, type detected, no further options.
    pub fn new() -> MountOptions {
        MountOptions::default()
    }

    /// Write nothing. On a read-only disk this is so anyway. A journal is
    /// replayed all the same when the disk is writable.
    pub fn read_only(mut self, yes: bool) -> MountOptions {
        self.read_only = yes;
        self
    }

    /// Don't record when files were last read.
    pub fn no_atime(mut self, yes: bool) -> MountOptions {
        self.no_atime = yes;
        self
    }

    /// The kernel's name of the type ("ext4", "ntfs3") instead of detection.
    pub fn fstype(mut self, fstype: &str) -> MountOptions {
        self.fstype = Some(fstype.to_owned());
        self
    }

    /// Options of the filesystem's own, separated by commas: "compress=zstd".
    pub fn data(mut self, options: &str) -> MountOptions {
        self.data = options.to_owned();
        self
    }

    /// The name of another device of a btrfs that is on several
    /// ([`Partition::name`](crate::Partition::name)), on the same kernel. All of them
    /// must be given.
    pub fn device(mut self, name: &str) -> MountOptions {
        self.devices.push(name.to_owned());
        self
    }

    /// Options as mount(8) takes them, separated by commas: "ro", "noatime" and its
    /// like, "sync", "dirsync", "lazytime"; anything else is the filesystem's own, in
    /// addition to [`MountOptions::data`]. Device nodes, set-user-ID bits and programs
    /// do nothing in any case: "nodev", "nosuid" and "noexec" are no news, and their
    /// opposites are left out.
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

    /// Nothing is to be written.
    pub fn is_read_only(&self) -> bool {
        self.read_only
    }

    /// When times of access are renewed.
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

/// When reading a file renews its time of last access.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AccessTimes {
    /// Never (noatime).
    Never,
    /// When it is older than a day, or than the last change (relatime).
    #[default]
    Relative,
    /// Always (strictatime).
    Always,
}

/// A flag of mount(2), and whether it is set, by the option's name.
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
/// Modes are taken as they are: there is no umask. All operations are root's.
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

/// A mount: dropped in the order of the fields, so closed, unmounted, and then
/// the disk and the kernel released.
pub(crate) struct MountInner {
    /// The root directory, open for reading.
    pub(crate) root: OwnedFd,
    attached: Attached,
    /// What it was mounted from, if there is a device.
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
}

impl Attached {
    fn umount(&mut self) -> sys::Result<()> {
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
    /// Unmounts it. EBUSY while there are other handles: the last of them
    /// unmounts it then. All data has been written out in either case.
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

    /// Writes out everything (syncfs(2)), and returns the errors of all that
    /// was written out earlier.
    pub fn sync(&self) -> Result<()> {
        let root = &self.inner.root;
        let synced = root.sys().syncfs(root.raw());
        synced.map_err(|e| Error::new("sync", e))
    }

    /// Forgets what the kernel keeps in memory of files, of all its filesystems, and
    /// could read again: pages that are written out, names and inodes
    /// (`drop_caches` in `Documentation/admin-guide/sysctl/vm.rst`).
    pub fn drop_caches(&self) -> Result<()> {
        let dropped = set(&self.inner.kernel, c"/proc/sys/vm/drop_caches", b"3");
        dropped.map_err(|e| Error::new("drop caches", e))
    }

    /// Lets writers of the kernel, on all its filesystems, have much that is not written
    /// out before the kernel begins to: nine tenths of its memory. Then it is written
    /// when [`Mount::sync`] says so, not when a thread of the kernel finds time
    /// (`dirty_ratio` and `dirty_background_ratio` in
    /// `Documentation/admin-guide/sysctl/vm.rst`).
    pub fn write_back_late(&self) -> Result<()> {
        let kernel = &self.inner.kernel;
        let done = set(kernel, c"/proc/sys/vm/dirty_background_ratio", b"80")
            .and_then(|()| set(kernel, c"/proc/sys/vm/dirty_ratio", b"90"));
        done.map_err(|e| Error::new("write back late", e))
    }

    /// Discards what is free (fstrim(8)): it becomes holes of an image file. How
    /// many bytes is returned. EOPNOTSUPP where the filesystem or the disk can't.
    pub fn trim(&self) -> Result<u64> {
        self.trim_range([0, u64::MAX, 0])
    }

    /// The same for a part of it: where it starts, its length, and the least length
    /// of what is discarded, in bytes (ioctl_fitrim(2)).
    pub fn trim_range(&self, range: [u64; 3]) -> Result<u64> {
        let root = &self.inner.root;
        let trimmed = root.sys().trim(root.raw(), range);
        trimmed.map_err(|e| Error::new("trim", e))
    }

    /// The first error of a write to one of the kernel's disks, or of a flush. What was
    /// written since then, and some of before, may be lost; syncing a file tells of
    /// that file's data only.
    pub fn write_error(&self) -> Option<Errno> {
        self.inner.kernel.write_error.get()
    }

    /// Whether it is mounted read-only: asked for, or because the filesystem cannot be
    /// written to.
    pub fn is_read_only(&self) -> Result<bool> {
        Ok(self.statfs()?.is_read_only())
    }

    /// The kernel that mounts it gives out memory of its own here: see
    /// [`Kernel::buffer`](crate::Kernel::buffer).
    pub fn buffer(&self, len: usize) -> Result<crate::Buffer> {
        let buffer = self.inner.kernel.sys.machine().buffer(len);
        Ok(crate::Buffer(buffer.map_err(|e| Error::new("buffer", e))?))
    }
}

impl Settle for MountInner {
    /// Writes everything out and makes it read-only, for a kernel about to halt.
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

/// Why a filesystem is not mounted, by what the kernel has logged about it.
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

/// The last lines of a log that name a device, or else its very last, without
/// their times, as one.
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

/// The types to try: the one given, the one found, or all that the kernel has.
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

/// The types of /proc/filesystems that live on disks.
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
    })
}

/// Lets writers, on all filesystems of the kernel, have much to be written before
/// they are held up (`Documentation/admin-guide/sysctl/vm.rst`).
///
/// f2fs does not write its metadata before it has 16 MiB of it, or is told that
/// there is too much (`nr_pages_to_skip` in `fs/f2fs/segment.h`). A kernel with
/// little memory would slow writers down much sooner, to a few writes in a second,
/// and to no avail.
fn hold_up_late(kernel: &Arc<KernelInner>) -> sys::Result<()> {
    set(kernel, c"/proc/sys/vm/dirty_ratio", b"80")
}

/// Keeps a fifth to two fifths of the memory free.
///
/// EROFS decompresses a whole cluster when it reads ahead, which may be 16 MiB of a file,
/// and takes pages for that without waiting (`GFP_NOWAIT` in `fs/erofs/zdata.c`). When
/// there are none, what it has got is thrown away, and the cluster is decompressed again
/// for each of its pages, up to 4,096 times.
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
    /// Where it is in the kernel's own tree.
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
