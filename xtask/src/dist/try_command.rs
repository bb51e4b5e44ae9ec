//! Tries the static command in a root with nothing but itself and /proc, and in the roots
//! of `--root`: it copies a tree into an ext4 image and out again.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::begin;
use crate::demo::{compare, quietly, tool, tree};

/// Where all is, in a root: a directory that no system has.
const PLACE: &str = "drupe-dist";

/// Size of the image, in bytes.
const IMAGE_SIZE: u64 = 1 << 30;

/// Tries `program` in an empty root and in each of `roots`.
pub(super) fn run(program: &Path, roots: &[PathBuf]) -> Result<()> {
    let mut steps = begin("the command, in a root with nothing else");
    let empty = tempfile::Builder::new().prefix("drupe-dist-").tempdir()?;
    steps.time("a tree into an ext4 image and out, compared", || {
        try_in(empty.path(), program)
    })?;
    steps.time("names of hosts, without the C library's modules", || {
        names(empty.path(), program)
    })?;
    for root in roots {
        let mut steps = begin(&format!("the command, in {}", root.display()));
        steps.time("a tree into an ext4 image and out, compared", || {
            try_in(root, program)
        })?;
    }
    if roots.is_empty() {
        println!("\nother systems are not tried: --root DIR names one's root file system");
    }
    Ok(())
}

/// Installs the Debian package in those of `roots` that are Debian's, and removes it.
pub(super) fn install(package: &Path, roots: &[PathBuf]) -> Result<()> {
    for root in roots
        .iter()
        .filter(|root| root.join("usr/bin/dpkg").exists())
    {
        let mut steps = begin(&format!("the Debian package, in {}", root.display()));
        let inside = format!("/{PLACE}.deb");
        let copied = root.join(&inside[1..]);
        fs::copy(package, &copied)?;
        let installed = steps.output(in_root(root).args(["dpkg", "--install", &inside]));
        fs::remove_file(copied)?;
        installed?;
        let said = steps.output(in_root(root).args(["drupe", "--version"]))?;
        steps.note(said.trim());
        steps.run(in_root(root).args(["dpkg", "--purge", "drupe"]))?;
    }
    Ok(())
}

fn try_in(root: &Path, program: &Path) -> Result<()> {
    let place = root.join(PLACE);
    fs::create_dir_all(root.join("proc"))?;
    fs::create_dir(&place).with_context(|| place.display().to_string())?;
    let outcome = copies(root, &place, program);
    fs::remove_dir_all(&place)?;
    outcome
}

fn copies(root: &Path, place: &Path, program: &Path) -> Result<()> {
    fs::copy(program, place.join("drupe"))?;
    tree::make(&place.join("tree"))?;
    let image = place.join("disk.img");
    fs::File::create(&image)?.set_len(IMAGE_SIZE)?;
    quietly(tool("mkfs.ext4").arg("-q").arg(&image))?;
    let inside = |path: &str| format!("/{PLACE}/{path}");
    let (tree, out) = (inside("tree"), inside("out"));
    let (to, from) = (inside("disk.img:/"), inside("disk.img:/tree"));
    fs::create_dir(place.join("out"))?;
    let version = quietly(in_root(root).args([inside("drupe").as_str(), "--version"]))?;
    if !version.contains("(Linux 6.12.") {
        bail!("drupe --version says {version:?}");
    }
    let copy = ["--quiet", "cp", "-a"];
    quietly(
        in_root(root)
            .arg(inside("drupe"))
            .args(copy)
            .args([tree, to]),
    )?;
    quietly(
        in_root(root)
            .arg(inside("drupe"))
            .args(copy)
            .args([from, out]),
    )?;
    compare::compare(&place.join("tree"), &place.join("out/tree"))?;
    quietly(tool("e2fsck").arg("-fn").arg(&image)).map(drop)
}

/// A name of `/etc/hosts` is found, whatever else nsswitch.conf(5) wants to be asked.
fn names(root: &Path, program: &Path) -> Result<()> {
    let etc = root.join("etc");
    fs::create_dir(&etc)?;
    fs::write(etc.join("hosts"), "127.0.0.1 disks.test\n")?;
    fs::write(etc.join("nsswitch.conf"), "hosts: mdns4 nosuchmodule\n")?;
    fs::copy(program, root.join("drupe"))?;
    // Nobody listens at port 1: a name that was found is refused a connection.
    let output = in_root(root)
        .args(["/drupe", "info", "nbd://disks.test:1/disk"])
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !said.contains("onnection refused") {
        bail!("the name of a host was not found: {said}");
    }
    Ok(())
}

/// A command whose root is `root`, with /proc of its own and next to no environment.
fn in_root(root: &Path) -> Command {
    let is_root = fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0);
    let mut command = Command::new("unshare");
    if !is_root {
        command.arg("--map-root-user");
    }
    // Extended attributes of the host's files are reached through /proc/self/fd.
    command.args(["--mount", "--pid", "--fork", "--root"]);
    command.arg(root).args(["--mount-proc", "--"]);
    let path = OsStr::new("/usr/sbin:/usr/bin:/sbin:/bin");
    command.env_clear().env("PATH", path);
    command
}
