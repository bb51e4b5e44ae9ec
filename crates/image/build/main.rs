//! Puts the kernel image and its version into `OUT_DIR`, from where `src/embed.rs` embeds
//! them.
//!
//! The image comes from the first of these that applies:
//! 1. the file that `DRUPE_IMAGE` names;
//! 2. with `DRUPE_BUILD_KERNEL=1`, one that `drupe-kbuild` builds from a Linux source,
//!    or has in its cache;
//! 3. the one that a published crate carries, compressed ([`carried`]);
//! 4. in a checkout, which carries none, `drupe-kbuild` as in 2.

mod carried;
mod terminal;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use drupe_kbuild::{Digest, Flavour, Image, Kbuild};
use terminal::Terminal;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// What precedes the version in a kernel's banner, `linux_banner`.
const BANNER: &[u8] = b"Linux version ";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error
                .to_string()
                .lines()
                .for_each(|line| println!("cargo::error={line}"));
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    for variable in [
        "DRUPE_IMAGE",
        "DRUPE_BUILD_KERNEL",
        "DRUPE_LINUX_SOURCE",
        "DRUPE_CACHE",
        "DRUPE_FLAVOUR",
        "DOCS_RS",
    ] {
        println!("cargo::rerun-if-env-changed={variable}");
    }
    rerun_if_changed(Path::new("build"));
    let own = variable("CARGO_MANIFEST_DIR")?;
    let image = variable("OUT_DIR")?.join("image.elf");
    let carried = own.join(carried::DIRECTORY);
    if let Some(named) = Image::from_env()? {
        rerun_if_changed(&named.image);
        fs::copy(&named.image, &image)?;
    } else if carried.exists() && !wants_build()? {
        rerun_if_changed(&carried);
        refuse_ignored("DRUPE_LINUX_SOURCE", "")?;
        refuse_ignored("DRUPE_FLAVOUR", Flavour::MMU.name())?;
        carried::unpack(&carried, &image)?;
    } else if env::var_os("DOCS_RS").is_some() {
        // Documentation needs no kernel. What is built so cannot boot one.
        fs::write(&image, "")?;
    } else {
        let overlay = overlay(&own)?;
        rerun_if_changed(&overlay.join("arch/drupe"));
        fs::copy(build(&overlay)?.image, &image)?;
    }
    fs::write(image.with_extension("id"), Digest::of_file(&image)?.bytes())?;
    let version = version(&fs::read(&image)?);
    fs::write(image.with_extension("version"), version)?;
    Ok(())
}

/// Whether `DRUPE_BUILD_KERNEL` asks for a build although an image is carried.
fn wants_build() -> Result<bool> {
    let value = env::var_os("DRUPE_BUILD_KERNEL").unwrap_or_default();
    match value.to_str() {
        Some("" | "0") => Ok(false),
        Some("1") => Ok(true),
        _ => Err(format!("DRUPE_BUILD_KERNEL is {value:?}; set it to 1, or unset it").into()),
    }
}

/// Fails if the environment variable `name` asks for something else than the carried
/// image, which is `default`.
fn refuse_ignored(name: &str, default: &str) -> Result<()> {
    match env::var_os(name) {
        Some(value) if !value.is_empty() && value != default => Err(format!(
            "{name} is set, but the kernel image of this package is compiled already; \
             set DRUPE_BUILD_KERNEL=1 to build one, or unset {name}"
        )
        .into()),
        _ => Ok(()),
    }
}

/// The architecture port: in the package, or in the checkout.
fn overlay(own: &Path) -> Result<PathBuf> {
    let packaged = own.join("kernel");
    if packaged.exists() {
        return Ok(packaged);
    }
    Ok(own.join("../../kernel").canonicalize()?)
}

/// The version in a kernel's banner; empty if there is no banner.
fn version(image: &[u8]) -> String {
    let mut banners = image
        .windows(BANNER.len())
        .enumerate()
        .filter(|(_, bytes)| *bytes == BANNER)
        .map(|(start, _)| &image[start + BANNER.len()..])
        // The same words precede a %s elsewhere.
        .filter(|rest| rest.first().is_some_and(u8::is_ascii_digit));
    let version = banners.next().unwrap_or_default();
    let end = version.iter().position(|&byte| byte == b' ').unwrap_or(0);
    String::from_utf8_lossy(&version[..end]).into_owned()
}

fn build(overlay: &Path) -> Result<Image> {
    let kbuild = Kbuild::from_env(overlay, Flavour::from_env()?)?;
    let source = kbuild.source().path();
    if source.is_file() {
        rerun_if_changed(source);
    }
    // What cargo was told with --jobs.
    let jobs = env::var("NUM_JOBS").ok().and_then(|jobs| jobs.parse().ok());
    let kbuild = match jobs {
        Some(jobs) => kbuild.jobs(jobs),
        None => kbuild,
    };
    let mut terminal = Terminal::open();
    Ok(kbuild.image(&mut |progress| terminal.show(progress))?)
}

fn variable(name: &str) -> Result<PathBuf> {
    Ok(env::var_os(name)
        .ok_or_else(|| format!("{name} is not set; run this with cargo"))?
        .into())
}

fn rerun_if_changed(path: &Path) {
    println!("cargo::rerun-if-changed={}", path.display());
}
