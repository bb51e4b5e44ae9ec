//! Images for the tests, made and checked by the filesystems' own tools.

use std::error::Error;
use std::path::Path;
use std::process::Command;

use tempfile::NamedTempFile;

/// Runs a tool; its output is in the error.
pub(crate) fn run(command: &mut Command) -> Result<String, Box<dyn Error>> {
    let output = command
        .output()
        .map_err(|error| format!("{command:?}: {error}; is it installed?"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(text);
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    Err(format!("{command:?}: {}\n{text}{errors}", output.status).into())
}

/// An empty file of `size` bytes.
pub(crate) fn empty(size: u64) -> Result<NamedTempFile, Box<dyn Error>> {
    let image = NamedTempFile::new()?;
    image.as_file().set_len(size)?;
    Ok(image)
}

/// A fresh ext4 filesystem of `size` bytes.
pub(crate) fn ext4(size: u64) -> Result<NamedTempFile, Box<dyn Error>> {
    let image = empty(size)?;
    run(Command::new("mkfs.ext4").arg("-q").arg(image.path()))?;
    Ok(image)
}

/// Clean, by the word of e2fsck.
pub(crate) fn check_ext4(image: &Path) -> Result<(), Box<dyn Error>> {
    run(Command::new("e2fsck").arg("-fn").arg(image)).map(drop)
}
