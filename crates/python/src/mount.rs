//! `Mount`: a mounted filesystem and what can be done to files by their paths:
//! `drupe.FileSystem` is the Python class over it.

use std::ffi::OsString;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use drupe::{FileTimes, OpenOptions};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::buffer::Buffer;
use crate::error::{Failure, Name, of_io, value};
use crate::file::File;
use crate::gate::{call, long};
use crate::handle::{Handle, Held};
use crate::partition::Partition;
use crate::stat::{Stat, kind, stat};

/// A mounted filesystem.
#[pyclass(frozen, module = "drupe._drupe")]
pub(crate) struct Mount(Handle<drupe::Mount>);

impl Mount {
    pub(crate) fn new(mount: drupe::Mount) -> Mount {
        Mount(Handle::new(mount))
    }

    pub(crate) fn get(&self) -> PyResult<Held<drupe::Mount>> {
        self.0
            .get()
            .ok_or_else(|| value("the file system has been closed"))
    }
}

/// A time that Python gives, in nanoseconds since 1970.
fn time(nanoseconds: i128) -> PyResult<SystemTime> {
    let far = || value(format!("a time of {nanoseconds} ns is too far away"));
    let seconds = u64::try_from(nanoseconds.unsigned_abs() / 1_000_000_000);
    let seconds = seconds.map_err(|_| far())?;
    let rest = (nanoseconds.unsigned_abs() % 1_000_000_000) as u32;
    let distance = Duration::new(seconds, rest);
    let time = match nanoseconds < 0 {
        true => UNIX_EPOCH.checked_sub(distance),
        false => UNIX_EPOCH.checked_add(distance),
    };
    time.ok_or_else(far)
}

#[pymethods]
impl Mount {
    fn open(&self, py: Python<'_>, path: Name, flags: i32, mode: u32) -> PyResult<File> {
        let mount = self.get()?;
        let access = flags & libc::O_ACCMODE;
        let mut options = OpenOptions::new();
        options
            .read(access != libc::O_WRONLY)
            .write(access != libc::O_RDONLY)
            .mode(mode)
            .custom_flags(flags);
        let file = call(py, || mount.open_with(&path.0, &options))?;
        Ok(File::new(file))
    }

    /// The contents of a file.
    fn read_bytes<'py>(&self, py: Python<'py>, path: Name) -> PyResult<Bound<'py, PyBytes>> {
        let mount = self.get()?;
        let file = File::new(call(py, || mount.open(&path.0))?);
        let bytes = file.readall(py);
        bytes.map_err(|error| named(py, error, &path))
    }

    /// Makes the contents of a file; how many bytes they are is returned.
    fn write_bytes(
        &self,
        py: Python<'_>,
        path: Name,
        data: &Bound<'_, PyAny>,
        mode: u32,
    ) -> PyResult<usize> {
        let mount = self.get()?;
        let buffer = Buffer::read(data)?;
        let bytes = buffer.bytes();
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(mode);
        let file = File::new(call(py, || mount.open_with(&path.0, &options))?);
        let file = file.get()?;
        // SAFETY: `buffer` lives.
        let bytes = unsafe { bytes.get() };
        for chunk in bytes.chunks(32 << 20) {
            let mut done = 0;
            while done < chunk.len() {
                let written = call(py, || {
                    use std::io::Write;
                    let written = (&*file).write(&chunk[done..]);
                    written.map_err(|error| of_io("write", error))
                });
                done += written.map_err(|error| named(py, error, &path))?;
            }
        }
        Ok(bytes.len())
    }

    fn stat(&self, py: Python<'_>, path: Name, follow: bool) -> PyResult<Stat> {
        let mount = self.get()?;
        let metadata = call(py, || match follow {
            true => mount.metadata(&path.0),
            false => mount.symlink_metadata(&path.0),
        })?;
        Ok(stat(&metadata))
    }

    /// `S_IF*` of a file; `None`: there is none.
    fn kind(&self, py: Python<'_>, path: Name, follow: bool) -> PyResult<Option<u32>> {
        let mount = self.get()?;
        call(py, || {
            let found = match follow {
                true => mount.metadata(&path.0),
                false => mount.symlink_metadata(&path.0),
            };
            match found {
                Ok(metadata) => Ok(Some(metadata.mode() & libc::S_IFMT)),
                Err(error) => match error.errno().map(|errno| errno.raw_os_error()) {
                    Some(libc::ENOENT | libc::ENOTDIR | libc::ELOOP | libc::EINVAL) => Ok(None),
                    _ => Err(error),
                },
            }
        })
    }

    /// Name, `S_IF*` and inode of all that is in a directory.
    fn scan(&self, py: Python<'_>, path: Name) -> PyResult<Vec<(OsString, u32, u64)>> {
        let mount = self.get()?;
        call(py, || {
            let mut all = Vec::new();
            for entry in mount.read_dir(&path.0)? {
                let entry = entry?;
                let found = match entry.file_type() {
                    Ok(file_type) => kind(file_type),
                    // Gone since.
                    Err(error) if error.errno() == Some(drupe::Errno::NOENT) => 0,
                    Err(error) => return Err(error),
                };
                all.push((entry.file_name(), found, entry.ino()));
            }
            Ok(all)
        })
    }

    fn mkdir(&self, py: Python<'_>, path: Name, mode: u32) -> PyResult<()> {
        let mount = self.get()?;
        call(py, || {
            mount.create_dir(&path.0)?;
            match mode & 0o7777 {
                0o755 => Ok(()),
                mode => mount.set_permissions(&path.0, Permissions::from_mode(mode)),
            }
        })
    }

    fn makedirs(&self, py: Python<'_>, path: Name) -> PyResult<()> {
        let mount = self.get()?;
        call(py, || mount.create_dir_all(&path.0))
    }

    fn mknod(&self, py: Python<'_>, path: Name, mode: u32, device: u64) -> PyResult<()> {
        let mount = self.get()?;
        // As the C library encodes them, and so os.makedev().
        let device = drupe::makedev(libc::major(device), libc::minor(device));
        call(py, || mount.mknod(&path.0, mode, device))
    }

    fn unlink(&self, py: Python<'_>, path: Name) -> PyResult<()> {
        let mount = self.get()?;
        call(py, || mount.remove_file(&path.0))
    }

    fn rmdir(&self, py: Python<'_>, path: Name) -> PyResult<()> {
        let mount = self.get()?;
        call(py, || mount.remove_dir(&path.0))
    }

    fn rmtree(&self, py: Python<'_>, path: Name) -> PyResult<()> {
        let mount = self.get()?;
        long(py, || {}, move |_| Ok(mount.remove_dir_all(&path.0)?))
    }

    fn rename(&self, py: Python<'_>, from: Name, to: Name) -> PyResult<()> {
        let mount = self.get()?;
        call(py, || mount.rename(&from.0, &to.0))
    }

    fn link(&self, py: Python<'_>, original: Name, link: Name) -> PyResult<()> {
        let mount = self.get()?;
        call(py, || mount.hard_link(&original.0, &link.0))
    }

    fn symlink(&self, py: Python<'_>, target: Name, link: Name) -> PyResult<()> {
        let mount = self.get()?;
        call(py, || mount.symlink(&target.0, &link.0))
    }

    fn readlink(&self, py: Python<'_>, path: Name) -> PyResult<OsString> {
        let mount = self.get()?;
        let target: PathBuf = call(py, || mount.read_link(&path.0))?;
        Ok(target.into_os_string())
    }

    fn realpath(&self, py: Python<'_>, path: Name) -> PyResult<OsString> {
        let mount = self.get()?;
        let found: PathBuf = call(py, || mount.canonicalize(&path.0))?;
        Ok(found.into_os_string())
    }

    fn chmod(&self, py: Python<'_>, path: Name, mode: u32) -> PyResult<()> {
        let mount = self.get()?;
        let permissions = Permissions::from_mode(mode & 0o7777);
        call(py, || mount.set_permissions(&path.0, permissions.clone()))
    }

    fn chown(
        &self,
        py: Python<'_>,
        path: Name,
        uid: Option<u32>,
        gid: Option<u32>,
        follow: bool,
    ) -> PyResult<()> {
        let mount = self.get()?;
        call(py, || match follow {
            true => mount.chown(&path.0, uid, gid),
            false => mount.lchown(&path.0, uid, gid),
        })
    }

    /// Sets times, in nanoseconds; without any, to now.
    fn utime(
        &self,
        py: Python<'_>,
        path: Name,
        times: Option<(i128, i128)>,
        follow: bool,
    ) -> PyResult<()> {
        let mount = self.get()?;
        let times = match times {
            None => FileTimes::new().set_accessed_now().set_modified_now(),
            Some((accessed, modified)) => FileTimes::new()
                .set_accessed(time(accessed)?)
                .set_modified(time(modified)?),
        };
        call(py, || match follow {
            true => mount.set_times(&path.0, times),
            false => mount.set_times_nofollow(&path.0, times),
        })
    }

    fn truncate(&self, py: Python<'_>, path: Name, len: u64) -> PyResult<()> {
        let mount = self.get()?;
        call(py, || {
            let file = mount.open_with(&path.0, OpenOptions::new().write(true))?;
            file.set_len(len)
        })
    }

    fn getxattr<'py>(
        &self,
        py: Python<'py>,
        path: Name,
        name: OsString,
        follow: bool,
    ) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let mount = self.get()?;
        let found = call(py, || match follow {
            true => mount.get_xattr(&path.0, &name),
            false => mount.lget_xattr(&path.0, &name),
        })?;
        Ok(found.map(|bytes| PyBytes::new(py, &bytes)))
    }

    fn setxattr(
        &self,
        py: Python<'_>,
        path: Name,
        name: OsString,
        bytes: Vec<u8>,
        follow: bool,
    ) -> PyResult<()> {
        let mount = self.get()?;
        call(py, || match follow {
            true => mount.set_xattr(&path.0, &name, &bytes),
            false => mount.lset_xattr(&path.0, &name, &bytes),
        })
    }

    fn listxattr(&self, py: Python<'_>, path: Name, follow: bool) -> PyResult<Vec<OsString>> {
        let mount = self.get()?;
        call(py, || match follow {
            true => mount.list_xattr(&path.0),
            false => mount.llist_xattr(&path.0),
        })
    }

    fn removexattr(
        &self,
        py: Python<'_>,
        path: Name,
        name: OsString,
        follow: bool,
    ) -> PyResult<()> {
        let mount = self.get()?;
        call(py, || match follow {
            true => mount.remove_xattr(&path.0, &name),
            false => mount.lremove_xattr(&path.0, &name),
        })
    }

    /// Of `os.statvfs_result`: block size, blocks, free, available, files, files free,
    /// flags, length of names; and the magic number of the type.
    #[allow(clippy::type_complexity)]
    fn statfs(&self, py: Python<'_>) -> PyResult<(u64, u64, u64, u64, u64, u64, u64, u64, u64)> {
        let mount = self.get()?;
        let found = call(py, || mount.statfs())?;
        let block = found.block_size().max(1);
        Ok((
            block,
            found.total() / block,
            found.free() / block,
            found.available() / block,
            found.files(),
            found.files_free(),
            u64::from(found.is_read_only()),
            found.name_max(),
            found.magic(),
        ))
    }

    fn partition(&self) -> PyResult<Option<Partition>> {
        Ok(self.get()?.partition().map(Partition::new))
    }

    fn sync(&self, py: Python<'_>) -> PyResult<()> {
        let mount = self.get()?;
        long(py, || {}, move |_| Ok(mount.sync()?))
    }

    fn trim(&self, py: Python<'_>) -> PyResult<u64> {
        let mount = self.get()?;
        long(py, || {}, move |_| Ok(mount.trim()?))
    }

    /// Unmounts it, and says what could not be written.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        let Some(held) = self.0.take() else {
            return Ok(());
        };
        long(
            py,
            || {},
            move |_| {
                let mount = drupe::Mount::clone(&held);
                drop(held);
                let synced = mount.sync();
                // The host's own word; what the filesystem makes of it says less.
                let refused = mount.write_error();
                let unmounted = mount.umount();
                match refused {
                    Some(errno) => Err(Failure::errno(errno.raw_os_error())),
                    None => Ok(synced.and(unmounted)?),
                }
            },
        )
    }
}

/// The same exception, of the file that was named: calls on open files know no name.
fn named(py: Python<'_>, error: PyErr, path: &Name) -> PyErr {
    let named = || -> PyResult<()> {
        let value = error.value(py);
        if value.is_instance_of::<pyo3::exceptions::PyOSError>()
            && value.getattr("filename")?.is_none()
        {
            value.setattr("filename", path.0.as_os_str())?;
        }
        Ok(())
    };
    // It is still the error that it was.
    let _ = named();
    error
}
