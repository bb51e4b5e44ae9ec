//! Makes reproducible tarballs: sorted, owned by root, with the time of the commit.
//! [`source`] makes the one of the source.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::{Dist, begin, stage};
use crate::run::root;

/// Where the kernel's port is in the tarball of the source.
pub(super) fn port(dist: &Dist) -> String {
    format!("{}/kernel", source_name(dist))
}

/// What the tarball of the source has in it, and is called after.
fn source_name(dist: &Dist) -> String {
    format!("drupe-{}-source", dist.version)
}

/// Makes the tarball of the source: all of drupe's own, the kernel's port included.
pub(super) fn source(dist: &Dist) -> Result<()> {
    let mut steps = begin("the source");
    let name = source_name(dist);
    let tarball = dist.out.join(format!("{name}.tar.gz"));
    let files = stage::files()?;
    steps.time("pack", || {
        pack(dist, &root(), &files, Some(&name), &tarball)
    })?;
    steps.note(&format!("{name}.tar.gz, {} files", files.len()));
    Ok(())
}

/// Packs `files` of `top`, directories with all that is in them; `beneath` a directory.
pub(super) fn pack(
    dist: &Dist,
    top: &Path,
    files: &[String],
    beneath: Option<&str>,
    tarball: &Path,
) -> Result<()> {
    let mut tar = Command::new("tar");
    tar.args(["--create", "--sort=name", "--format=gnu", "--owner=0"]);
    tar.args(["--group=0", "--numeric-owner", "--mode=u+rw,go=rX"]);
    tar.arg(format!("--mtime=@{}", dist.epoch));
    if let Some(directory) = beneath {
        // Not what symbolic links say.
        tar.arg(format!("--transform=s,^,{directory}/,rhS"));
    }
    tar.arg("--directory").arg(top);
    tar.args(["--null", "--verbatim-files-from", "--files-from=-"]);
    tar.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut tar = tar.spawn()?;
    let packed = tar.stdout.take().context("tar has no output")?;
    let mut gzip = Command::new("gzip");
    // Without a name and a time of its own.
    gzip.args(["-9", "--no-name"]);
    gzip.stdin(packed).stdout(File::create(tarball)?);
    let mut gzip = gzip.spawn()?;
    let mut list = tar.stdin.take().context("tar has no input")?;
    for file in files {
        list.write_all(file.as_bytes())?;
        list.write_all(b"\0")?;
    }
    drop(list);
    let (tar, gzip) = (tar.wait()?, gzip.wait()?);
    if !gzip.success() || !tar.success() {
        let name = tarball.display();
        bail!("tar ({tar}) or gzip ({gzip}) failed for {name}");
    }
    Ok(())
}
