//! Verifies that the kernel's source is unmodified: the tree that is built is the
//! published one, and the overlay only adds to it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::digest::Digest;
use crate::error::{Error, IoContext, Result};
use crate::overlay::Overlay;
use crate::shadow;
use crate::source::Source;
use crate::tree;

/// How many differences an error shows.
const SHOWN: usize = 5;

/// Compares `linux` with `source`, and `shadow` with both; returns how many
/// files of the source were compared.
pub(crate) fn verify(
    source: &Source,
    identity: &Digest,
    linux: &Path,
    shadow: &Path,
    overlay: &Overlay,
) -> Result<usize> {
    let (files, mut differences) = match source {
        Source::Tree(path) => compare_with_identity(path, identity)?,
        Source::Tarball(path) => compare_with_tarball(path, linux)?,
    };
    differences.extend(shadow::differences(shadow, linux, overlay)?);
    if differences.is_empty() {
        return Ok(files);
    }
    let more = differences.len().saturating_sub(SHOWN);
    differences.truncate(SHOWN);
    let mut differences = differences.join("; ");
    if more > 0 {
        differences += &format!("; and {more} more");
    }
    Err(Error::Touched {
        path: linux.to_owned(),
        differences,
    })
}

/// Compares a user's tree with its own remembered hash, since there is no published
/// original.
fn compare_with_identity(path: &Path, identity: &Digest) -> Result<(usize, Vec<String>)> {
    let entries = tree::walk(path)?;
    let same = tree::content(path, &entries)? == *identity;
    let differences = if same {
        None
    } else {
        Some("its content has changed".to_owned())
    };
    Ok((entries.len(), differences.into_iter().collect()))
}

/// Compares names, types, modes, times and contents with tar(1), then looks for files
/// that the tarball does not have.
fn compare_with_tarball(archive: &Path, tree: &Path) -> Result<(usize, Vec<String>)> {
    let output = Command::new("tar")
        .args(["--diff", "--verbose", "--quoting-style=literal"])
        // The archive's top directory is the tree; links point where they did.
        .arg("--transform=s,^[^/]*,.,S")
        .arg("--directory")
        .arg(tree)
        .arg("--file")
        .arg(archive)
        .env("LC_ALL", "C")
        .output()
        .on("compare with tar", archive)?;
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    // Names come one a line, differences as "name: what differs".
    let (differing, names): (Vec<&str>, Vec<&str>) =
        stdout.lines().partition(|line| line.contains(": "));
    let mut differences: Vec<String> = differing
        .into_iter()
        .chain(stderr.lines())
        // Who unpacked it, and under which umask, is no matter of the content.
        .filter(|line| {
            !["Uid differs", "Gid differs", "Mode differs"]
                .iter()
                .any(|d| line.ends_with(d))
        })
        .map(str::to_owned)
        .collect();
    // tar exits with 1 for differences and 2 for anything worse.
    if output.status.code().is_none_or(|code| code > 1) && differences.is_empty() {
        differences.push(format!("tar failed ({})", output.status));
    }
    let published: BTreeSet<PathBuf> = names
        .into_iter()
        .filter(|name| !name.ends_with('/'))
        .filter_map(|name| Some(PathBuf::from(name.split_once('/')?.1)))
        .collect();
    let present = tree::walk(tree)?;
    for entry in present
        .iter()
        .filter(|entry| !published.contains(&entry.relative))
    {
        differences.push(format!(
            "{}: not in {}",
            entry.relative.display(),
            archive.display()
        ));
    }
    if published.is_empty() {
        differences.push(format!("{} has no files", archive.display()));
    }
    Ok((published.len(), differences))
}

#[cfg(test)]
#[path = "untouched_tests.rs"]
mod tests;
