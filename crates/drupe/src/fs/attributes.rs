//! Methods of [`Mount`] that read and set attributes: metadata, owners, times, extended
//! attributes. Each pins its object first (see [`super::path`]).

use std::ffi::{OsStr, OsString};
use std::fs::Permissions;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use drupe_abi::Errno;
use drupe_machine::Error as MachineError;

use super::path::{Links, with_c_str};
use crate::error::{Error, Result};
use crate::kernel::Pseudo;
use crate::sys::{self, OwnedFd, XattrOf};
use crate::{FileTimes, Metadata, Mount, StatFs};

impl Mount {
    /// Pins the object at `path` and calls a function with it.
    fn with_object<T>(
        &self,
        operation: &'static str,
        path: &Path,
        links: Links,
        f: impl FnOnce(&OwnedFd) -> sys::Result<T>,
    ) -> Result<T> {
        self.inner
            .pin(path, links)
            .and_then(|pinned| f(&pinned))
            .map_err(|e| Error::at(operation, path, e))
    }

    /// The metadata of a file; symbolic links are followed.
    pub fn metadata(&self, path: impl AsRef<Path>) -> Result<Metadata> {
        self.with_object("metadata", path.as_ref(), Links::Follow, |object| {
            object.sys().fstat(object.raw()).map(Metadata::new)
        })
    }

    /// The same without following a last symbolic link.
    pub fn symlink_metadata(&self, path: impl AsRef<Path>) -> Result<Metadata> {
        self.with_object("metadata", path.as_ref(), Links::Stay, |object| {
            object.sys().fstat(object.raw()).map(Metadata::new)
        })
    }

    /// Whether a path leads to anything.
    pub fn exists(&self, path: impl AsRef<Path>) -> Result<bool> {
        match self.metadata(path) {
            Ok(_) => Ok(true),
            Err(error) if error.errno() == Some(Errno::NOENT) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Sets the mode.
    pub fn set_permissions(&self, path: impl AsRef<Path>, permissions: Permissions) -> Result<()> {
        let mode = permissions.mode() & 0o7777;
        self.with_object("set permissions", path.as_ref(), Links::Follow, |object| {
            let sys = object.sys();
            sys.fchmodat(object.raw(), c"", mode, libc::AT_EMPTY_PATH)
        })
    }

    /// Sets owner and group; `None` leaves one alone.
    pub fn chown(&self, path: impl AsRef<Path>, uid: Option<u32>, gid: Option<u32>) -> Result<()> {
        self.with_object("chown", path.as_ref(), Links::Follow, |object| {
            let sys = object.sys();
            sys.fchownat(object.raw(), c"", uid, gid, libc::AT_EMPTY_PATH)
        })
    }

    /// The same without following a last symbolic link.
    pub fn lchown(&self, path: impl AsRef<Path>, uid: Option<u32>, gid: Option<u32>) -> Result<()> {
        self.with_object("chown", path.as_ref(), Links::Stay, |object| {
            let sys = object.sys();
            sys.fchownat(object.raw(), c"", uid, gid, libc::AT_EMPTY_PATH)
        })
    }

    /// Sets times.
    pub fn set_times(&self, path: impl AsRef<Path>, times: FileTimes) -> Result<()> {
        self.utimens(path.as_ref(), Links::Follow, times)
    }

    /// The same without following a last symbolic link.
    pub fn set_times_nofollow(&self, path: impl AsRef<Path>, times: FileTimes) -> Result<()> {
        self.utimens(path.as_ref(), Links::Stay, times)
    }

    fn utimens(&self, path: &Path, links: Links, times: FileTimes) -> Result<()> {
        let times = times.timespecs();
        self.with_object("set times", path, links, |object| {
            let sys = object.sys();
            sys.utimensat(object.raw(), c"", &times, libc::AT_EMPTY_PATH)
        })
    }

    /// Size and free space of the filesystem.
    pub fn statfs(&self) -> Result<StatFs> {
        let root = &self.inner.root;
        let stat = root.sys().fstatfs(root.raw());
        stat.map(StatFs::new).map_err(|e| Error::new("statfs", e))
    }

    /// An extended attribute; `None` if there is none of that name (xattr(7)).
    pub fn get_xattr(
        &self,
        path: impl AsRef<Path>,
        name: impl AsRef<OsStr>,
    ) -> Result<Option<Vec<u8>>> {
        self.xattr_get(path.as_ref(), Links::Follow, name.as_ref())
    }

    /// The same without following a last symbolic link.
    pub fn lget_xattr(
        &self,
        path: impl AsRef<Path>,
        name: impl AsRef<OsStr>,
    ) -> Result<Option<Vec<u8>>> {
        self.xattr_get(path.as_ref(), Links::Stay, name.as_ref())
    }

    /// Sets an extended attribute.
    pub fn set_xattr(
        &self,
        path: impl AsRef<Path>,
        name: impl AsRef<OsStr>,
        value: impl AsRef<[u8]>,
    ) -> Result<()> {
        self.xattr_set(path.as_ref(), Links::Follow, name.as_ref(), value.as_ref())
    }

    /// The same without following a last symbolic link.
    pub fn lset_xattr(
        &self,
        path: impl AsRef<Path>,
        name: impl AsRef<OsStr>,
        value: impl AsRef<[u8]>,
    ) -> Result<()> {
        self.xattr_set(path.as_ref(), Links::Stay, name.as_ref(), value.as_ref())
    }

    /// The names of the extended attributes; none where the filesystem has none.
    pub fn list_xattr(&self, path: impl AsRef<Path>) -> Result<Vec<OsString>> {
        self.xattr_list(path.as_ref(), Links::Follow)
    }

    /// The same without following a last symbolic link.
    pub fn llist_xattr(&self, path: impl AsRef<Path>) -> Result<Vec<OsString>> {
        self.xattr_list(path.as_ref(), Links::Stay)
    }

    /// Removes an extended attribute; ENODATA if there is none of that name.
    pub fn remove_xattr(&self, path: impl AsRef<Path>, name: impl AsRef<OsStr>) -> Result<()> {
        self.xattr_remove(path.as_ref(), Links::Follow, name.as_ref())
    }

    /// The same without following a last symbolic link.
    pub fn lremove_xattr(&self, path: impl AsRef<Path>, name: impl AsRef<OsStr>) -> Result<()> {
        self.xattr_remove(path.as_ref(), Links::Stay, name.as_ref())
    }

    fn xattr_get(&self, path: &Path, links: Links, name: &OsStr) -> Result<Option<Vec<u8>>> {
        self.with_xattrs("get xattr", path, links, |sys, of| get_xattr(sys, of, name))
    }

    fn xattr_set(&self, path: &Path, links: Links, name: &OsStr, value: &[u8]) -> Result<()> {
        self.with_xattrs("set xattr", path, links, |sys, of| {
            with_c_str(name.as_bytes(), |name| sys.setxattr(of, name, value, 0))
        })
    }

    fn xattr_list(&self, path: &Path, links: Links) -> Result<Vec<OsString>> {
        self.with_xattrs("list xattrs", path, links, list_xattr)
    }

    fn xattr_remove(&self, path: &Path, links: Links, name: &OsStr) -> Result<()> {
        self.with_xattrs("remove xattr", path, links, |sys, of| {
            with_c_str(name.as_bytes(), |name| sys.removexattr(of, name))
        })
    }

    /// Pins the object at `path`, and calls a function with a path to it through
    /// `/proc/self/fd`.
    fn with_xattrs<T>(
        &self,
        operation: &'static str,
        path: &Path,
        links: Links,
        f: impl FnOnce(&sys::Sys, XattrOf<'_>) -> sys::Result<T>,
    ) -> Result<T> {
        self.with_object(operation, path, links, |object| {
            self.inner.kernel.need(Pseudo::Proc)?;
            let link = format!("/proc/self/fd/{}", object.raw());
            with_c_str(link.as_bytes(), |link| {
                f(object.sys(), XattrOf::Follow(link))
            })
        })
    }
}

/// Reads an extended attribute. `None`: ENODATA, or the filesystem has no such
/// attributes.
pub(super) fn get_xattr(
    sys: &sys::Sys,
    of: XattrOf<'_>,
    name: &OsStr,
) -> sys::Result<Option<Vec<u8>>> {
    match with_c_str(name.as_bytes(), |name| sys.getxattr(of, name)) {
        Err(MachineError::Errno(Errno::NODATA | Errno::OPNOTSUPP)) => Ok(None),
        result => result.map(Some),
    }
}

/// The names of the extended attributes.
pub(super) fn list_xattr(sys: &sys::Sys, of: XattrOf<'_>) -> sys::Result<Vec<OsString>> {
    match sys.listxattr(of) {
        Err(MachineError::Errno(Errno::OPNOTSUPP)) => Ok(Vec::new()),
        list => Ok(list?
            .split(|&byte| byte == 0)
            .filter(|name| !name.is_empty())
            .map(|name| OsString::from_vec(name.to_vec()))
            .collect()),
    }
}
