//! `dist --check`: builds the kernel image again, in another directory, with another user
//! name, umask and time, and compares the bytes.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use drupe_kbuild::{Flavour, Kbuild};

use super::{begin, sha256};
use crate::demo::quietly;
use crate::kernel;
use crate::run::root;

/// Builds twice, unless the first is in the cache, and compares.
pub(super) fn run() -> Result<()> {
    let mut steps = begin("can the kernel image be made again?");
    let kbuild = Kbuild::from_env(&kernel::overlay(), Flavour::MMU)?;
    let first = steps.time("the image, built or cached", || {
        Ok(kbuild.image(&mut |_| {})?)
    })?;
    let place = tempfile::Builder::new()
        .prefix("another-place-")
        .tempdir()?;
    let cache = place.path().join("a/longer/path/of/a/cache");
    let second = steps.time("the same, elsewhere", || elsewhere(&cache))?;
    let (first, second) = (sha256(&first.image)?, sha256(&second)?);
    steps.note(&first);
    if first != second {
        bail!("the other image is {second}: two builds of one source differ");
    }
    Ok(())
}

/// Builds with a separate cache. Returns the image's path.
fn elsewhere(cache: &Path) -> Result<std::path::PathBuf> {
    // Of its own, so that the source is unpacked there too, with that umask.
    let own = std::env::current_exe().context("where is this program?")?;
    quietly(
        Command::new("sh")
            .args(["-c", "umask 077; exec \"$0\" kernel"])
            .arg(own)
            .env("DRUPE_CACHE", cache)
            .env("HOME", cache.parent().unwrap_or(cache))
            .env("TMPDIR", cache.parent().unwrap_or(cache))
            .env("USER", "somebody")
            .env("LOGNAME", "somebody")
            .env("TZ", "Pacific/Chatham")
            .current_dir(root()),
    )?;
    let images = cache.join("images");
    let mut found = fs::read_dir(&images).with_context(|| images.display().to_string())?;
    let directory = found.next().context("nothing was built")??.path();
    Ok(directory.join("image.elf"))
}
