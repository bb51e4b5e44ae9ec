//! `capi`: builds and installs libdrupe for C: libraries, headers, drupe.pc.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

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
    let capi = Library {
        package: "drupe-capi",
        name: "drupe",
        folder: "crates/capi",
        headers: &["drupe.h", "drupe_nr.h"],
    };
    capi.install(release, prefix)
}

/// A library for C: a crate, with its headers in `include` and a template of its
/// pkg-config file.
pub(crate) struct Library {
    pub(crate) package: &'static str,
    /// "drupe" of libdrupe.so.
    pub(crate) name: &'static str,
    /// From the root of the project.
    pub(crate) folder: &'static str,
    pub(crate) headers: &'static [&'static str],
}

impl Library {
    /// Builds the library and installs it beneath `prefix`. What is there already, and the
    /// same, is left alone; what is not is replaced in one step, for programs that have it
    /// loaded.
    pub(crate) fn install(&self, release: bool, prefix: &Path) -> Result<()> {
        let profile = if release { "release" } else { "dev" };
        run_command(
            cargo()
                .args(["build", "--package", self.package, "--lib", "--locked"])
                .args(["--profile", profile]),
        )?;
        let metadata = metadata()?;
        let built = target(&metadata)?.join(if release { "release" } else { "debug" });
        let version = version(&metadata, self.package)
            .with_context(|| format!("{} has no version", self.package))?;

        let [lib, include] = ["lib", "include"].map(|name| prefix.join(name));
        let pkgconfig = lib.join("pkgconfig");
        for dir in [&include, &pkgconfig] {
            fs::create_dir_all(dir).with_context(|| dir.display().to_string())?;
        }
        let folder = root().join(self.folder);
        let [shared, archive] = ["so", "a"].map(|kind| format!("lib{}.{kind}", self.name));
        let real = format!("{shared}.{version}");
        let soname = match version.rsplit_once('.') {
            Some((minor, _)) => format!("{shared}.{minor}"),
            None => bail!("{version} is no version"),
        };
        copy(&built.join(&shared), &lib.join(&real), |new| {
            if release { strip(new) } else { Ok(()) }
        })?;
        link(&real, &lib.join(&soname))?;
        link(&soname, &lib.join(&shared))?;
        copy(&built.join(&archive), &lib.join(&archive), |new| {
            if release {
                strip(new)?;
            }
            own_names(new, self.name)
        })?;
        for header in self.headers {
            let from = folder.join("include").join(header);
            copy(&from, &include.join(header), |_| Ok(()))?;
        }
        let pc = format!("{}.pc", self.name);
        let template = fs::read_to_string(folder.join(format!("{pc}.in"))).context(pc.clone())?;
        let text = template.replace("@VERSION@", &version);
        write(&pkgconfig.join(pc), &text)
    }
}

/// What cargo knows of this project.
pub(crate) fn metadata() -> Result<Value> {
    let metadata = output(cargo().args(["metadata", "--format-version=1", "--no-deps"]))?;
    serde_json::from_str(&metadata).context("cargo metadata")
}

/// Where cargo puts what it builds.
pub(crate) fn target(metadata: &Value) -> Result<PathBuf> {
    let target = metadata["target_directory"].as_str();
    Ok(target.context("no target directory")?.into())
}

fn version(metadata: &Value, package: &str) -> Option<String> {
    let mut packages = metadata["packages"].as_array()?.iter();
    let package = packages.find(|found| found["name"] == package)?;
    Some(package["version"].as_str()?.to_owned())
}

/// Writes a file atomically.
pub(crate) fn write(path: &Path, text: &str) -> Result<()> {
    replace(path, |new| fs::write(new, text)).with_context(|| path.display().to_string())
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

/// Leaves out debug information, which is most of a library.
fn strip(library: &Path) -> io::Result<()> {
    tool(Command::new("strip").arg("--strip-debug").arg(library)).map(drop)
}

/// Gives the C libraries in an archive names of their own: a program may have the same
/// library, zstd for example, from elsewhere.
///
/// `name` is the library's: what begins with it is its interface.
fn own_names(archive: &Path, name: &str) -> io::Result<()> {
    let nm = ["--extern-only", "--defined-only", "--format=posix"];
    let output = tool(Command::new("nm").args(nm).arg(archive))?;
    let mut names = BTreeSet::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        // A name and a type; other lines are about the archive's members.
        let mut words = line.split(' ');
        if let (Some(symbol), Some(kind)) = (words.next(), words.next())
            && kind.len() == 1
            && is_of_c(symbol)
            && !symbol.starts_with(&format!("{name}_"))
        {
            names.insert(symbol.to_owned());
        }
    }
    let mut list = tempfile::NamedTempFile::new()?;
    for symbol in names {
        writeln!(list, "{symbol} {name}__{symbol}")?;
    }
    let objcopy = ["--enable-deterministic-archives", "--redefine-syms"];
    tool(
        Command::new("objcopy")
            .args(objcopy)
            .arg(list.path())
            .arg(archive),
    )
    .map(drop)
}

/// Whether a symbol may be of a C library. Rust's own have dots, or begin with `_` or
/// `rust_`, and so do those of the compiler's library.
fn is_of_c(symbol: &str) -> bool {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    symbol.chars().all(is_word) && !symbol.starts_with('_') && !symbol.starts_with("rust_")
}

fn tool(command: &mut Command) -> io::Result<Output> {
    let output = command.output()?;
    match output.status.success() {
        true => Ok(output),
        false => {
            let text = String::from_utf8_lossy(&output.stderr);
            let message = format!("{command:?}: {}: {text}", output.status);
            Err(io::Error::other(message))
        }
    }
}

/// Copies a file, and changes the copy with `change`, unless the target has the source's
/// time, and so was made before.
fn copy(from: &Path, to: &Path, change: impl Fn(&Path) -> io::Result<()>) -> Result<()> {
    let modified = |path: &Path| path.metadata()?.modified();
    let wanted = modified(from).with_context(|| from.display().to_string())?;
    if modified(to).is_ok_and(|there| there == wanted) {
        return Ok(());
    }
    let make = |new: &Path| {
        fs::copy(from, new)?;
        change(new)?;
        let file = fs::File::options().write(true).open(new)?;
        file.set_modified(wanted)
    };
    replace(to, make).with_context(|| to.display().to_string())
}

fn link(target: &str, link: &Path) -> Result<()> {
    replace(link, |new| symlink(target, new)).with_context(|| link.display().to_string())
}
