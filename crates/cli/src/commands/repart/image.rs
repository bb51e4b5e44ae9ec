//! The image that is partitioned: one that is there, or a new one that gets its name when
//! it is complete.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, FileTypeExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use drupe::{Format, QCOW2_CLUSTER};
use drupe_host::disk::{Disk as _, FileDisk, ImageFile, lock_holder};
use rustix::fs::{
    AtFlags, CWD, FallocateFlags, MemfdFlags, RenameFlags, fallocate, ioctl_blksszget, linkat,
    memfd_create, renameat_with,
};

use super::scratch::{self, CHUNK};
use crate::args::EmptyMode;
use crate::exit::{ExitCode, Failure};

/// A copy of a table has at most so many bytes.
const TABLE: u64 = 256 << 10;
/// Bytes in which a new image is looked through: no piece of it is in two clusters.
const GRAIN: usize = 4096;
/// Bytes of the sectors that tables are made for.
const SECTOR: u32 = 512;

/// The image that is partitioned. It is locked.
#[derive(Debug)]
pub(crate) struct Image {
    path: PathBuf,
    /// For the kernel, for the partition table and for what tools have made.
    pub(crate) disk: Arc<FileDisk>,
    name: Name,
    /// Its size before it was made larger, and its last bytes, which are those of the
    /// second copy of its table, and may become those of a new partition.
    old_end: Option<(u64, Vec<u8>)>,
    /// What the new image is to be in the end: raw or qcow2.
    format: Format,
}

/// What a file is called.
#[derive(Debug)]
enum Name {
    /// As the user says.
    Own,
    /// Nothing yet.
    None,
    /// Something else yet, where files must have names.
    Temporary(PathBuf),
}

impl Image {
    /// Opens or makes it. A dry run makes nothing.
    ///
    /// A new one may be `format`; it is raw until it is complete.
    pub(crate) fn open(
        path: &Path,
        mode: EmptyMode,
        dry_run: bool,
        format: Format,
    ) -> Result<Image, Failure> {
        let unusable = |error: anyhow::Error| unusable(path, error);
        let (disk, name) = if mode == EmptyMode::Create {
            if path.symlink_metadata().is_ok() {
                let failure = unusable(anyhow!("the file exists"));
                return Err(failure.with_hint(
                    "remove it first; without --empty=create, partitions are added to it",
                ));
            }
            let made = match dry_run {
                true => memfd_create("drupe-preview", MemfdFlags::CLOEXEC)
                    .map(|file| (File::from(file), Name::None))
                    .map_err(io::Error::from),
                false => new_file(dir_of(path)),
            };
            let (file, name) = made.map_err(|error| unusable(error.into()))?;
            let disk = FileDisk::from_file(file, false);
            (disk.map_err(|error| unusable(error.into()))?, name)
        } else {
            let found = fs::metadata(path).map_err(|error| unusable(error.into()))?;
            if !found.is_file() && !found.file_type().is_block_device() {
                return Err(unusable(anyhow!("it is neither a file nor a block device")));
            }
            let image =
                ImageFile::open(path, dry_run).map_err(|error| unusable(in_use(path, error)))?;
            check_kind(image.file()).map_err(unusable)?;
            (FileDisk::new(image, dry_run), Name::Own)
        };
        Ok(Image {
            path: path.to_owned(),
            disk: Arc::new(disk),
            name,
            old_end: None,
            format,
        })
    }

    pub(crate) fn file(&self) -> &File {
        self.disk.file()
    }

    /// Bytes.
    pub(crate) fn size(&self) -> u64 {
        self.disk.geometry().size
    }

    /// The directory for files without a name that go into it.
    pub(crate) fn dir(&self) -> &Path {
        dir_of(&self.path)
    }

    /// Makes it `size` bytes large, if it is smaller. Without [`Image::commit`], it becomes
    /// what it was.
    pub(crate) fn grow(&mut self, size: u64) -> Result<(), Failure> {
        let now = self.size();
        if size <= now {
            return Ok(());
        }
        let mut end = vec![0; now.min(TABLE) as usize];
        let start = now - end.len() as u64;
        let read = self.file().read_exact_at(&mut end, start);
        let disk = Arc::get_mut(&mut self.disk).expect("no kernel has it yet");
        let grown = read.and_then(|()| disk.set_len(size));
        grown.with_context(|| format!("cannot make {} larger", self.path.display()))?;
        self.old_end = Some((now, end));
        Ok(())
    }

    /// Moves the first `len` bytes of `from` to `at`: what is a hole there is one here.
    /// `check` ends it early.
    pub(crate) fn take(
        &self,
        from: &File,
        len: u64,
        at: u64,
        check: &dyn Fn() -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        scratch::each_piece(from, len, check, |offset, bytes| {
            if bytes.iter().all(|&byte| byte == 0) {
                return Ok(());
            }
            let written = self.file().write_all_at(bytes, at + offset);
            written.map_err(|error| self.cannot_write(&error))
        })
    }

    /// Makes a range read as zeroes: what was there before is no part of a new partition.
    pub(crate) fn clear(&self, range: Range<u64>) -> Result<(), Failure> {
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        let cleared = match fallocate(self.file(), flags, range.start, range.end - range.start) {
            Err(rustix::io::Errno::OPNOTSUPP) => self.write_zeroes(range),
            done => done.map_err(io::Error::from),
        };
        cleared.map_err(|error| self.cannot_write(&error))
    }

    fn write_zeroes(&self, range: Range<u64>) -> io::Result<()> {
        let zeroes = vec![0; CHUNK];
        let mut at = range.start;
        while at < range.end {
            let len = zeroes.len().min((range.end - at) as usize);
            self.file().write_all_at(&zeroes[..len], at)?;
            at += len as u64;
        }
        Ok(())
    }

    fn cannot_write(&self, error: &io::Error) -> Failure {
        anyhow!("cannot write to {}: {error}", self.path.display()).into()
    }

    /// It is complete: on the disk, and under its name.
    pub(crate) fn commit(mut self) -> Result<(), Failure> {
        if let Some(harm) = self.disk.harm() {
            return Err(unusable(&self.path, anyhow!("{harm}")));
        }
        if self.format == Format::Qcow2 {
            return self.commit_qcow2();
        }
        let named = self.file().sync_all().and_then(|()| match &self.name {
            Name::Own => Ok(()),
            Name::None => link(self.file(), &self.path),
            Name::Temporary(name) => rename(name, &self.path),
        });
        named.with_context(|| format!("cannot write {}", self.path.display()))?;
        self.name = Name::Own;
        self.old_end = None;
        Ok(())
    }
}

impl Image {
    /// Writes a new qcow2 image, which gets the name.
    fn commit_qcow2(self) -> Result<(), Failure> {
        let cannot = || format!("cannot write {}", self.path.display());
        let check = || Ok(());
        let mut clusters = Vec::new();
        scratch::each_piece(self.file(), self.size(), &check, |offset, bytes| {
            for (piece, at) in bytes.chunks(GRAIN).zip((offset..).step_by(GRAIN)) {
                let cluster = at / QCOW2_CLUSTER;
                if clusters.last() != Some(&cluster) && piece.iter().any(|&byte| byte != 0) {
                    clusters.push(cluster);
                }
            }
            Ok(())
        })?;
        let (file, name) = new_file(dir_of(&self.path)).with_context(cannot)?;
        let mut read = |at, bytes: &mut [u8]| self.file().read_exact_at(bytes, at);
        let written = drupe::write_qcow2(&file, self.size(), &clusters, &mut read)
            .and_then(|()| file.sync_all())
            .and_then(|()| match &name {
                Name::Temporary(name) => rename(name, &self.path),
                Name::Own | Name::None => link(&file, &self.path),
            });
        if let (Err(_), Name::Temporary(name)) = (&written, &name) {
            let _ = fs::remove_file(name);
        }
        Ok(written.with_context(cannot)?)
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        // The failure before is the one to tell.
        if let Some((size, end)) = &self.old_end {
            let _ = self.file().set_len(*size);
            let _ = self.file().write_all_at(end, size - end.len() as u64);
        }
        if let Name::Temporary(name) = &self.name {
            let _ = fs::remove_file(name);
        }
    }
}

fn unusable(path: &Path, error: anyhow::Error) -> Failure {
    Failure::new(ExitCode::Image, error.context(path.display().to_string()))
}

fn in_use(path: &Path, error: io::Error) -> anyhow::Error {
    match error.kind() {
        ErrorKind::WouldBlock => match lock_holder(path) {
            Some(holder) => {
                let name = holder.name.map(|name| format!(" ({name})"));
                anyhow!(
                    "is in use by process {}{}",
                    holder.pid,
                    name.unwrap_or_default()
                )
            }
            None => anyhow!("is in use by another process"),
        },
        _ => error.into(),
    }
}

/// A file in `dir` that has no name, or, where there are no such files, another one.
fn new_file(dir: &Path) -> io::Result<(File, Name)> {
    match scratch::nameless(dir) {
        Err(error) if scratch::is_unsupported(&error) => {
            let (file, name) = scratch::temporary(dir)?;
            Ok((file, Name::Temporary(name)))
        }
        file => Ok((file?, Name::None)),
    }
}

/// Gives a file without a name one; an error if it is taken.
fn link(file: &File, path: &Path) -> io::Result<()> {
    let from = format!("/proc/self/fd/{}", file.as_raw_fd());
    Ok(linkat(CWD, from, CWD, path, AtFlags::SYMLINK_FOLLOW)?)
}

fn rename(from: &Path, to: &Path) -> io::Result<()> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // Not all filesystems can look and rename in one step.
        Err(rustix::io::Errno::INVAL) if to.symlink_metadata().is_err() => fs::rename(from, to),
        done => Ok(done?),
    }
}

pub(crate) fn dir_of(path: &Path) -> &Path {
    let dir = drupe_tree::paths::parent(path);
    if dir.as_os_str().is_empty() {
        Path::new(".")
    } else {
        dir
    }
}

/// A container such as qcow2 would be overwritten, not partitioned; and tables are made
/// for sectors of 512 bytes.
fn check_kind(file: &File) -> Result<(), anyhow::Error> {
    let found = file.metadata()?;
    if found.file_type().is_block_device() {
        let sector = ioctl_blksszget(file)?;
        if sector != SECTOR {
            return Err(anyhow!(
                "it has sectors of {sector} bytes; only those of {SECTOR} are supported"
            ));
        }
    }
    match drupe_tree::disk_image::container_of(file)? {
        Some(format) => Err(anyhow!(
            "it is a {format} image; only raw images can be changed so (qemu-img convert -O raw)"
        )),
        None => Ok(()),
    }
}
