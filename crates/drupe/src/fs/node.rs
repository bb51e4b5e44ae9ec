//! [`Node`]: a file without a path, for file servers; [`Handle`]: finds a node again.

use std::ffi::{CStr, CString, OsStr, OsString};
use std::fmt;
use std::fs::Permissions;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use drupe_abi::Errno;
use drupe_machine::Error as MachineError;

use super::file::named;
use super::path::{with_c_str, with_name};
use crate::error::{Error, Result};
use crate::kernel::Pseudo;
use crate::mount::MountInner;
use crate::sys::{self, OwnedFd, RawHandle, Sys, XattrOf};
use crate::{DirStream, File, FileTimes, Metadata, Mount};

/// A file of any type, referred to by an `O_PATH` descriptor: no device or FIFO is
/// opened, and it stays the same file when its names change. For file servers. Keeps its
/// mount.
///
/// Methods with a `name` act on an entry of this directory. `name` is one name, not a
/// path (EINVAL otherwise), and no symbolic link is followed.
pub struct Node {
    // Closed before the mount is let go.
    fd: OwnedFd,
    mount: Arc<MountInner>,
}

/// An identifier of a file that finds its [`Node`] again, and keeps nothing open in the
/// kernel.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Handle(RawHandle);

impl Mount {
    /// Its root directory.
    pub fn root(&self) -> Result<Node> {
        let root = &self.inner.root;
        let fd = root.sys().openat(root.raw(), c".", libc::O_PATH, 0);
        Ok(Node::new(named("open root", fd)?, &self.inner))
    }

    /// Opens the file of a handle, with flags of open(2) that create nothing. ESTALE if
    /// the file was removed.
    pub fn open_handle(&self, handle: &Handle, flags: i32) -> Result<File> {
        let root = &self.inner.root;
        let fd = root.sys().open_by_handle(root.raw(), &handle.0, flags);
        Ok(File::new(named("open handle", fd)?, &self.inner))
    }

    /// The file of a handle. ESTALE if the file was removed.
    pub fn node(&self, handle: &Handle) -> Result<Node> {
        let root = &self.inner.root;
        let flags = libc::O_PATH | libc::O_NOFOLLOW;
        let fd = root.sys().open_by_handle(root.raw(), &handle.0, flags);
        Ok(Node::new(named("open handle", fd)?, &self.inner))
    }
}

impl Handle {
    /// A handle of the file with this inode number. Works on ext2 to ext4 and f2fs;
    /// ESTALE on other filesystems.
    pub fn of_inode(ino: u32) -> Handle {
        Handle(RawHandle::of_inode(ino))
    }

    fn get(sys: &Sys, dir: i32, name: &CStr, flags: i32) -> sys::Result<Option<Handle>> {
        match sys.handle_of(dir, name, flags) {
            Err(MachineError::Errno(Errno::OPNOTSUPP | Errno::OVERFLOW)) => Ok(None),
            handle => Ok(Some(Handle(handle?))),
        }
    }
}

impl File {
    /// A handle; `None` where the filesystem has none.
    pub fn handle(&self) -> Result<Option<Handle>> {
        let handle = Handle::get(self.sys(), self.raw_fd(), c"", libc::AT_EMPTY_PATH);
        named("get handle", handle)
    }

    /// The file as a [`Node`].
    pub fn node(&self) -> Result<Node> {
        let reach = || {
            self.mount.kernel.need(Pseudo::Proc)?;
            let path = CString::new(format!("/proc/self/fd/{}", self.raw_fd()));
            let path = path.unwrap_or_default();
            self.sys().openat(sys::AT_FDCWD, &path, libc::O_PATH, 0)
        };
        Ok(Node::new(named("pin", reach())?, &self.mount))
    }
}

impl Node {
    fn new(fd: OwnedFd, mount: &Arc<MountInner>) -> Node {
        Node {
            fd,
            mount: Arc::clone(mount),
        }
    }

    /// Calls a function with the directory and an entry's name, which is checked.
    fn entry<T>(
        &self,
        operation: &'static str,
        name: &OsStr,
        f: impl FnOnce(&Arc<Sys>, i32, &CStr) -> sys::Result<T>,
    ) -> Result<T> {
        with_name(name.as_bytes(), |name| {
            f(self.fd.sys(), self.fd.raw(), name)
        })
        .map_err(|e| Error::at(operation, name, e))
    }

    /// Calls a function with its own descriptor.
    fn own<T>(
        &self,
        operation: &'static str,
        f: impl FnOnce(&Arc<Sys>, i32) -> sys::Result<T>,
    ) -> Result<T> {
        named(operation, f(self.fd.sys(), self.fd.raw()))
    }

    /// Calls a function with the path `/proc/self/fd/N`, which leads to the file itself,
    /// even if that is a symbolic link.
    fn through_path<T>(
        &self,
        operation: &'static str,
        f: impl FnOnce(&Arc<Sys>, &CStr) -> sys::Result<T>,
    ) -> Result<T> {
        let reach = || {
            self.mount.kernel.need(Pseudo::Proc)?;
            let path = CString::new(format!("/proc/self/fd/{}", self.fd.raw()));
            f(self.fd.sys(), &path.unwrap_or_default())
        };
        named(operation, reach())
    }

    /// Looks up an entry.
    pub fn lookup(&self, name: impl AsRef<OsStr>) -> Result<Node> {
        let flags = libc::O_PATH | libc::O_NOFOLLOW;
        let fd = self.entry("look up", name.as_ref(), |sys, dir, name| {
            sys.openat(dir, name, flags, 0)
        })?;
        Ok(Node::new(fd, &self.mount))
    }

    /// The parent of this directory; the root's parent is the root.
    pub fn parent(&self) -> Result<Node> {
        let fd = self.own("open parent", |sys, dir| {
            sys.openat(dir, c"..", libc::O_PATH | libc::O_NOFOLLOW, 0)
        })?;
        Ok(Node::new(fd, &self.mount))
    }

    /// A handle; `None` where the filesystem has none.
    pub fn handle(&self) -> Result<Option<Handle>> {
        self.own("get handle", |sys, fd| {
            Handle::get(sys, fd, c"", libc::AT_EMPTY_PATH)
        })
    }

    /// A handle of an entry; `None` where the filesystem has none.
    pub fn handle_of(&self, name: impl AsRef<OsStr>) -> Result<Option<Handle>> {
        self.entry("get handle", name.as_ref(), |sys, dir, name| {
            Handle::get(sys, dir, name, 0)
        })
    }

    /// Its metadata.
    pub fn metadata(&self) -> Result<Metadata> {
        self.own("metadata", |sys, fd| sys.fstat(fd).map(Metadata::new))
    }

    /// The metadata of an entry.
    pub fn metadata_of(&self, name: impl AsRef<OsStr>) -> Result<Metadata> {
        self.entry("metadata", name.as_ref(), |sys, dir, name| {
            sys.statx(dir, name, libc::AT_SYMLINK_NOFOLLOW)
        })
        .map(Metadata::new)
    }

    /// Opens it, with flags of open(2) that create nothing.
    pub fn open(&self, flags: i32) -> Result<File> {
        let flags = flags & !(libc::O_CREAT | libc::O_EXCL | libc::O_NOFOLLOW);
        let fd = self.through_path("open", |sys, path| {
            sys.openat(sys::AT_FDCWD, path, flags, 0)
        });
        Ok(File::new(fd?, &self.mount))
    }

    /// Opens it as a directory.
    pub fn open_stream(&self) -> Result<DirStream> {
        let flags = libc::O_RDONLY | libc::O_DIRECTORY;
        let fd = self.own("open directory", |sys, dir| sys.openat(dir, c".", flags, 0))?;
        Ok(DirStream::new(fd, &self.mount))
    }

    /// Creates a file, or opens one that exists if `flags` has no `O_EXCL`.
    pub fn create(&self, name: impl AsRef<OsStr>, flags: i32, mode: u32) -> Result<File> {
        let flags = flags | libc::O_CREAT | libc::O_NOFOLLOW;
        let fd = self.entry("create", name.as_ref(), |sys, dir, name| {
            sys.openat(dir, name, flags, mode)
        })?;
        Ok(File::new(fd, &self.mount))
    }

    /// Creates a file without a name in this directory (`O_TMPFILE`), which
    /// [`Node::hard_link`] can give one, unless `flags` has `O_EXCL`.
    pub fn create_unnamed(&self, flags: i32, mode: u32) -> Result<File> {
        let flags = flags | libc::O_TMPFILE;
        let fd = self.own("create unnamed", |sys, dir| {
            sys.openat(dir, c".", flags, mode)
        })?;
        Ok(File::new(fd, &self.mount))
    }

    /// Makes a directory.
    pub fn create_dir(&self, name: impl AsRef<OsStr>, mode: u32) -> Result<()> {
        self.entry("create directory", name.as_ref(), |sys, dir, name| {
            sys.mkdirat(dir, name, mode)
        })
    }

    /// Makes a device node, fifo, socket or file, as [`Mount::mknod`].
    pub fn mknod(&self, name: impl AsRef<OsStr>, mode: u32, dev: u64) -> Result<()> {
        self.entry("mknod", name.as_ref(), |sys, dir, name| {
            sys.mknodat(dir, name, mode, dev)
        })
    }

    /// Makes a symbolic link; `original` is stored as it is.
    pub fn symlink(&self, original: impl AsRef<Path>, link: impl AsRef<OsStr>) -> Result<()> {
        let original = original.as_ref().as_os_str().as_bytes();
        self.entry("symlink", link.as_ref(), |sys, dir, name| {
            with_c_str(original, |original| sys.symlinkat(original, dir, name))
        })
    }

    /// Makes the hard link `name` in this directory to `original`.
    pub fn hard_link(&self, original: &Node, name: impl AsRef<OsStr>) -> Result<()> {
        self.entry("link", name.as_ref(), |sys, dir, name| {
            sys.linkat(original.fd.raw(), c"", dir, name, libc::AT_EMPTY_PATH)
        })
    }

    /// Removes an entry that is not a directory.
    pub fn remove_file(&self, name: impl AsRef<OsStr>) -> Result<()> {
        self.entry("remove", name.as_ref(), |sys, dir, name| {
            sys.unlinkat(dir, name, 0)
        })
    }

    /// Removes an empty directory.
    pub fn remove_dir(&self, name: impl AsRef<OsStr>) -> Result<()> {
        self.entry("remove directory", name.as_ref(), |sys, dir, name| {
            sys.unlinkat(dir, name, libc::AT_REMOVEDIR)
        })
    }

    /// Renames an entry, with the flags of renameat2(2).
    pub fn rename(
        &self,
        old: impl AsRef<OsStr>,
        to: &Node,
        new: impl AsRef<OsStr>,
        flags: u32,
    ) -> Result<()> {
        self.entry("rename", old.as_ref(), |sys, dir, old| {
            with_name(new.as_ref().as_bytes(), |new| {
                sys.renameat(dir, old, to.fd.raw(), new, flags)
            })
        })
    }

    /// The target of a symbolic link.
    pub fn read_link(&self) -> Result<PathBuf> {
        let target = self.own("read link", |sys, fd| sys.readlinkat(fd, c""))?;
        Ok(PathBuf::from(OsString::from_vec(target)))
    }

    /// Sets its mode; EOPNOTSUPP for a symbolic link.
    pub fn set_permissions(&self, permissions: Permissions) -> Result<()> {
        let mode = permissions.mode() & 0o7777;
        self.own("set permissions", |sys, fd| {
            sys.fchmodat(fd, c"", mode, libc::AT_EMPTY_PATH)
        })
    }

    /// Sets its owner and group; `None` leaves it as it is.
    pub fn chown(&self, uid: Option<u32>, gid: Option<u32>) -> Result<()> {
        self.own("chown", |sys, fd| {
            sys.fchownat(fd, c"", uid, gid, libc::AT_EMPTY_PATH)
        })
    }

    /// Sets its times.
    pub fn set_times(&self, times: FileTimes) -> Result<()> {
        let times = times.timespecs();
        self.own("set times", |sys, fd| {
            sys.utimensat(fd, c"", &times, libc::AT_EMPTY_PATH)
        })
    }

    /// Sets its size: cuts it off, or extends it with a hole (truncate(2)).
    pub fn set_len(&self, len: u64) -> Result<()> {
        self.through_path("set length", |sys, path| sys.truncate(path, len))
    }

    /// An extended attribute; ENODATA if there is none of that name.
    pub fn get_xattr(&self, name: impl AsRef<OsStr>) -> Result<Vec<u8>> {
        self.xattr("get xattr", name.as_ref(), |sys, of, name| {
            sys.getxattr(of, name)
        })
    }

    /// Sets an extended attribute, with the flags of setxattr(2).
    pub fn set_xattr(&self, name: impl AsRef<OsStr>, value: &[u8], flags: i32) -> Result<()> {
        self.xattr("set xattr", name.as_ref(), |sys, of, name| {
            sys.setxattr(of, name, value, flags)
        })
    }

    /// Removes an extended attribute; ENODATA if there is none of that name.
    pub fn remove_xattr(&self, name: impl AsRef<OsStr>) -> Result<()> {
        self.xattr("remove xattr", name.as_ref(), |sys, of, name| {
            sys.removexattr(of, name)
        })
    }

    /// The names of the extended attributes, each ended by a NUL.
    pub fn list_xattr(&self) -> Result<Vec<u8>> {
        self.through_path("list xattrs", |sys, path| {
            sys.listxattr(XattrOf::Follow(path))
        })
    }

    fn xattr<T>(
        &self,
        operation: &'static str,
        name: &OsStr,
        f: impl FnOnce(&Sys, XattrOf<'_>, &CStr) -> sys::Result<T>,
    ) -> Result<T> {
        self.through_path(operation, |sys, path| {
            with_c_str(name.as_bytes(), |name| f(sys, XattrOf::Follow(path), name))
        })
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Node({:?})", self.fd)
    }
}
