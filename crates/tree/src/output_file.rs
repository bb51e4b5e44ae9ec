//! [`OutputFile`]: a file of the host that is written as a whole, such as an archive, and
//! then replaces an old one.
//!
//! The new file is made in the same directory as `.drupe-0`, or with the first free
//! number, and renamed by [`OutputFile::commit`]. Dropped without that, it is removed,
//! and the old file stays.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result, host};
use crate::interrupt::{Interrupt, READER};
use crate::temporary::make_temporary;
use crate::{descriptor, disk_image, paths};

/// A file of the host that is being written.
#[derive(Debug)]
pub struct OutputFile {
    file: File,
    /// Its name in errors.
    shown: String,
    interrupt: Interrupt,
    /// Its temporary and its final path; `None`: a device, FIFO or open descriptor.
    names: Option<(PathBuf, PathBuf)>,
}

impl OutputFile {
    /// Begins to write the file `path`, following symbolic links. If it is a device, a
    /// FIFO or an open descriptor such as `/dev/stdout`, that is written into;
    /// `interrupt` ends waiting for the reader of a FIFO. `images` has device and inode
    /// of the images in use, which are never replaced; other disk images are only
    /// replaced with `force`.
    ///
    /// # Errors
    ///
    /// The file cannot be made, or must not be replaced.
    pub fn create(
        path: &Path,
        force: bool,
        images: &[(u64, u64)],
        interrupt: &Interrupt,
    ) -> Result<OutputFile> {
        OutputFile::begin(path, force, images, interrupt)
            .map_err(|error| error.at(path.display().to_string()))
    }

    fn begin(
        path: &Path,
        force: bool,
        images: &[(u64, u64)],
        interrupt: &Interrupt,
    ) -> Result<OutputFile> {
        let no = |cause: String| Err(Error::new("create", cause));
        let output = |file, names| OutputFile {
            file,
            shown: path.display().to_string(),
            interrupt: interrupt.clone(),
            names,
        };
        if let Some(file) = descriptor::open(path)? {
            let found = host("find", file.metadata())?;
            if images.contains(&(found.dev(), found.ino())) {
                return no("it is the image itself".to_owned());
            }
            return Ok(output(file, None));
        }
        let (to, old) = match path.metadata() {
            Ok(found) if found.is_dir() => return no("it is a directory".to_owned()),
            Ok(found) if !found.is_file() => {
                if found.file_type().is_block_device() && !force {
                    refuse_disk_image(path)?;
                }
                let is_fifo = found.file_type().is_fifo();
                return Ok(output(open_node(path, is_fifo, interrupt)?, None));
            }
            Ok(found) => {
                if images.contains(&(found.dev(), found.ino())) {
                    return no("it is the image itself".to_owned());
                }
                if !force {
                    refuse_disk_image(path)?;
                }
                (host("find", path.canonicalize())?, Some(found))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                if path.symlink_metadata().is_ok() {
                    return no("it is a symbolic link that leads nowhere".to_owned());
                }
                (path.to_owned(), None)
            }
            Err(error) => return host("find", Err(error)),
        };
        let (file, temporary) = host("create", beside(&to))?;
        let output = output(file, Some((temporary, to)));
        if let Some(old) = old {
            // Whoever may not give it away keeps it, as with cp.
            let _ = std::os::unix::fs::fchown(&output.file, Some(old.uid()), Some(old.gid()));
            host(
                "set permissions",
                output.file.set_permissions(old.permissions()),
            )?;
        }
        Ok(output)
    }

    /// The stream to write to.
    pub fn stream(&self) -> Box<dyn Write + '_> {
        match self.names {
            Some(_) => Box::new(&self.file),
            None => Box::new(self.interrupt.waiting(&self.file)),
        }
    }

    /// Syncs the complete file and renames it, so that a power cut leaves either the old
    /// file or the new one.
    ///
    /// # Errors
    ///
    /// Those of writing, for example a full disk; the old file stays then.
    pub fn commit(mut self) -> Result<()> {
        if let Some((temporary, to)) = &self.names {
            let done = self.file.sync_all();
            let done = done.and_then(|()| fs::rename(temporary, to));
            host("write", done).map_err(|error| error.at(&self.shown))?;
            self.names = None;
        }
        Ok(())
    }
}

impl Drop for OutputFile {
    fn drop(&mut self) {
        if let Some((temporary, _)) = &self.names {
            // The failure before is the one to tell.
            let _ = fs::remove_file(temporary);
        }
    }
}

/// Fails if the path is a disk image, or a device with a filesystem on it.
fn refuse_disk_image(path: &Path) -> Result<()> {
    // What cannot be read cannot be looked at.
    let kind = match File::open(path) {
        Ok(mut file) => host("read", disk_image::kind(&mut file))?,
        Err(_) => None,
    };
    match kind {
        None => Ok(()),
        Some(kind) => {
            let cause = format!("it is a disk image ({kind}); --force replaces it");
            Err(Error::new("create", cause))
        }
    }
}

/// Opens a device or FIFO.
fn open_node(path: &Path, is_fifo: bool, interrupt: &Interrupt) -> Result<File> {
    let mut options = OpenOptions::new();
    options
        .write(true)
        // Of block devices, O_EXCL refuses those that the host has mounted.
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_EXCL);
    loop {
        match options.open(path) {
            // Nobody reads it yet.
            Err(error) if is_fifo && error.raw_os_error() == Some(libc::ENXIO) => {
                interrupt.check("open")?;
                std::thread::sleep(READER);
            }
            file => return host("open", file),
        }
    }
}

/// Makes a new file in the directory of `path`.
fn beside(path: &Path) -> io::Result<(File, PathBuf)> {
    let dir = paths::parent(path);
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o666);
    let is_taken = |error: &io::Error| error.kind() == ErrorKind::AlreadyExists;
    let (name, file) = make_temporary(is_taken, |name| options.open(dir.join(name)))?;
    Ok((file, dir.join(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn create(path: &Path) -> Result<OutputFile> {
        OutputFile::create(path, false, &[], &Interrupt::default())
    }

    fn names(dir: &Path) -> Vec<String> {
        let entries = fs::read_dir(dir).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }

    #[test]
    fn the_old_one_stays_until_the_new_one_is_complete() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        fs::write(&path, "old").unwrap();
        fs::write(dir.path().join(".drupe-0"), "somebody else's").unwrap();

        let output = create(&path).unwrap();
        output.stream().write_all(b"ne").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"old");
        drop(output);
        assert_eq!(names(dir.path()), [".drupe-0", "f"]);

        let output = create(&path).unwrap();
        output.stream().write_all(b"new").unwrap();
        output.commit().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(names(dir.path()), [".drupe-0", "f"]);
    }

    #[test]
    fn an_image_in_use_is_never_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        fs::write(&path, "old").unwrap();
        std::os::unix::fs::symlink("f", dir.path().join("link")).unwrap();
        let found = path.metadata().unwrap();
        let images = [(found.dev(), found.ino())];
        for name in ["f", "./f", "link"] {
            let path = dir.path().join(name);
            assert!(
                OutputFile::create(&path, true, &images, &Interrupt::default()).is_err(),
                "{name}"
            );
        }
        assert_eq!(fs::read(&path).unwrap(), b"old");
    }
}
