//! The wheel for Python: the module, its sources and the command. It is for all versions
//! from 3.11 on (`abi3`), on any Linux whose C library is as new as this machine's.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::{Dist, begin, command, licences, origin, pack, stage, try_python};
use crate::demo::quietly;
use crate::run::{cargo, root};
use crate::setup;

/// What builds it. The same is in `pyproject.toml`.
const MATURIN: &str = "maturin>=1.9,<2";

/// How it is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Profile {
    /// As it is given away: optimised, the command static.
    Release,
    /// Quickly, of what was built for tests.
    Dev,
}

/// `cargo xtask python`.
pub(crate) fn run(profile: Profile, testing: bool) -> Result<()> {
    setup::install(&setup::everything()?)?;
    let wheel = make(&Dist::new()?, profile)?;
    if testing {
        try_python::run(&wheel, &try_python::all()?, try_python::Depth::Full)?;
    }
    println!("\n{}", wheel.display());
    Ok(())
}

/// The quick build, tried with one Python.
pub(crate) fn quick() -> Result<()> {
    let wheel = make(&Dist::new()?, Profile::Dev)?;
    let pythons = try_python::all()?;
    try_python::run(&wheel, &pythons[..1], try_python::Depth::Tests)
}

/// Makes the wheel; where it is.
pub(super) fn make(dist: &Dist, profile: Profile) -> Result<PathBuf> {
    let mut steps = begin("the wheel for Python");
    let program = steps.time("compile the command", || compile(dist, profile))?;
    let package = root().join("crates/python");
    fill(dist, &package, &program)?;
    let maturin = steps.time("get maturin", || maturin(dist))?;
    // Quick ones are not to be given away.
    let out = match profile {
        Profile::Release => dist.out.clone(),
        Profile::Dev => dist.out.join("build/wheels"),
    };
    fs::create_dir_all(&out)?;
    for old in wheels(&out)? {
        fs::remove_file(old)?;
    }
    steps.time("compile the module, and pack", || {
        let mut build = Command::new(&maturin);
        build
            .args(["build", "--locked", "--out"])
            .arg(&out)
            .env("SOURCE_DATE_EPOCH", &dist.epoch)
            .current_dir(&package);
        match profile {
            Profile::Release => build
                .args(["--release", "--target-dir"])
                .arg(dist.out.join("build"))
                .env("CARGO_ENCODED_RUSTFLAGS", command::remapped().join("\x1f")),
            Profile::Dev => build.args(["--profile", "dev"]),
        };
        quietly(&mut build)
    })?;
    let mut made = wheels(&out)?;
    let wheel = made.pop().context("maturin has made no wheel")?;
    let size = fs::metadata(&wheel)?.len() as f64 / f64::from(1 << 20);
    let name = wheel.file_name().unwrap_or_default().to_string_lossy();
    steps.note(&format!("{name}, {size:.1} MiB"));
    Ok(wheel)
}

/// The command.
fn compile(dist: &Dist, profile: Profile) -> Result<PathBuf> {
    if profile == Profile::Release {
        return command::compile(dist);
    }
    quietly(
        cargo()
            .args(["build", "--locked", "--package", "drupe-cli"])
            .current_dir(root()),
    )?;
    let stripped = dist.out.join("build/drupe-dev");
    fs::create_dir_all(stripped.parent().context("a file without a directory")?)?;
    quietly(
        Command::new("strip")
            .arg("-o")
            .arg(&stripped)
            .arg(root().join("target/debug/drupe")),
    )?;
    Ok(stripped)
}

/// Puts beside the sources what goes into the wheel with them (`pyproject.toml`).
fn fill(dist: &Dist, package: &Path, program: &Path) -> Result<()> {
    let scripts = package.join("data/scripts");
    let legal = package.join("legal");
    fs::create_dir_all(&scripts)?;
    fs::create_dir_all(&legal)?;
    stage::copy(program, &scripts.join("drupe"))?;
    let linked = licences::text(command::TARGET, &["drupe-cli", "drupe-python"])?;
    fs::write(legal.join("licences.txt"), linked)?;
    fs::write(
        legal.join("SOURCE.md"),
        origin::text(dist, &pack::port(dist))?,
    )?;
    Ok(())
}

/// maturin, in a virtual environment of its own.
fn maturin(dist: &Dist) -> Result<PathBuf> {
    let pythons = try_python::all()?;
    let venv = dist.out.join("build/maturin");
    let maturin = venv.join("bin/maturin");
    if !maturin.exists() {
        try_python::venv(&pythons[0].program, &venv)?;
        let pip = ["-m", "pip", "install", "--quiet", MATURIN];
        quietly(Command::new(venv.join("bin/python")).args(pip))?;
    }
    if !maturin.exists() {
        bail!("pip has installed no maturin");
    }
    Ok(maturin)
}

fn wheels(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "whl") {
            found.push(path);
        }
    }
    Ok(found)
}
