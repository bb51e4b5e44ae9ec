//! Compiles a prepared tree, and puts the image into the cache.

use std::fs;
use std::path::Path;

use crate::cache::publish;
use crate::elf;
use crate::error::{IoContext, Result};
use crate::prepared::Prepared;
use crate::progress::{Progress, Report};
use crate::toolchain;

/// The names under which an image directory holds its parts.
pub(crate) const IMAGE: &str = "image.elf";
pub(crate) const VMLINUX: &str = "vmlinux";
pub(crate) const CONFIG: &str = "config";

/// Builds `vmlinux`, and publishes it with the stripped image as `directory`.
pub(crate) fn compile(prepared: &Prepared, directory: &Path, report: Report<'_>) -> Result<()> {
    prepared.make("build.log", &["vmlinux"], report)?;
    report(Progress::Linking);
    let scratch = prepared.lock().scratch("image")?;
    let vmlinux = prepared.build().join("vmlinux");
    toolchain::strip(&vmlinux, &scratch.join(IMAGE))?;
    elf::check(&scratch.join(IMAGE))?;
    for (from, to) in [
        (vmlinux, VMLINUX),
        (prepared.build().join(".config"), CONFIG),
    ] {
        fs::copy(&from, scratch.join(to)).on("copy", &from)?;
    }
    publish(&scratch, directory)
}
