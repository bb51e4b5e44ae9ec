//! `capi`: builds and installs libdrupe for C: libraries, headers, drupe.pc.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::run::{cargo, output, root, run as run_command};

const USAGE: &str = "usage: cargo xtask capi [--dev] PREFIX";

pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let (release, prefix) = match arguments {
        [prefix] if !prefix.starts_with('-') => (true, prefix),
        [dev, prefix] if dev == "--dev" => (false, prefix),
        _ => bail!(USAGE),
    };
    install(release, &std::path::absolute(prefix)?)
}

/// Builds libdrupe and installs it below `prefix`. Files that are the same already are
/// left; others are replaced atomically, for programs that have them loaded.
pub(crate) fn install(release: bool, prefix: &Path) -> Result<()> {
    let profile = if release { "release" } else { "dev" };
    run_command(
        cargo()
            .args(["build", "--package", "drupe-capi", "--lib", "--locked"])
            .args(["--profile", profile]),
    )?;
    let metadata = output(cargo().args(["metadata", "--format-version=1", "--no-deps"]))?;
    let metadata: Value = serde_json::from_str(&metadata).context("cargo metadata")?;
    let target = metadata["target_directory"].as_str();
    let built = Path::new(target.context("no target directory")?);
    let built = built.join(if release { "release" } else { "debug" });
    let version = version(&metadata).context("drupe-capi has no version")?;

    let [lib, include] = ["lib", "include"].map(|name| prefix.join(name));
    let pkgconfig = lib.join("pkgconfig");
    for dir in [&include, &pkgconfig] {
        fs::create_dir_all(dir).with_context(|| dir.display().to_string())?;
    }
    let capi = root().join("crates/capi");
    let real = format!("libdrupe.so.{version}");
    let soname = match version.rsplit_once('.') {
        Some((minor, _)) => format!("libdrupe.so.{minor}"),
        None => bail!("{version} is no version"),
    };
    copy(&built.join("libdrupe.so"), &lib.join(&real), release)?;
    link(&real, &lib.join(&soname))?;
    link(&soname, &lib.join("libdrupe.so"))?;
    copy(&built.join("libdrupe.a"), &lib.join("libdrupe.a"), release)?;
    for header in ["drupe.h", "drupe_nr.h"] {
        copy(
            &capi.join("include").join(header),
            &include.join(header),
            false,
        )?;
    }
    let template = fs::read_to_string(capi.join("drupe.pc.in")).context("drupe.pc.in")?;
    let text = template.replace("@VERSION@", &version);
    let pc = pkgconfig.join("drupe.pc");
    replace(&pc, |new| fs::write(new, &text)).with_context(|| pc.display().to_string())
}

fn version(metadata: &Value) -> Option<String> {
    let mut packages = metadata["packages"].as_array()?.iter();
    let package = packages.find(|package| package["name"] == "drupe-capi")?;
    Some(package["version"].as_str()?.to_owned())
}

/// Makes a file under a temporary name, and renames it.
fn replace(to: &Path, make: impl FnOnce(&Path) -> io::Result<()>) -> io::Result<()> {
    let mut new = to.as_os_str().to_owned();
    new.push(".new");
    let new = PathBuf::from(new);
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    make(&new)?;
    fs::rename(&new, to)
}

/// Copies a file, unless the target has the source's time, and so was copied before. With
/// `strip`, leaves out debug information, which is most of a library.
fn copy(from: &Path, to: &Path, strip: bool) -> Result<()> {
    let modified = |path: &Path| path.metadata()?.modified();
    let wanted = modified(from).with_context(|| from.display().to_string())?;
    if modified(to).is_ok_and(|there| there == wanted) {
        return Ok(());
    }
    let make = |new: &Path| {
        fs::copy(from, new)?;
        if strip {
            let stripped = Command::new("strip")
                .arg("--strip-debug")
                .arg(new)
                .status()?;
            if !stripped.success() {
                return Err(io::Error::other(format!("strip: {stripped}")));
            }
        }
        let file = fs::File::options().write(true).open(new)?;
        file.set_modified(wanted)
    };
    replace(to, make).with_context(|| to.display().to_string())
}

fn link(target: &str, link: &Path) -> Result<()> {
    replace(link, |new| symlink(target, new)).with_context(|| link.display().to_string())
}
