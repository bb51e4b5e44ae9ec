//! Files of the host without a name: what tools work on, before it is in the image; and
//! the data in them, without their holes.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use rustix::fs::{Mode, OFlags, SeekFrom, seek};

use crate::exit::Failure;

/// Bytes copied at once.
pub(crate) const CHUNK: usize = 1 << 20;

/// An empty file in `dir` that has no name, and is gone with its last descriptor, whatever
/// happens to this process.
pub(crate) fn nameless(dir: &Path) -> io::Result<File> {
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    let file = rustix::fs::open(dir, flags, Mode::from_raw_mode(0o666))?;
    Ok(file.into())
}

/// Whether there are no files without a name on this filesystem.
pub(crate) fn is_unsupported(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let errnos = [Errno::OPNOTSUPP, Errno::ISDIR, Errno::INVAL];
    errnos
        .iter()
        .any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

/// A new file `.drupe-0` in `dir`, or the first number that is free, and its path.
pub(crate) fn temporary(dir: &Path) -> io::Result<(File, PathBuf)> {
    let mut options = File::options();
    options.read(true).write(true).create_new(true);
    let is_taken = |error: &io::Error| error.kind() == io::ErrorKind::AlreadyExists;
    let (name, file) = drupe_tree::make_temporary(is_taken, |name| options.open(dir.join(name)))?;
    Ok((file, dir.join(name)))
}

/// A file without a name, of `size` bytes, all of them a hole.
pub(crate) fn sparse(dir: &Path, size: u64) -> io::Result<File> {
    let file = match nameless(dir) {
        Err(error) if is_unsupported(&error) => {
            let (file, name) = temporary(dir)?;
            std::fs::remove_file(name)?;
            file
        }
        file => file?,
    };
    file.set_len(size)?;
    Ok(file)
}

/// Gives `write` all data of the first `len` bytes of a file, and where it is. `check` ends
/// it early.
pub(crate) fn each_piece(
    from: &File,
    len: u64,
    check: &dyn Fn() -> Result<(), Failure>,
    mut write: impl FnMut(u64, &[u8]) -> Result<(), Failure>,
) -> Result<(), Failure> {
    const CANNOT: &str = "cannot find the holes of a file";
    let mut buffer = vec![0; CHUNK];
    let mut end = 0;
    while let Some(start) = next(from, SeekFrom::Data(end), end).context(CANNOT)? {
        if start >= len {
            break;
        }
        let hole = next(from, SeekFrom::Hole(start), len).context(CANNOT)?;
        end = hole.unwrap_or(len).min(len);
        let mut offset = start;
        while offset < end {
            check()?;
            let piece = buffer.len().min((end - offset) as usize);
            let read = from.read_exact_at(&mut buffer[..piece], offset);
            read.context("cannot read all of it: it became shorter")?;
            write(offset, &buffer[..piece])?;
            offset += piece as u64;
        }
    }
    Ok(())
}

/// Where the next data, or the next hole, begins. A device has no holes: it is one piece
/// of data, to `without`.
fn next(file: &File, whence: SeekFrom, without: u64) -> io::Result<Option<u64>> {
    match seek(file, whence) {
        Ok(at) => Ok(Some(at)),
        Err(rustix::io::Errno::NXIO) => Ok(None),
        Err(rustix::io::Errno::INVAL) => Ok(Some(without)),
        Err(error) => Err(error.into()),
    }
}

/// A second descriptor, which programs inherit, and its path for their command lines. No
/// other thread starts programs.
pub(crate) fn inherited(file: &File) -> io::Result<(std::os::fd::OwnedFd, String)> {
    let fd = rustix::io::dup(file)?;
    let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
    Ok((fd, path))
}
