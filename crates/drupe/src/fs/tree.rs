//! Methods of [`Mount`] that create, remove, rename and link files and directories.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use drupe_abi::Errno;
use drupe_machine::Error as MachineError;

use super::path::{Links, with_c_str};
use crate::error::{Error, Result};
use crate::kernel::Pseudo;
use crate::{Dir, Mount, sys};

impl Mount {
    /// Makes a directory of mode 0o755.
    pub fn create_dir(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        self.mkdir(path)
            .map_err(|e| Error::at("create directory", path, e))
    }

    fn mkdir(&self, path: &Path) -> sys::Result<()> {
        let sys = self.inner.root.sys();
        self.inner
            .with_parent(path, |dir, name| sys.mkdirat(dir, name, 0o755))
    }

    /// Makes a directory and its missing parents. It is not an error if it exists.
    pub fn create_dir_all(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        // Nearly always the directory above is there.
        match self.mkdir(path) {
            Ok(()) => return Ok(()),
            Err(MachineError::Errno(Errno::NOENT)) => match path.parent() {
                Some(parent) if !parent.as_os_str().is_empty() => self.create_dir_all(parent)?,
                _ => {}
            },
            Err(_) => {}
        }
        match self.mkdir(path) {
            Err(MachineError::Errno(Errno::EXIST)) if self.is_dir(path) => Ok(()),
            result => result.map_err(|e| Error::at("create directory", path, e)),
        }
    }

    fn is_dir(&self, path: &Path) -> bool {
        self.metadata(path).is_ok_and(|metadata| metadata.is_dir())
    }

    /// Removes a file of any type except a directory.
    pub fn remove_file(&self, path: impl AsRef<Path>) -> Result<()> {
        self.unlink("remove", path.as_ref(), 0)
    }

    /// Removes an empty directory.
    pub fn remove_dir(&self, path: impl AsRef<Path>) -> Result<()> {
        self.unlink("remove directory", path.as_ref(), libc::AT_REMOVEDIR)
    }

    fn unlink(&self, operation: &'static str, path: &Path, flags: i32) -> Result<()> {
        let sys = self.inner.root.sys();
        self.inner
            .with_parent(path, |dir, name| sys.unlinkat(dir, name, flags))
            .map_err(|e| Error::at(operation, path, e))
    }

    /// Removes a directory and everything in it; no symbolic link is followed.
    /// Stops at the first error.
    ///
    /// A path without a name of its own, such as `/` or one that ends in `..`, is refused
    /// before anything is removed: EBUSY.
    pub fn remove_dir_all(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        if path.file_name().is_none() {
            return Err(Error::at("remove directory", path, Errno::BUSY));
        }
        let flags = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_NOFOLLOW;
        let fd = self.inner.open(path, flags, 0);
        let fd = fd.map_err(|e| Error::at("remove directory", path, e))?;
        empty(Dir::new(fd, &self.inner), path)?;
        self.remove_dir(path)
    }

    /// Renames a file or directory. An existing `to` is replaced, unless it is a
    /// directory that is not empty (rename(2)).
    pub fn rename(&self, from: impl AsRef<Path>, to: impl AsRef<Path>) -> Result<()> {
        let (from, to) = (from.as_ref(), to.as_ref());
        let sys = self.inner.root.sys();
        self.inner
            .with_parent(from, |old_dir, old| {
                self.inner
                    .with_parent(to, |dir, name| sys.renameat(old_dir, old, dir, name, 0))
            })
            .map_err(|e| Error::between("rename", from, to, e))
    }

    /// Makes the hard link `link` to the file `original`. If that is a symbolic link, it
    /// is not followed.
    pub fn hard_link(&self, original: impl AsRef<Path>, link: impl AsRef<Path>) -> Result<()> {
        let (original, link) = (original.as_ref(), link.as_ref());
        let sys = self.inner.root.sys();
        let make = || {
            let pinned = self.inner.pin(original, Links::Stay)?;
            self.inner.with_parent(link, |dir, name| {
                sys.linkat(pinned.raw(), c"", dir, name, libc::AT_EMPTY_PATH)
            })
        };
        make().map_err(|e| Error::between("link", original, link, e))
    }

    /// Makes a symbolic link; `original` is stored as it is.
    pub fn symlink(&self, original: impl AsRef<Path>, link: impl AsRef<Path>) -> Result<()> {
        let (original, link) = (original.as_ref(), link.as_ref());
        let sys = self.inner.root.sys();
        with_c_str(original.as_os_str().as_bytes(), |target| {
            self.inner
                .with_parent(link, |dir, name| sys.symlinkat(target, dir, name))
        })
        .map_err(|e| Error::at("symlink", link, e))
    }

    /// The target of a symbolic link.
    pub fn read_link(&self, path: impl AsRef<Path>) -> Result<PathBuf> {
        let path = path.as_ref();
        let read = || {
            let pinned = self.inner.pin(path, Links::Stay)?;
            match pinned.sys().readlinkat(pinned.raw(), c"") {
                // What readlinkat says of a descriptor; readlink(2) says EINVAL.
                Err(MachineError::Errno(Errno::NOENT)) => Err(MachineError::Errno(Errno::INVAL)),
                result => result,
            }
        };
        let target = read().map_err(|e| Error::at("read link", path, e))?;
        Ok(PathBuf::from(OsString::from_vec(target)))
    }

    /// Makes a device node, fifo, socket or file: `mode` has the type and the
    /// permissions, `dev` comes from [`makedev`](crate::makedev).
    pub fn mknod(&self, path: impl AsRef<Path>, mode: u32, dev: u64) -> Result<()> {
        let path = path.as_ref();
        let sys = self.inner.root.sys();
        self.inner
            .with_parent(path, |dir, name| sys.mknodat(dir, name, mode, dev))
            .map_err(|e| Error::at("mknod", path, e))
    }

    /// The path without symbolic links, `.` and `..`, from the root of the mount.
    pub fn canonicalize(&self, path: impl AsRef<Path>) -> Result<PathBuf> {
        let path = path.as_ref();
        let resolve = || {
            self.inner.kernel.need(Pseudo::Proc)?;
            let pinned = self.inner.pin(path, Links::Follow)?;
            let link = format!("/proc/self/fd/{}", pinned.raw());
            with_c_str(link.as_bytes(), |link| {
                pinned.sys().readlinkat(sys::AT_FDCWD, link)
            })
        };
        let real = resolve().map_err(|e| Error::at("canonicalize", path, e))?;
        let real = PathBuf::from(OsString::from_vec(real));
        match real.strip_prefix(self.inner.target()) {
            Ok(inside) => Ok(Path::new("/").join(inside)),
            // Moved or removed meanwhile.
            Err(_) => Err(Error::at("canonicalize", path, Errno::NOENT)),
        }
    }
}

/// Removes the contents of a directory. Uses a list of open directories instead of
/// recursion, so that a deep tree does not overflow the stack.
fn empty(top: Dir, path: &Path) -> Result<()> {
    let mut stack = vec![(top.read_dir()?, top, path.to_owned())];
    while let Some((entries, dir, path)) = stack.last_mut() {
        match entries
            .next()
            .transpose()
            .map_err(|e| e.with_path(&*path))?
        {
            Some(entry) => {
                let inner = path.join(entry.name());
                if entry.file_type()?.is_dir() {
                    let below = dir.open_dir(entry.name());
                    let below = below.map_err(|e| e.with_path(&inner))?;
                    stack.push((below.read_dir()?, below, inner));
                } else {
                    let removed = dir.remove_file(entry.name());
                    removed.map_err(|e| e.with_path(&inner))?;
                }
            }
            None => {
                let empty = std::mem::take(path);
                stack.pop();
                if let (Some((_, above, _)), Some(name)) = (stack.last(), empty.file_name()) {
                    let removed = above.remove_dir(name);
                    removed.map_err(|e| e.with_path(&empty))?;
                }
            }
        }
    }
    Ok(())
}
