//! `lkl`: the interface of the Linux Kernel Library, built and installed: libraries,
//! `lkl.h` and its neighbours, `lkl.pc`, and the kernel's headers with LKL's prefixes.
//!
//! [`mod@headers`] makes the latter from what the kernel installs for user programs, with
//! [`words`], which knows C well enough for that, and [`calls`], the system calls.

mod calls;
mod headers;
mod words;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use drupe_kbuild::{Flavour, Kbuild};

use crate::capi::{Library, metadata, target, write};
use crate::kernel::overlay;
use crate::progress::Line;
use crate::run::root;
use headers::{Sources, headers};

const USAGE: &str = "usage: cargo xtask lkl [--dev] PREFIX";

pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let (release, prefix) = match arguments {
        [prefix] if !prefix.starts_with('-') => (true, prefix),
        [dev, prefix] if dev == "--dev" => (false, prefix),
        _ => bail!(USAGE),
    };
    let prefix = std::path::absolute(prefix)?;
    let library = Library {
        package: "drupe-lkl",
        name: "lkl",
        folder: "crates/lkl",
        headers: &["lkl.h", "lkl_host.h", "lkl_autoconf.h", "lkl_config.h"],
    };
    library.install(release, &prefix)?;
    let made = made_headers()?;
    copy_all(&made, &prefix.join("include/lkl"))
}

/// Where the prefixed headers are, made again if anything that they are made from has
/// changed: it takes seconds.
fn made_headers() -> Result<PathBuf> {
    let kbuild = Kbuild::from_env(&overlay(), Flavour::named("mmu")?)?;
    let source = kbuild.source().path();
    if !source.exists() {
        bail!(
            "{}: the headers are made from the kernel's source, which is not there; \
             `cargo xtask setup` installs it, and DRUPE_LINUX_SOURCE names another one",
            source.display()
        );
    }
    let made = target(&metadata()?)?.join("lkl");
    let own = root().join("crates/lkl/uapi");
    let stamp = made.join("made-from");
    let program = std::env::current_exe().context("the path of this program")?;
    let from = states(&[source, &overlay(), &own, &program])?;
    let headers = made.join("headers");
    if fs::read_to_string(&stamp).is_ok_and(|there| there == from) {
        return Ok(headers);
    }
    if headers.exists() {
        fs::remove_dir_all(&headers).with_context(|| headers.display().to_string())?;
    }
    make_headers(&kbuild, &own, &headers)?;
    write(&stamp, &from)?;
    Ok(headers)
}

fn make_headers(kbuild: &Kbuild, own: &Path, to: &Path) -> Result<()> {
    let mut line = Line::new();
    let prepared = kbuild.prepare("headers", &mut |progress| line.show(progress))?;
    prepared.make("headers.log", &["headers"], &mut |progress| {
        line.show(progress);
    })?;
    let headers = headers(&Sources {
        kernel: prepared.build().join("usr/include"),
        own: own.to_owned(),
        tree: prepared.shadow().to_owned(),
    })?;
    for (path, text) in &headers {
        let file = to.join(path);
        if let Some(parent) = file.parent() {
            fs::create_dir_all(parent).with_context(|| parent.display().to_string())?;
        }
        write(&file, text)?;
    }
    Ok(())
}

/// Names, sizes and times of all files in `paths`.
fn states(paths: &[&Path]) -> Result<String> {
    let mut states = Vec::new();
    let mut paths: Vec<PathBuf> = paths.iter().map(|path| path.to_path_buf()).collect();
    while let Some(path) = paths.pop() {
        let failed = || path.display().to_string();
        let found = fs::metadata(&path).with_context(failed)?;
        if found.is_dir() {
            for entry in fs::read_dir(&path).with_context(failed)? {
                paths.push(entry.with_context(failed)?.path());
            }
        } else {
            let modified = found.modified().with_context(failed)?;
            let shown = path.display();
            states.push(format!("{shown} {} {modified:?}\n", found.len()));
        }
    }
    states.sort();
    Ok(states.concat())
}

/// Copies a tree of files. What is there already, and the same, is left alone.
fn copy_all(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| to.display().to_string())?;
    for entry in fs::read_dir(from).with_context(|| from.display().to_string())? {
        let from = entry.with_context(|| from.display().to_string())?.path();
        let Some(name) = from.file_name() else {
            continue;
        };
        let to = to.join(name);
        if from.is_dir() {
            copy_all(&from, &to)?;
            continue;
        }
        let text = fs::read_to_string(&from).with_context(|| from.display().to_string())?;
        if fs::read_to_string(&to).ok().as_ref() != Some(&text) {
            write(&to, &text)?;
        }
    }
    Ok(())
}
