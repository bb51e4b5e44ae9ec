//! Sources of `CopyFiles=` and `CopyBlocks=`: files of the host, beneath `--root`.

use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use drupe_repart::Definition;
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, open, openat2};

/// Where a path beneath `root` leads, through symbolic links, none of which leaves `root`:
/// as for a process whose root directory that is.
pub(crate) fn resolve(root: Option<&Path>, path: &Path) -> Result<PathBuf, anyhow::Error> {
    let root = root.unwrap_or(Path::new("/"));
    let shown = || match root == Path::new("/") {
        true => path.display().to_string(),
        false => format!("{} beneath {}", path.display(), root.display()),
    };
    let resolved = || -> io::Result<PathBuf> {
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let dir = open(root, flags | OFlags::DIRECTORY, Mode::empty())?;
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        let found = openat2(&dir, path, flags, Mode::empty(), resolve)?;
        fs::read_link(format!("/proc/self/fd/{}", found.as_raw_fd()))
    };
    resolved().with_context(shown)
}

/// The file of `CopyBlocks=` and its size; `None`: the definition has none.
pub(crate) fn blocks(
    root: Option<&Path>,
    definition: &Definition,
) -> Result<Option<(File, u64)>, anyhow::Error> {
    let Some(source) = &definition.copy_blocks else {
        return Ok(None);
    };
    let found = || -> Result<(File, u64), anyhow::Error> {
        let path = resolve(root, source)?;
        let kind = fs::metadata(&path)?.file_type();
        if !kind.is_file() && !kind.is_block_device() {
            return Err(anyhow!(
                "{}: neither a file nor a block device",
                path.display()
            ));
        }
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let mut file = File::from(rustix::fs::openat(CWD, &path, flags, Mode::empty())?);
        let size = file.seek(SeekFrom::End(0))?;
        match size == 0 || !size.is_multiple_of(512) {
            true => Err(anyhow!(
                "{}: {size} bytes; CopyBlocks= needs a multiple of 512, and not 0",
                path.display()
            )),
            false => Ok((file, size)),
        }
    };
    found().context(definition.file.clone()).map(Some)
}

/// Looks whether all that a definition copies is there.
pub(crate) fn check(root: Option<&Path>, definition: &Definition) -> Result<(), anyhow::Error> {
    for files in &definition.copy_files {
        resolve(root, &files.source).with_context(|| definition.file.clone())?;
    }
    Ok(())
}
