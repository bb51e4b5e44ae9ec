//! Methods of [`Mount`] that open, read, write and copy files.

use std::io;
use std::path::Path;

use super::file::named;
use crate::error::{Cause, Error, Result};
use crate::{Dir, File, Mount, OpenOptions, ReadDir};

/// Bytes of the largest copy_file_range(2).
const COPY_CHUNK: usize = 1 << 30;

impl Mount {
    /// Opens a file for reading.
    pub fn open(&self, path: impl AsRef<Path>) -> Result<File> {
        self.open_with(path, OpenOptions::new().read(true))
    }

    /// Opens a file for writing; empties it, or creates it with mode 0o644.
    pub fn create(&self, path: impl AsRef<Path>) -> Result<File> {
        let mut options = OpenOptions::new();
        self.open_with(path, options.write(true).create(true).truncate(true))
    }

    /// Opens a file as the options say ([`std::fs::OpenOptions::open`]).
    ///
    /// ```no_run
    /// # fn f(root: &drupe::Mount) -> drupe::Result<()> {
    /// use drupe::OpenOptions;
    /// let log = root.open_with("/var/log/all", OpenOptions::new().append(true))?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn open_with(&self, path: impl AsRef<Path>, options: &OpenOptions) -> Result<File> {
        let path = path.as_ref();
        let flags = options.flags();
        let (flags, mode) = flags.map_err(|e| Error::at("open", path, e))?;
        let fd = self.inner.open(path, flags, mode);
        let fd = fd.map_err(|e| Error::at("open", path, e))?;
        Ok(File::new(fd, &self.inner))
    }

    /// Opens a directory, to work on its entries by name.
    pub fn open_dir(&self, path: impl AsRef<Path>) -> Result<Dir> {
        let path = path.as_ref();
        let flags = libc::O_RDONLY | libc::O_DIRECTORY;
        let fd = self.inner.open(path, flags, 0);
        let fd = fd.map_err(|e| Error::at("open directory", path, e))?;
        Ok(Dir::new(fd, &self.inner))
    }

    /// The entries of a directory.
    pub fn read_dir(&self, path: impl AsRef<Path>) -> Result<ReadDir> {
        let path = path.as_ref();
        let flags = libc::O_RDONLY | libc::O_DIRECTORY;
        let fd = self.inner.open(path, flags, 0);
        let fd = fd.map_err(|e| Error::at("read directory", path, e))?;
        Ok(ReadDir::new(fd, path, &self.inner))
    }

    /// Reads a whole file.
    pub fn read(&self, path: impl AsRef<Path>) -> Result<Vec<u8>> {
        let path = path.as_ref();
        let file = self.open(path)?;
        let read = |file: &File| {
            let (sys, raw) = (file.fd.sys(), file.fd.raw());
            // One byte more, so that the end shows without growing.
            let size = sys.fstat(raw)?.stx_size.min(1 << 30) as usize;
            let mut bytes = Vec::with_capacity(size + 1);
            while sys.read_more(raw, &mut bytes)? > 0 {
                bytes.reserve(1);
            }
            Ok(bytes)
        };
        read(&file).map_err(|e: drupe_machine::Error| Error::at("read", path, e))
    }

    /// Reads a whole file, which must be UTF-8.
    pub fn read_to_string(&self, path: impl AsRef<Path>) -> Result<String> {
        let path = path.as_ref();
        String::from_utf8(self.read(path)?).map_err(|error| {
            let error = io::Error::new(io::ErrorKind::InvalidData, error.utf8_error());
            Error::at("read", path, Cause::Host(error))
        })
    }

    /// Replaces the contents of a file, which is created if it does not exist.
    pub fn write(&self, path: impl AsRef<Path>, contents: impl AsRef<[u8]>) -> Result<()> {
        let path = path.as_ref();
        let file = self.create(path)?;
        let written = file.write_all_at(contents.as_ref(), 0);
        written.map_err(|e| e.with_path(path))
    }

    /// Copies a file's contents and permissions. Returns the number of bytes.
    pub fn copy(&self, from: impl AsRef<Path>, to: impl AsRef<Path>) -> Result<u64> {
        let (from, to) = (from.as_ref(), to.as_ref());
        let source = self.open(from)?;
        let metadata = source.metadata().map_err(|e| e.with_path(from))?;
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        let target = self.open_with(to, options.mode(metadata.mode()))?;
        let copy = || {
            let sys = source.fd.sys();
            let mut copied = 0;
            loop {
                let part = sys.copy_file_range(source.fd.raw(), target.fd.raw(), COPY_CHUNK);
                match named("copy", part)? {
                    0 => break,
                    part => copied += part as u64,
                }
            }
            target.set_permissions(metadata.permissions())?;
            Ok(copied)
        };
        copy().map_err(|e: Error| e.with_path(from).with_to(to))
    }
}
