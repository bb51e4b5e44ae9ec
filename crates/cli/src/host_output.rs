//! [`HostOutput`]: a file of the host that a command writes from its beginning to its
//! end, such as an archive.
//!
//! What was there stays until the new one is complete: that is made beside it, as
//! `.drupe-0` or the first number that is free, and renamed. Without
//! [`HostOutput::commit`] it is removed.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};

use crate::disk_image;
use crate::exit::Failure;
use crate::interrupt::{Interrupt, READER, Waiting};
use crate::output::Named;
use crate::paths;

pub(crate) struct HostOutput {
    file: File,
    /// As errors name it.
    shown: String,
    /// What it is called now, and will be; `None`: a device or FIFO.
    names: Option<(PathBuf, PathBuf)>,
}

impl HostOutput {
    /// Begins to write what is to be at `path`, through symbolic links. A device or
    /// FIFO is written into. `images` are device and inode of the images in use, which
    /// are never replaced; other disk images are with `force`. A signal ends the waiting
    /// for a reader of a FIFO.
    pub(crate) fn create(
        path: &Path,
        force: bool,
        images: &[(u64, u64)],
        interrupt: &Interrupt,
    ) -> Result<HostOutput, Failure> {
        let shown = path.display();
        let cannot = || format!("cannot create {shown}");
        let (to, old) = match path.metadata() {
            Ok(found) if found.is_dir() => {
                return Err(anyhow!("cannot create {shown}: it is a directory").into());
            }
            Ok(found) if !found.is_file() => {
                let file = open_node(path, interrupt)?;
                return Ok(HostOutput {
                    file,
                    shown: shown.to_string(),
                    names: None,
                });
            }
            Ok(found) => {
                if images.contains(&(found.dev(), found.ino())) {
                    return Err(anyhow!("cannot create {shown}: it is the image itself").into());
                }
                let kind = match File::open(path) {
                    Ok(mut file) if !force => disk_image::kind(&mut file).with_context(cannot)?,
                    // What cannot be read cannot be looked at.
                    _ => None,
                };
                if let Some(kind) = kind {
                    let text = format!(
                        "cannot create {shown}: it is a disk image ({kind}); \
                         --force replaces it"
                    );
                    return Err(anyhow!(text).into());
                }
                (path.canonicalize().with_context(cannot)?, Some(found))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                if path.symlink_metadata().is_ok() {
                    let text = format!("{shown} is a symbolic link that leads nowhere");
                    return Err(anyhow!(text).into());
                }
                (path.to_owned(), None)
            }
            Err(error) => return Err(error).with_context(cannot).map_err(Failure::from),
        };
        let (file, temporary) = beside(&to).with_context(cannot)?;
        let output = HostOutput {
            file,
            shown: shown.to_string(),
            names: Some((temporary, to)),
        };
        if let Some(old) = old {
            // Whoever may not give it away keeps it, as with cp.
            let _ = std::os::unix::fs::fchown(&output.file, Some(old.uid()), Some(old.gid()));
            let permissions = output.file.set_permissions(old.permissions());
            permissions.with_context(cannot)?;
        }
        Ok(output)
    }

    /// Where to write.
    pub(crate) fn stream(&self) -> Box<dyn Write + '_> {
        let output: Box<dyn Write> = match self.names {
            Some(_) => Box::new(&self.file),
            None => Box::new(Waiting(&self.file)),
        };
        let name = self.shown.clone().into();
        Box::new(Named { output, name })
    }

    /// The file is complete: writes it to the disk and gives it its name, so that a power
    /// cut leaves the old file or the new one.
    pub(crate) fn commit(mut self) -> io::Result<()> {
        if let Some((temporary, to)) = &self.names {
            self.file.sync_all()?;
            fs::rename(temporary, to)?;
            self.names = None;
        }
        Ok(())
    }
}

impl Drop for HostOutput {
    fn drop(&mut self) {
        if let Some((temporary, _)) = &self.names {
            // The failure before is the one to tell.
            let _ = fs::remove_file(temporary);
        }
    }
}

/// Opens a device or FIFO.
fn open_node(path: &Path, interrupt: &Interrupt) -> Result<File, Failure> {
    let mut options = OpenOptions::new();
    options
        .write(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY);
    loop {
        match options.open(path) {
            Err(error) if error.raw_os_error() == Some(libc::ENXIO) => {
                interrupt.check()?;
                std::thread::sleep(READER);
            }
            file => {
                return Ok(file.with_context(|| format!("cannot write to {}", path.display()))?);
            }
        }
    }
}

/// A new file in the directory of `path`.
fn beside(path: &Path) -> io::Result<(File, PathBuf)> {
    let dir = paths::parent(path);
    let mut number = 0u32;
    loop {
        let temporary = dir.join(format!(".drupe-{number}"));
        let mut options = OpenOptions::new();
        match options
            .write(true)
            .create_new(true)
            .mode(0o666)
            .open(&temporary)
        {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => number += 1,
            file => return Ok((file?, temporary)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn create(path: &Path) -> Result<HostOutput, Failure> {
        HostOutput::create(path, false, &[], &Interrupt::default())
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
                HostOutput::create(&path, true, &images, &Interrupt::default()).is_err(),
                "{name}"
            );
        }
        assert_eq!(fs::read(&path).unwrap(), b"old");
    }
}
