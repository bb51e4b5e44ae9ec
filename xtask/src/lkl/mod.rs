//! `lkl`: the interface of the Linux Kernel Library, built and installed: libraries,
//! `lkl.h` and its neighbours, `lkl.pc`, and the kernel's headers with LKL's prefixes.
//!
//! [`headers`] makes the latter from what the kernel installs for user programs, with
//! [`words`], which knows C well enough for that, and [`calls`], the system calls.

mod calls;
mod headers;
mod words;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use drupe_kbuild::{Flavour, Kbuild};

use crate::capi::{Library, write};
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
    install_headers(&prefix.join("include/lkl"))
}

/// Makes the prefixed headers. What is there already, and the same, is left alone.
fn install_headers(dir: &Path) -> Result<()> {
    let kbuild = Kbuild::from_env(&overlay(), Flavour::named("mmu")?)?;
    let mut line = Line::new();
    let prepared = kbuild.prepare("headers", &mut |progress| line.show(progress))?;
    prepared.make("headers.log", &["headers"], &mut |progress| {
        line.show(progress);
    })?;
    drop(line);
    let headers = headers(&Sources {
        kernel: prepared.build().join("usr/include"),
        own: root().join("crates/lkl/uapi"),
        tree: prepared.shadow().to_owned(),
    })?;
    for (path, text) in &headers {
        let file = dir.join(path);
        if fs::read_to_string(&file).is_ok_and(|there| there == *text) {
            continue;
        }
        if let Some(parent) = file.parent() {
            fs::create_dir_all(parent).with_context(|| parent.display().to_string())?;
        }
        write(&file, text)?;
    }
    Ok(())
}
