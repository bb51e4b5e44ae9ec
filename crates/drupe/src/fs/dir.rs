//! [`Dir`]: an open directory, and operations on its entries by name.

use std::ffi::{CStr, OsStr, OsString};
use std::fmt;
use std::fs::Permissions;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::attributes::{get_xattr, list_xattr};
use super::file::named;
use super::path::{with_c_str, with_name};
use crate::error::{Error, Result};
use crate::kernel::Pseudo;
use crate::mount::MountInner;
use crate::sys::{self, OwnedFd, Sys, XattrOf};
use crate::{File, FileTimes, Metadata, Mount, OpenOptions, ReadDir};

/// An open directory. Its methods take one name, not a path (EINVAL otherwise),
/// and never follow a symbolic link, so that each costs one system call and
/// none can leave the directory. Keeps its mount.
pub struct Dir {
    // Closed before the mount is let go.
    fd: OwnedFd,
    mount: Arc<MountInner>,
}

impl fmt::Debug for Dir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Dir({:?})", self.fd)
    }
}

impl Dir {
    pub(super) fn new(fd: OwnedFd, mount: &Arc<MountInner>) -> Dir {
        Dir {
            fd,
            mount: Arc::clone(mount),
        }
    }

    pub(super) fn descriptor(&self) -> &OwnedFd {
        &self.fd
    }

    /// Calls a function with the directory and an entry's name, which is checked.
    pub(super) fn entry<T>(
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

    /// Another handle to the same directory.
    pub fn try_clone(&self) -> Result<Dir> {
        let fd = named("duplicate", self.fd.sys().duplicate(self.fd.raw()))?;
        Ok(Dir::new(fd, &self.mount))
    }

    /// Its entries.
    pub fn read_dir(&self) -> Result<ReadDir> {
        let flags = libc::O_RDONLY | libc::O_DIRECTORY;
        let again = self.fd.sys().openat(self.fd.raw(), c".", flags, 0);
        let again = named("read directory", again)?;
        Ok(ReadDir::new(again, Path::new(""), &self.mount))
    }

    /// Opens a file for reading. ELOOP if it is a symbolic link.
    pub fn open(&self, name: impl AsRef<OsStr>) -> Result<File> {
        self.open_with(name, OpenOptions::new().read(true))
    }

    /// Opens a file as the options say. ELOOP if it is a symbolic link.
    pub fn open_with(&self, name: impl AsRef<OsStr>, options: &OpenOptions) -> Result<File> {
        let name = name.as_ref();
        let flags = options.flags();
        let (flags, mode) = flags.map_err(|e| Error::at("open", name, e))?;
        let fd = self.entry("open", name, |sys, dir, name| {
            sys.openat(dir, name, flags | libc::O_NOFOLLOW, mode)
        })?;
        Ok(File::new(fd, &self.mount))
    }

    /// Opens a directory. ENOTDIR if it is a symbolic link.
    pub fn open_dir(&self, name: impl AsRef<OsStr>) -> Result<Dir> {
        let flags = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_NOFOLLOW;
        let fd = self.entry("open directory", name.as_ref(), |sys, dir, name| {
            sys.openat(dir, name, flags, 0)
        })?;
        Ok(Dir::new(fd, &self.mount))
    }

    /// Opens the directory at a path. This directory is the root of the path: neither
    /// `..` nor a symbolic link, absolute or not, leads out of it. An empty path means
    /// this directory.
    pub fn open_dir_within(&self, path: impl AsRef<Path>) -> Result<Dir> {
        let path = path.as_ref();
        let bytes = path.as_os_str().as_bytes();
        let bytes = if bytes.is_empty() { b"." } else { bytes };
        let flags = libc::O_RDONLY | libc::O_DIRECTORY;
        let sys = self.fd.sys();
        let fd = with_c_str(bytes, |path| {
            sys.open_in_root(self.fd.raw(), path, flags, 0)
        });
        let fd = fd.map_err(|e| Error::at("open directory", path, e))?;
        Ok(Dir::new(fd, &self.mount))
    }

    /// Makes a directory.
    pub fn create_dir(&self, name: impl AsRef<OsStr>, mode: u32) -> Result<()> {
        self.entry("create directory", name.as_ref(), |sys, dir, name| {
            sys.mkdirat(dir, name, mode)
        })
    }

    /// Makes a symbolic link.
    pub fn symlink(&self, original: impl AsRef<Path>, link: impl AsRef<OsStr>) -> Result<()> {
        let original = original.as_ref().as_os_str().as_bytes();
        self.entry("symlink", link.as_ref(), |sys, dir, name| {
            with_c_str(original, |original| sys.symlinkat(original, dir, name))
        })
    }

    /// Makes a device node, fifo, socket or file, as [`Mount::mknod`].
    pub fn mknod(&self, name: impl AsRef<OsStr>, mode: u32, dev: u64) -> Result<()> {
        self.entry("mknod", name.as_ref(), |sys, dir, name| {
            sys.mknodat(dir, name, mode, dev)
        })
    }

    /// Makes the hard link `link` in this directory to an entry of `other`.
    pub fn hard_link(
        &self,
        other: &Dir,
        original: impl AsRef<OsStr>,
        link: impl AsRef<OsStr>,
    ) -> Result<()> {
        self.entry("link", link.as_ref(), |sys, dir, link| {
            with_name(original.as_ref().as_bytes(), |original| {
                sys.linkat(other.fd.raw(), original, dir, link, 0)
            })
        })
    }

    /// Renames an entry of this directory to `new` in `to`. An existing `new` is
    /// replaced, unless it is a directory that is not empty (rename(2)).
    pub fn rename(&self, old: impl AsRef<OsStr>, to: &Dir, new: impl AsRef<OsStr>) -> Result<()> {
        self.entry("rename", old.as_ref(), |sys, dir, old| {
            with_name(new.as_ref().as_bytes(), |new| {
                sys.renameat(dir, old, to.fd.raw(), new, 0)
            })
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

    /// The metadata of an entry; a symbolic link is not followed.
    pub fn symlink_metadata(&self, name: impl AsRef<OsStr>) -> Result<Metadata> {
        self.entry("metadata", name.as_ref(), |sys, dir, name| {
            sys.statx(dir, name, libc::AT_SYMLINK_NOFOLLOW)
        })
        .map(Metadata::new)
    }

    /// The target of a symbolic link.
    pub fn read_link(&self, name: impl AsRef<OsStr>) -> Result<PathBuf> {
        self.entry("read link", name.as_ref(), |sys, dir, name| {
            sys.readlinkat(dir, name)
        })
        .map(|target| PathBuf::from(OsString::from_vec(target)))
    }

    /// Sets an entry's mode; EOPNOTSUPP for a symbolic link.
    pub fn set_permissions_of(
        &self,
        name: impl AsRef<OsStr>,
        permissions: Permissions,
    ) -> Result<()> {
        let mode = permissions.mode() & 0o7777;
        self.entry("set permissions", name.as_ref(), |sys, dir, name| {
            sys.fchmodat(dir, name, mode, libc::AT_SYMLINK_NOFOLLOW)
        })
    }

    /// Sets an entry's owner and group; `None` leaves it as it is.
    pub fn chown_of(
        &self,
        name: impl AsRef<OsStr>,
        uid: Option<u32>,
        gid: Option<u32>,
    ) -> Result<()> {
        self.entry("chown", name.as_ref(), |sys, dir, name| {
            sys.fchownat(dir, name, uid, gid, libc::AT_SYMLINK_NOFOLLOW)
        })
    }

    /// Sets an entry's times.
    pub fn set_times_of(&self, name: impl AsRef<OsStr>, times: FileTimes) -> Result<()> {
        let times = times.timespecs();
        self.entry("set times", name.as_ref(), |sys, dir, name| {
            sys.utimensat(dir, name, &times, libc::AT_SYMLINK_NOFOLLOW)
        })
    }

    /// The extended attributes of an entry of any type, with their values.
    pub fn xattrs_of(&self, name: impl AsRef<OsStr>) -> Result<Vec<(OsString, Vec<u8>)>> {
        self.with_entry_path("get xattrs", name.as_ref(), all_xattrs)
    }

    /// Sets an extended attribute of an entry of any type.
    pub fn set_xattr_of(
        &self,
        entry: impl AsRef<OsStr>,
        name: impl AsRef<OsStr>,
        value: impl AsRef<[u8]>,
    ) -> Result<()> {
        self.with_entry_path("set xattr", entry.as_ref(), |sys, of| {
            with_c_str(name.as_ref().as_bytes(), |name| {
                sys.setxattr(of, name, value.as_ref(), 0)
            })
        })
    }

    /// Removes an extended attribute of an entry of any type.
    pub fn remove_xattr_of(&self, entry: impl AsRef<OsStr>, name: impl AsRef<OsStr>) -> Result<()> {
        self.with_entry_path("remove xattr", entry.as_ref(), |sys, of| {
            with_c_str(name.as_ref().as_bytes(), |name| sys.removexattr(of, name))
        })
    }

    /// Calls a function with a path to an entry through `/proc/self/fd`, for system calls
    /// that take no directory.
    fn with_entry_path<T>(
        &self,
        operation: &'static str,
        name: &OsStr,
        f: impl FnOnce(&Sys, XattrOf<'_>) -> sys::Result<T>,
    ) -> Result<T> {
        let reach = || {
            self.mount.kernel.need(Pseudo::Proc)?;
            with_name(name.as_bytes(), |_| Ok(()))?;
            let mut path = format!("/proc/self/fd/{}/", self.fd.raw()).into_bytes();
            path.extend(name.as_bytes());
            with_c_str(&path, |path| f(self.fd.sys(), XattrOf::NoFollow(path)))
        };
        reach().map_err(|e| Error::at(operation, name, e))
    }
}

/// The names and values of all extended attributes.
fn all_xattrs(sys: &Sys, of: XattrOf<'_>) -> sys::Result<Vec<(OsString, Vec<u8>)>> {
    let mut all = Vec::new();
    for name in list_xattr(sys, of)? {
        // `None`: removed meanwhile, or a name that is listed but can't be read.
        if let Some(value) = get_xattr(sys, of, &name)? {
            all.push((name, value));
        }
    }
    Ok(all)
}

/// Methods of [`File`] and [`Dir`] on their own attributes. Neither is `O_PATH`, so their
/// descriptors serve in all system calls.
macro_rules! own_attributes {
    ($handle:ty) => {
        impl $handle {
            /// Its extended attributes, with their values.
            pub fn xattrs(&self) -> Result<Vec<(OsString, Vec<u8>)>> {
                let of = XattrOf::Fd(self.fd.raw());
                named("get xattrs", all_xattrs(self.fd.sys(), of))
            }

            /// One of its extended attributes; `None` if there is none of that name.
            pub fn get_xattr(&self, name: impl AsRef<OsStr>) -> Result<Option<Vec<u8>>> {
                let of = XattrOf::Fd(self.fd.raw());
                named("get xattr", get_xattr(self.fd.sys(), of, name.as_ref()))
            }

            /// Sets one of its extended attributes.
            pub fn set_xattr(
                &self,
                name: impl AsRef<OsStr>,
                value: impl AsRef<[u8]>,
            ) -> Result<()> {
                let of = XattrOf::Fd(self.fd.raw());
                let name = name.as_ref().as_bytes();
                let set = with_c_str(name, |name| {
                    self.fd.sys().setxattr(of, name, value.as_ref(), 0)
                });
                named("set xattr", set)
            }

            /// Removes one of its extended attributes.
            pub fn remove_xattr(&self, name: impl AsRef<OsStr>) -> Result<()> {
                let of = XattrOf::Fd(self.fd.raw());
                let name = name.as_ref().as_bytes();
                let removed = with_c_str(name, |name| self.fd.sys().removexattr(of, name));
                named("remove xattr", removed)
            }

            /// Its metadata.
            pub fn metadata(&self) -> Result<Metadata> {
                named("metadata", self.fd.sys().fstat(self.fd.raw())).map(Metadata::new)
            }

            /// Sets its mode.
            pub fn set_permissions(&self, permissions: Permissions) -> Result<()> {
                let mode = permissions.mode() & 0o7777;
                named("set permissions", self.fd.sys().fchmod(self.fd.raw(), mode))
            }

            /// Sets its owner and group; `None` leaves it as it is.
            pub fn chown(&self, uid: Option<u32>, gid: Option<u32>) -> Result<()> {
                let (sys, raw) = (self.fd.sys(), self.fd.raw());
                let done = sys.fchownat(raw, c"", uid, gid, libc::AT_EMPTY_PATH);
                named("chown", done)
            }

            /// Sets its times.
            pub fn set_times(&self, times: FileTimes) -> Result<()> {
                let (sys, raw) = (self.fd.sys(), self.fd.raw());
                let done = sys.utimensat(raw, c"", &times.timespecs(), libc::AT_EMPTY_PATH);
                named("set times", done)
            }

            /// The mount it is on.
            pub fn mount(&self) -> Mount {
                Mount {
                    inner: Arc::clone(&self.mount),
                }
            }
        }
    };
}

own_attributes!(File);
own_attributes!(Dir);
