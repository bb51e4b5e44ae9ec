//! [`HostDir`]: a directory of the host as source or target of a copy.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{FileExt, FileTypeExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use drupe::{Buffer, Errno};
use rustix::fs::{
    self, AtFlags, FileType, Gid, Mode, OFlags, ResolveFlags, SeekFrom, Timespec, Timestamps, Uid,
};
use xattr::FileExt as _;

use super::event::{Kind, Stat};
use super::traits::{Settable, SourceDir, SourceFile, TargetDir, TargetFile, World, Xattrs};
use crate::Interrupt;
use crate::descriptor;
use crate::disk_image;
use crate::error::{Error, Result, host};
use crate::time::Time;

/// An open directory of the host.
pub(crate) struct HostDir {
    fd: OwnedFd,
    base: Arc<Base>,
}

/// The base that all directories of a copy share.
struct Base {
    /// The directory where the copy started, for hard links.
    fd: OwnedFd,
    interrupt: Interrupt,
}

/// An open file of the host.
pub(crate) struct HostFile {
    file: File,
    /// Set for pipes and the like: ends waiting for another program.
    waits: Option<Interrupt>,
    /// Whether it is read from its position to its end.
    is_stream: bool,
}

fn directory() -> OFlags {
    OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC
}

impl HostFile {
    /// Opens a file of any type, also a FIFO without a writer.
    pub(crate) fn open(path: &Path, interrupt: &Interrupt) -> Result<HostFile> {
        if let Some(file) = descriptor::open(path)? {
            let file = HostFile::new(file.into(), interrupt)?;
            return Ok(HostFile {
                is_stream: true,
                ..file
            });
        }
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let fd = host("open", fs::open(path, flags, Mode::empty()))?;
        HostFile::new(fd, interrupt)
    }

    /// Opens a path below `dir`; neither `..` nor symbolic links lead out of it.
    pub(crate) fn open_beneath(
        dir: impl AsFd,
        path: &Path,
        interrupt: &Interrupt,
    ) -> Result<HostFile> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let beneath = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        match fs::openat2(dir, path, flags, Mode::empty(), beneath) {
            Err(Errno::XDEV) => Err(Error::new(
                "open",
                "it leads out of the directory of contents",
            )),
            file => HostFile::new(host("open", file)?, interrupt),
        }
    }

    /// Opens an unnamed pipe or an open descriptor, as /dev/stdout may name, for writing.
    /// `None`: the path is something else.
    pub(crate) fn open_nameless(path: &Path, interrupt: &Interrupt) -> Result<Option<HostFile>> {
        if let Some(file) = descriptor::open(path)? {
            return HostFile::new(file.into(), interrupt).map(Some);
        }
        let is_fifo = |path: &Path| {
            path.metadata()
                .is_ok_and(|found| found.file_type().is_fifo())
        };
        if !is_fifo(path) || path.canonicalize().is_ok() {
            return Ok(None);
        }
        let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let fd = host("open", fs::open(path, flags, Mode::empty()))?;
        HostFile::new(fd, interrupt).map(Some)
    }

    /// Standard input.
    pub(crate) fn stdin(interrupt: &Interrupt) -> Result<HostFile> {
        let fd = std::io::stdin().as_fd().try_clone_to_owned();
        HostFile::new(host("duplicate", fd)?, interrupt)
    }

    /// Seeks to the beginning.
    pub(crate) fn rewind(&self) -> Result<()> {
        host("seek", fs::seek(&self.file, SeekFrom::Start(0)).map(drop))
    }

    fn new(fd: OwnedFd, interrupt: &Interrupt) -> Result<HostFile> {
        let file = File::from(fd);
        let kind = host("metadata", file.metadata())?.file_type();
        let waits = kind.is_fifo() || kind.is_char_device() || kind.is_socket();
        Ok(HostFile {
            file,
            waits: waits.then(|| interrupt.clone()),
            is_stream: false,
        })
    }
}

impl HostDir {
    pub(crate) fn open(path: &Path, interrupt: &Interrupt) -> Result<HostDir> {
        let path = match path.as_os_str().is_empty() {
            true => Path::new("."),
            false => path,
        };
        let open = || match fs::open(path, directory(), Mode::empty()) {
            // Files can be made in what cannot be listed.
            Err(Errno::ACCESS) => fs::open(path, directory() | OFlags::PATH, Mode::empty()),
            opened => opened,
        };
        let fd = host("open directory", open())?;
        let base = host("open directory", open())?;
        Ok(HostDir {
            fd,
            base: Arc::new(Base {
                fd: base,
                interrupt: interrupt.clone(),
            }),
        })
    }

    fn derive(&self, fd: OwnedFd) -> HostDir {
        HostDir {
            fd,
            base: Arc::clone(&self.base),
        }
    }

    fn below(&self, name: &OsStr) -> Result<HostDir> {
        let flags = directory() | OFlags::NOFOLLOW;
        let fd = fs::openat(&self.fd, name, flags, Mode::empty());
        Ok(self.derive(host("open directory", fd)?))
    }

    fn open_file(
        &self,
        operation: &'static str,
        name: &OsStr,
        flags: OFlags,
        mode: u32,
    ) -> Result<HostFile> {
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(mode);
        let fd = fs::openat(&self.fd, name, flags, mode);
        Ok(HostFile {
            file: host(operation, fd)?.into(),
            waits: None,
            is_stream: false,
        })
    }

    /// The path of an entry through `/proc/self/fd`, for system calls that take no
    /// directory.
    fn path_of(&self, name: &OsStr) -> PathBuf {
        let dir = format!("/proc/self/fd/{}", self.fd.as_raw_fd());
        Path::new(&dir).join(name)
    }
}

fn stat(stat: &fs::Stat) -> Stat {
    Stat {
        mode: stat.st_mode,
        uid: stat.st_uid,
        gid: stat.st_gid,
        size: stat.st_size as u64,
        blocks: stat.st_blocks as u64,
        nlink: stat.st_nlink,
        dev: stat.st_dev,
        ino: stat.st_ino,
        rdev: stat.st_rdev,
        accessed: Time {
            seconds: stat.st_atime,
            nanos: stat.st_atime_nsec as u32,
        },
        modified: Time {
            seconds: stat.st_mtime,
            nanos: stat.st_mtime_nsec as u32,
        },
    }
}

fn stat_of_fd(fd: impl AsFd) -> Result<Stat> {
    host("metadata", fs::fstat(fd).map(|found| stat(&found)))
}

fn timestamps(accessed: Time, modified: Time) -> Timestamps {
    let timespec = |time: Time| Timespec {
        tv_sec: time.seconds,
        tv_nsec: time.nanos.into(),
    };
    Timestamps {
        last_access: timespec(accessed),
        last_modification: timespec(modified),
    }
}

/// Names and values of extended attributes. Those that can be listed but not read are
/// left out, as by cp(1): they belong to security modules.
fn collect(
    names: std::io::Result<xattr::XAttrs>,
    get: impl Fn(&OsStr) -> std::io::Result<Option<Vec<u8>>>,
) -> Result<Xattrs> {
    let names = match names {
        Err(error) if Errno::from_io_error(&error) == Some(Errno::OPNOTSUPP) => {
            return Ok(Vec::new());
        }
        names => host("list xattrs", names)?,
    };
    let values = names.filter_map(|name| {
        let value = get(&name).ok()??;
        Some((name, value))
    });
    Ok(values.collect())
}

impl SourceDir for HostDir {
    type File = HostFile;
    const WORLD: World = World::Host;

    fn entries(&self) -> Result<Vec<(OsString, Option<Kind>)>> {
        let mut entries = Vec::new();
        let dir = host("read directory", fs::Dir::read_from(&self.fd))?;
        for entry in dir {
            let entry = host("read directory", entry)?;
            let name = entry.file_name().to_bytes();
            if matches!(name, b"." | b"..") {
                continue;
            }
            let kind = match entry.file_type() {
                FileType::Unknown => None,
                kind => Some(Kind::of(kind.as_raw_mode())),
            };
            entries.push((OsString::from_vec(name.to_vec()), kind));
        }
        Ok(entries)
    }

    fn open_dir(&self, name: &OsStr) -> Result<HostDir> {
        self.below(name)
    }

    fn open(&self, name: &OsStr) -> Result<HostFile> {
        self.open_file("open", name, OFlags::RDONLY | OFlags::NOCTTY, 0)
    }

    fn read_link(&self, name: &OsStr) -> Result<PathBuf> {
        let target = host("read link", fs::readlinkat(&self.fd, name, Vec::new()))?;
        Ok(OsString::from_vec(target.into_bytes()).into())
    }

    fn stat_of(&self, name: &OsStr) -> Result<Stat> {
        let found = fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW);
        host("metadata", found.map(|found| stat(&found)))
    }

    fn xattrs_of(&self, name: &OsStr) -> Result<Xattrs> {
        let path = self.path_of(name);
        collect(xattr::list(&path), |name| xattr::get(&path, name))
    }

    fn stat(&self) -> Result<Stat> {
        stat_of_fd(&self.fd)
    }

    fn xattrs(&self) -> Result<Xattrs> {
        let path = self.path_of(OsStr::new("."));
        collect(xattr::list(&path), |name| xattr::get(&path, name))
    }
}

impl SourceFile for HostFile {
    fn stat(&self) -> Result<Stat> {
        stat_of_fd(&self.file)
    }

    fn xattrs(&self) -> Result<Xattrs> {
        collect(self.file.list_xattr(), |name| self.file.get_xattr(name))
    }

    fn is_stream(&self) -> bool {
        self.is_stream
    }

    fn read(&self, bytes: &mut [u8]) -> Result<usize> {
        loop {
            if let Some(interrupt) = &self.waits
                && !host("read", interrupt.wait_to_read(&self.file))?
            {
                return Err(Error::interrupted("read"));
            }
            match (&self.file).read(bytes) {
                Err(error) if self.waits.is_some() && error.kind() == ErrorKind::WouldBlock => {
                    continue;
                }
                len => return host("read", len),
            }
        }
    }

    fn read_at(&self, buffer: &mut Buffer, range: Range<usize>, offset: u64) -> Result<usize> {
        let bytes = &mut buffer[range];
        let mut filled = 0;
        while filled < bytes.len() {
            let part = self
                .file
                .read_at(&mut bytes[filled..], offset + filled as u64);
            match host("read", part)? {
                0 => break,
                len => filled += len,
            }
        }
        Ok(filled)
    }

    fn next_data(&self, offset: u64, size: u64) -> Result<Option<Range<u64>>> {
        let start = match fs::seek(&self.file, SeekFrom::Data(offset)) {
            Ok(start) => start,
            Err(Errno::NXIO) => return Ok(None),
            Err(Errno::INVAL) => return Ok(Some(offset..size)),
            error => host("seek", error)?,
        };
        let end = host("seek", fs::seek(&self.file, SeekFrom::Hole(start)))?;
        Ok(Some(start..end))
    }

    fn set_direct(&self, _yes: bool) -> Result<bool> {
        // The host's page cache is where the data is.
        Ok(false)
    }
}

impl TargetDir for HostDir {
    fn again(&self) -> Result<HostDir> {
        Ok(self.derive(host("duplicate", self.fd.try_clone())?))
    }

    fn create_dir(&self, name: &OsStr, mode: u32) -> Result<()> {
        let made = fs::mkdirat(&self.fd, name, Mode::from_raw_mode(mode));
        host("create directory", made)
    }

    fn create(&self, name: &OsStr, mode: u32) -> Result<HostFile> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
        self.open_file("create", name, flags, mode)
    }

    fn open_node(&self, name: &OsStr) -> Result<Option<HostFile>> {
        // Of block devices, O_EXCL refuses those that the host has mounted.
        let flags = OFlags::WRONLY | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::EXCL;
        let file = match self.open_file("open", name, flags, 0) {
            // A FIFO without a reader; anything else that says so has nothing behind it.
            Err(failed)
                if failed.errno() == Some(Errno::NXIO)
                    && SourceDir::stat_of(self, name)?.mode & libc::S_IFMT == libc::S_IFIFO =>
            {
                return Ok(None);
            }
            file => file?,
        };
        Ok(Some(HostFile {
            waits: Some(self.base.interrupt.clone()),
            ..file
        }))
    }

    fn disk_image(&self, name: &OsStr) -> Result<Option<&'static str>> {
        // What cannot be read cannot be looked at: whoever may replace it may.
        match SourceDir::open(self, name) {
            Ok(mut file) => host("read", disk_image::kind(&mut file.file)),
            Err(_) => Ok(None),
        }
    }

    fn symlink(&self, original: &Path, name: &OsStr) -> Result<()> {
        host("symlink", fs::symlinkat(original, &self.fd, name))
    }

    fn mknod(&self, name: &OsStr, mode: u32, dev: u64) -> Result<()> {
        let kind = FileType::from_raw_mode(mode);
        let mode = Mode::from_raw_mode(mode & 0o7777);
        host("mknod", fs::mknodat(&self.fd, name, kind, mode, dev))
    }

    fn link(&self, first: &Path, second: &Path) -> Result<()> {
        let base = &self.base.fd;
        let linked = fs::linkat(base, first, base, second, AtFlags::empty());
        host("link", linked)
    }

    fn rename(&self, from: &OsStr, to: &OsStr) -> Result<()> {
        host("rename", fs::renameat(&self.fd, from, &self.fd, to))
    }

    fn remove(&self, name: &OsStr) -> Result<()> {
        host("remove", fs::unlinkat(&self.fd, name, AtFlags::empty()))
    }

    fn remove_dir(&self, name: &OsStr) -> Result<()> {
        let removed = fs::unlinkat(&self.fd, name, AtFlags::REMOVEDIR);
        host("remove directory", removed)
    }

    fn owners_of_new(&self) -> Result<Option<(u32, u32)>> {
        let set_group_id = SourceDir::stat(self)?.mode & libc::S_ISGID != 0;
        let default_acl = xattr::get(self.path_of(OsStr::new(".")), "system.posix_acl_default");
        let plain = !set_group_id && !matches!(default_acl, Ok(Some(_)));
        let uid = rustix::process::geteuid().as_raw();
        let gid = rustix::process::getegid().as_raw();
        Ok(plain.then_some((uid, gid)))
    }

    fn write_back_late(&self) -> Result<()> {
        Ok(())
    }

    fn settle(&self) -> Result<()> {
        Ok(())
    }

    fn chown_of(&self, name: &OsStr, uid: u32, gid: u32) -> Result<()> {
        let (uid, gid) = owners(uid, gid);
        let done = fs::chownat(&self.fd, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW);
        host("chown", done)
    }

    fn chmod_of(&self, name: &OsStr, mode: u32) -> Result<()> {
        // Only for what was made just now and is no link; the host's older
        // kernels can't promise not to follow one.
        let mode = Mode::from_raw_mode(mode & 0o7777);
        let done = fs::chmodat(&self.fd, name, mode, AtFlags::empty());
        host("set permissions", done)
    }

    fn set_times_of(&self, name: &OsStr, accessed: Time, modified: Time) -> Result<()> {
        let times = timestamps(accessed, modified);
        let done = fs::utimensat(&self.fd, name, &times, AtFlags::SYMLINK_NOFOLLOW);
        host("set times", done)
    }

    fn set_xattr_of(&self, entry: &OsStr, name: &OsStr, value: &[u8]) -> Result<()> {
        host("set xattr", xattr::set(self.path_of(entry), name, value))
    }

    fn remove_xattr_of(&self, entry: &OsStr, name: &OsStr) -> Result<()> {
        host("remove xattr", xattr::remove(self.path_of(entry), name))
    }
}

impl TargetFile for HostFile {
    fn close(self) -> Result<()> {
        host("close", nix::unistd::close(self.file))
    }

    fn write_all(&self, bytes: &[u8]) -> Result<()> {
        let written = match &self.waits {
            Some(interrupt) => interrupt.waiting(&self.file).write_all(bytes),
            None => (&self.file).write_all(bytes),
        };
        host("write", written)
    }

    fn write_at(&self, buffer: &Buffer, range: Range<usize>, offset: u64) -> Result<()> {
        host("write", self.file.write_all_at(&buffer[range], offset))
    }

    fn set_len(&self, len: u64) -> Result<()> {
        host("set length", self.file.set_len(len))
    }

    fn set_direct(&self, _yes: bool) -> Result<bool> {
        Ok(false)
    }
}

fn owners(uid: u32, gid: u32) -> (Option<Uid>, Option<Gid>) {
    (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))
}

/// Implements [`Settable`] for directories and files, which are both descriptors.
macro_rules! settable {
    ($handle:ty, $field:tt) => {
        impl Settable for $handle {
            fn chown(&self, uid: u32, gid: u32) -> Result<()> {
                let (uid, gid) = owners(uid, gid);
                host("chown", fs::fchown(&self.$field, uid, gid))
            }

            fn chmod(&self, mode: u32) -> Result<()> {
                let mode = Mode::from_raw_mode(mode & 0o7777);
                host("set permissions", fs::fchmod(&self.$field, mode))
            }

            fn set_times(&self, accessed: Time, modified: Time) -> Result<()> {
                let times = timestamps(accessed, modified);
                host("set times", fs::futimens(&self.$field, &times))
            }

            fn modified(&self) -> Result<Time> {
                Ok(self.stat()?.modified)
            }

            fn set_xattr(&self, name: &OsStr, value: &[u8]) -> Result<()> {
                let flags = fs::XattrFlags::empty();
                host("set xattr", fs::fsetxattr(&self.$field, name, value, flags))
            }

            fn remove_xattr(&self, name: &OsStr) -> Result<()> {
                host("remove xattr", fs::fremovexattr(&self.$field, name))
            }
        }
    };
}
settable!(HostDir, fd);
settable!(HostFile, file);
