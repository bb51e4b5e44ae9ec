//! The image that is partitioned: one that is there, or a new one that gets its name when
//! it is complete.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use drupe_host::disk::FileDisk;
use rustix::fs::{AtFlags, CWD, FallocateFlags, SeekFrom, fallocate, linkat, seek};

use super::mkfs;
use crate::args::EmptyMode;
use crate::exit::{ExitCode, Failure};

/// Bytes copied at once.
const CHUNK: usize = 1 << 20;

/// The image that is partitioned.
#[derive(Debug)]
pub(crate) struct Image {
    path: PathBuf,
    /// For the partition table and for what tools have made.
    pub(crate) file: File,
    /// For the kernel; it holds the lock.
    pub(crate) disk: Arc<FileDisk>,
    /// It has no name yet.
    is_new: bool,
}

impl Image {
    /// Opens or makes it. `size`: bytes that it has at least. Nothing on the host changes
    /// before [`Image::grow`].
    pub(crate) fn open(path: &Path, mode: EmptyMode, dry_run: bool) -> Result<Image, Failure> {
        let named = || path.display().to_string();
        let unusable = |error: anyhow::Error| Failure::new(ExitCode::Image, error.context(named()));
        let is_new = mode == EmptyMode::Create;
        let file = match is_new {
            true if path.symlink_metadata().is_ok() => {
                let failure = unusable(anyhow!("the file exists"));
                return Err(failure.with_hint("--empty=force replaces its partition table"));
            }
            true => mkfs::nameless(dir_of(path), 0),
            false => File::options().read(true).write(!dry_run).open(path),
        };
        let file = file.map_err(|error| unusable(error.into()))?;
        if !is_new {
            refuse_container(&file).map_err(unusable)?;
        }
        let disk = file
            .try_clone()
            .and_then(|file| FileDisk::from_file(file, dry_run && !is_new));
        Ok(Image {
            path: path.to_owned(),
            disk: Arc::new(disk.map_err(|error| unusable(error.into()))?),
            file,
            is_new,
        })
    }

    /// The directory for files without a name that go into it.
    pub(crate) fn dir(&self) -> &Path {
        dir_of(&self.path)
    }

    /// Makes it `size` bytes large, if it is smaller.
    pub(crate) fn grow(&mut self, size: u64) -> Result<(), Failure> {
        let grown = self.file.metadata().and_then(|found| {
            if found.is_file() && found.len() < size {
                self.file.set_len(size)?;
                // The kernel's disk has the size that it found.
                let file = self.file.try_clone()?;
                self.disk = Arc::new(FileDisk::from_file(file, false)?);
            }
            Ok(())
        });
        grown
            .with_context(|| format!("cannot make {} larger", self.path.display()))
            .map_err(Into::into)
    }

    /// Moves what a tool has made in `from` to `at`: what is a hole there is one here.
    pub(crate) fn take(&self, from: &File, at: u64) -> io::Result<()> {
        let size = from.metadata()?.len();
        let mut end = 0;
        while let Some(start) = next(from, SeekFrom::Data(end))? {
            end = next(from, SeekFrom::Hole(start))?.unwrap_or(size);
            copy(from, start..end, &self.file, at + start)?;
        }
        Ok(())
    }

    /// Makes a range read as zeroes: what was there before is no part of a new partition.
    pub(crate) fn clear(&self, range: std::ops::Range<u64>) -> io::Result<()> {
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        match fallocate(&self.file, flags, range.start, range.end - range.start) {
            Err(rustix::io::Errno::OPNOTSUPP) => {
                let zeroes = vec![0; CHUNK];
                let mut at = range.start;
                while at < range.end {
                    let len = zeroes.len().min((range.end - at) as usize);
                    self.file.write_all_at(&zeroes[..len], at)?;
                    at += len as u64;
                }
                Ok(())
            }
            done => Ok(done?),
        }
    }

    /// It is complete: on the disk, and under its name.
    pub(crate) fn commit(self) -> Result<(), Failure> {
        let done = self.file.sync_all().and_then(|()| match self.is_new {
            true => name(&self.file, &self.path),
            false => Ok(()),
        });
        done.with_context(|| format!("cannot write {}", self.path.display()))
            .map_err(Into::into)
    }
}

/// Gives a file without a name one; an error if it is taken.
fn name(file: &File, path: &Path) -> io::Result<()> {
    let from = format!("/proc/self/fd/{}", file.as_raw_fd());
    Ok(linkat(CWD, from, CWD, path, AtFlags::SYMLINK_FOLLOW)?)
}

fn dir_of(path: &Path) -> &Path {
    let dir = drupe_tree::paths::parent(path);
    if dir.as_os_str().is_empty() {
        Path::new(".")
    } else {
        dir
    }
}

/// A container such as qcow2 would be overwritten, not partitioned.
fn refuse_container(file: &File) -> Result<(), anyhow::Error> {
    let mut first = [0; 8];
    match file.read_exact_at(&mut first, 0) {
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(()),
        read => read?,
    }
    let formats: [(&[u8], &str); 4] = [
        (b"QFI\xfb", "qcow2"),
        (b"KDMV", "vmdk"),
        (b"# Disk D", "vmdk"),
        (b"vhdxfile", "vhdx"),
    ];
    match formats.iter().find(|(magic, _)| first.starts_with(magic)) {
        Some((_, format)) => Err(anyhow!("it is a {format} image; repart takes raw images")),
        None => Ok(()),
    }
}

/// Where the next data, or the next hole, begins.
fn next(file: &File, whence: SeekFrom) -> io::Result<Option<u64>> {
    match seek(file, whence) {
        Ok(at) => Ok(Some(at)),
        Err(rustix::io::Errno::NXIO) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn copy(from: &File, range: std::ops::Range<u64>, to: &File, mut at: u64) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK.min((range.end - range.start) as usize)];
    let mut offset = range.start;
    while offset < range.end {
        let len = buffer.len().min((range.end - offset) as usize);
        from.read_exact_at(&mut buffer[..len], offset)?;
        to.write_all_at(&buffer[..len], at)?;
        offset += len as u64;
        at += len as u64;
    }
    Ok(())
}
