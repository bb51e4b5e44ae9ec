//! Paths that name an open descriptor of this process: `/dev/stdout`, `/dev/fd/3` and the
//! like.
//!
//! Opening such a path would open the file behind it a second time, from its beginning,
//! and renaming a file to it would replace that file. So the descriptor itself is used,
//! from its position on. `/proc/self/fd/3` and symbolic links to such paths count too.

use std::fs::File;
use std::io;
use std::os::fd::RawFd;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use crate::error::{Result, host};
use crate::paths::{base_name, parent};

/// Limit of symbolic links in a path, as in the kernel (path_resolution(7)).
const MAX_LINKS: usize = 40;

/// Whether a path names an open descriptor of this process.
pub fn is_descriptor(path: &Path) -> bool {
    number(path).is_some()
}

/// A duplicate of the descriptor that a path names, if it is of a file or a socket.
/// `None`: the path names no descriptor, or one of a pipe, device or directory, which can
/// be opened by the path.
pub(crate) fn open(path: &Path) -> Result<Option<File>> {
    host("open", try_open(path))
}

/// Opens a file that is read once from beginning to end, such as an archive or a
/// manifest. If the path names an open descriptor, that is read from its position on.
///
/// # Errors
///
/// Those of open(2).
pub fn open_input(path: &Path) -> io::Result<File> {
    match try_open(path)? {
        Some(file) => Ok(file),
        None => File::open(path),
    }
}

fn try_open(path: &Path) -> io::Result<Option<File>> {
    let Some(number) = number(path) else {
        return Ok(None);
    };
    // What cannot be found is not open.
    let kind = path.metadata().map(|found| found.file_type());
    match kind.is_ok_and(|kind| kind.is_file() || kind.is_socket()) {
        true => Ok(Some(drupe_host::inherited(number)?.into())),
        false => Ok(None),
    }
}

/// The number of the descriptor that a path names.
fn number(path: &Path) -> Option<RawFd> {
    let mut path = path.to_owned();
    for _ in 0..MAX_LINKS {
        let name = base_name(&path)?;
        let dir = match parent(&path) {
            dir if dir.as_os_str().is_empty() => Path::new("."),
            dir => dir,
        };
        let dir = dir.canonicalize().ok()?;
        if is_own(&dir) {
            let number: RawFd = name.to_str()?.parse().ok()?;
            return (name.to_str() == Some(&number.to_string())).then_some(number);
        }
        let target = dir.join(name).read_link().ok()?;
        path = dir.join(target);
    }
    None
}

/// Whether a directory is `/proc/self/fd` of this process, or the like.
fn is_own(dir: &Path) -> bool {
    let own = |path: &str| Path::new(path).canonicalize();
    own("/proc/self/fd").is_ok_and(|own| own == dir)
        || own("/proc/self/task").is_ok_and(|tasks| dir.starts_with(tasks) && dir.ends_with("fd"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_names_a_descriptor() {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("out");
        std::os::unix::fs::symlink("/proc/self/fd/7", &link).unwrap();
        let own = format!("/proc/{}/fd/2", std::process::id());
        for (path, found) in [
            ("/dev/stdout", Some(1)),
            ("/dev/fd/3", Some(3)),
            ("/proc/self/fd/0", Some(0)),
            ("/proc/thread-self/fd/0", Some(0)),
            (&own, Some(2)),
            (link.to_str().unwrap(), Some(7)),
            ("/proc/self/fd/01", None),
            ("/proc/self/fd", None),
            ("/proc/1/fd/1", None),
            ("/dev/null", None),
            ("1", None),
            ("/", None),
        ] {
            assert_eq!(number(Path::new(path)), found, "{path}");
        }
    }
}
