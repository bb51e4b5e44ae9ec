//! Makes the tarball of the libraries for C: libdrupe and liblkl, their headers and
//! pkg-config files.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use super::{Dist, begin, command, licences, origin, pack, stage};
use crate::demo::quietly;
use crate::run::root;

/// Makes the tarball. Returns its path.
pub(super) fn make(dist: &Dist) -> Result<PathBuf> {
    let mut steps = begin("the libraries for C");
    let name = format!("drupe-c-{}-x86_64-linux", dist.version);
    let top = dist.fresh("build/c")?;
    let tree = top.join(&name);
    for task in ["capi", "lkl"] {
        steps.time(&format!("compile and install: {task}"), || {
            // A process of its own: these are settings of all that cargo does.
            let flags = command::remapped().join("\x1f");
            let mut install = Command::new(std::env::current_exe()?);
            install.arg(task).arg(&tree).current_dir(root());
            install.env("CARGO_TARGET_DIR", dist.out.join("build/libraries"));
            install.env("CARGO_ENCODED_RUSTFLAGS", flags);
            install.env("SOURCE_DATE_EPOCH", &dist.epoch);
            quietly(&mut install).map(drop)
        })?;
    }
    for file in ["LICENSE", "docs/c.md", "docs/lkl.md"] {
        let file = root().join(file);
        let to = tree.join(file.file_name().unwrap_or_default());
        stage::copy(&file, &to)?;
    }
    let packages = ["drupe-capi", "drupe-lkl"];
    let text = licences::text(command::TARGET, &packages)?;
    fs::write(tree.join("licences.txt"), text)?;
    let text = origin::text(dist, &pack::port(dist))?;
    fs::write(tree.join("SOURCE.md"), text)?;
    let tarball = dist.out.join(format!("{name}.tar.gz"));
    steps.time("pack", || {
        pack::pack(dist, &top, std::slice::from_ref(&name), None, &tarball)
    })?;
    let size = fs::metadata(&tarball)?.len() as f64 / f64::from(1 << 20);
    steps.note(&format!("{name}.tar.gz, {size:.1} MiB"));
    Ok(tarball)
}
