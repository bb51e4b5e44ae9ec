//! The filesystems' own tools.

use std::path::Path;
use std::process::Command;

use tempfile::NamedTempFile;

use crate::Result;

/// Where in a command the directory goes that a filesystem is made from, and the image.
pub(crate) const DIRECTORY: &str = "DIR";
pub(crate) const IMAGE: &str = "IMAGE";

/// Runs a command, of words with blanks between; what it printed.
///
/// The image is where `IMAGE` stands, or behind all.
pub(crate) fn run(words: &str, image: &Path, directory: Option<&Path>) -> Result<String> {
    let mut words: Vec<_> = words.split(' ').map(std::ffi::OsStr::new).collect();
    let mut placed = false;
    for word in &mut words {
        if *word == DIRECTORY {
            *word = directory.ok_or("there is no directory")?.as_os_str();
        } else if *word == IMAGE {
            *word = image.as_os_str();
            placed = true;
        }
    }
    if !placed {
        words.push(image.as_os_str());
    }
    let path = std::env::var("PATH").unwrap_or_default();
    // Most are in directories that an ordinary user's PATH lacks; xorriso converts names.
    let output = Command::new("env")
        .arg(format!("PATH={path}:/usr/sbin:/sbin"))
        .args(["LC_ALL=C.UTF-8"])
        .args(&words)
        .output()?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    match output.status.success() {
        true => Ok(said),
        false => Err(format!("{words:?}: {}\n{said}", output.status).into()),
    }
}

/// A sparse file of some MiB.
pub(crate) fn sparse_file(mib: u64) -> Result<NamedTempFile> {
    let image = NamedTempFile::new()?;
    image.as_file().set_len(mib << 20)?;
    Ok(image)
}
