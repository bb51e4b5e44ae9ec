//! Resolves paths so that they never leave their mount.
//!
//! A kernel has its own tree, with `/proc` and other mounts in it. Nothing in an image
//! (`..`, an absolute symbolic link, a magic link) may lead there. So every path of a
//! user is resolved in one of two ways, both with openat2(2) and `RESOLVE_IN_ROOT` from
//! the root of the mount:
//!
//! - **An object** (`metadata`, `set_permissions`, xattrs, …) is *pinned*: opened with
//!   `O_PATH`, the last link followed or not. The operation is then done to the
//!   descriptor, with `AT_EMPTY_PATH`. Extended attributes, which have no such flag in
//!   6.12, go through `/proc/self/fd/N`, which leads to the pinned object itself, even if
//!   that is a symbolic link.
//! - **A name** (`create_dir`, `remove_file`, `rename`, …) is split from its
//!   path, the directory in front of it is pinned, and the operation is done to
//!   directory and name. These operations never follow a last link, and refuse
//!   `.` and `..`.
//!
//! For a path of one name, the directory is the root, which is open already.

use std::ffi::CStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use drupe_abi::Errno;
use drupe_machine::Error;
use rustix::path::Arg;

use crate::mount::MountInner;
use crate::sys::{OwnedFd, Result};

/// Whether the last symbolic link of a path is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Links {
    Follow,
    Stay,
}

/// Calls `f` with `bytes` as a C string; EINVAL if they contain a NUL.
pub(crate) fn with_c_str<T>(bytes: &[u8], f: impl FnOnce(&CStr) -> Result<T>) -> Result<T> {
    bytes
        .into_with_c_str(|text| Ok(f(text)))
        .unwrap_or_else(|errno| Err(Error::Errno(errno)))
}

/// Calls `f` with `name`, which must be one name, not a path (EINVAL otherwise).
pub(super) fn with_name<T>(name: &[u8], f: impl FnOnce(&CStr) -> Result<T>) -> Result<T> {
    if name.is_empty() || name == b"." || name == b".." || name.contains(&b'/') {
        return Err(Error::Errno(Errno::INVAL));
    }
    with_c_str(name, f)
}

impl MountInner {
    /// openat2(2) inside the mount.
    pub(super) fn open(&self, path: &Path, flags: i32, mode: u32) -> Result<OwnedFd> {
        let sys = self.root.sys();
        with_c_str(path.as_os_str().as_bytes(), |path| {
            sys.open_in_root(self.root.raw(), path, flags, mode)
        })
    }

    /// Opens the object at a path with `O_PATH`.
    pub(super) fn pin(&self, path: &Path, links: Links) -> Result<OwnedFd> {
        let flags = match links {
            Links::Follow => libc::O_PATH,
            Links::Stay => libc::O_PATH | libc::O_NOFOLLOW,
        };
        self.open(path, flags, 0)
    }

    /// Calls `f` with the directory in which a path ends, and the last name.
    pub(super) fn with_parent<T>(
        &self,
        path: &Path,
        f: impl FnOnce(i32, &CStr) -> Result<T>,
    ) -> Result<T> {
        let (parent, name) = split(path.as_os_str().as_bytes());
        let pinned = match parent {
            b"" => None,
            parent => {
                let flags = libc::O_PATH | libc::O_DIRECTORY;
                let parent = Path::new(std::ffi::OsStr::from_bytes(parent));
                Some(self.open(parent, flags, 0)?)
            }
        };
        let dir = pinned.as_ref().unwrap_or(&self.root);
        with_c_str(name, |name| f(dir.raw(), name))
    }
}

/// Splits off the last name, including trailing slashes, which require a directory. The
/// parent is empty if it is the root.
fn split(path: &[u8]) -> (&[u8], &[u8]) {
    let slash = |&byte: &u8| byte == b'/';
    let is_name = |byte: &u8| !slash(byte);
    match path.iter().rposition(is_name) {
        // Only slashes: the root, which has no name, but is a directory.
        None if !path.is_empty() => (b"", b"."),
        None => (b"", b""),
        Some(last) => {
            let start = path[..last].iter().rposition(slash).map_or(0, |at| at + 1);
            let (parent, name) = path.split_at(start);
            match parent.iter().all(slash) {
                true => (b"", name),
                false => (parent, name),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_as_the_kernel_does() {
        let cases: &[(&str, &str, &str)] = &[
            ("", "", ""),
            ("/", "", "."),
            ("//", "", "."),
            ("a", "", "a"),
            ("/a", "", "a"),
            ("//a/", "", "a/"),
            ("a/b", "a/", "b"),
            ("/a/b//", "/a/", "b//"),
            ("a//b", "a//", "b"),
            ("a/..", "a/", ".."),
        ];
        for (path, parent, name) in cases {
            let expected = (parent.as_bytes(), name.as_bytes());
            assert_eq!(split(path.as_bytes()), expected, "{path}");
        }
    }

    #[test]
    fn names_are_not_paths() {
        for name in ["", ".", "..", "a/b", "/", "a\0b"] {
            let result = with_name(name.as_bytes(), |_| Ok(()));
            assert!(matches!(result, Err(Error::Errno(Errno::INVAL))), "{name}");
        }
        assert!(with_name(b"..a\xff", |_| Ok(())).is_ok());
    }
}
