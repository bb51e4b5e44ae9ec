//! Packages the crates (`crates/*.crate`), and makes a registry of them and all their
//! dependencies (`registry`, a directory source of cargo).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::{Dist, begin, sha256, stage};
use crate::demo::quietly;
use crate::run::cargo;

/// Limit of a `.crate` in bytes, as on crates.io.
const MAX_SIZE: u64 = 10 << 20;

/// Makes `crates` and `registry`.
pub(super) fn make(dist: &Dist) -> Result<()> {
    let mut steps = begin("crates");
    let stage = steps.time("copy the workspace, compress the image", || {
        stage::make(dist)
    })?;
    let names = published(&stage)?;
    let packages = steps.time("package", || package(dist, &stage, &names))?;
    steps.note(&format!(
        "{} crates, {}",
        packages.len(),
        largest(&packages)?
    ));
    let registry = dist.fresh("registry")?;
    steps.time("copy what they use", || {
        let mut vendor = cargo();
        vendor.args(["vendor", "--locked", "--quiet", "--versioned-dirs"]);
        quietly(vendor.arg(&registry).current_dir(&stage)).map(drop)
    })?;
    steps.time("add them to the registry", || {
        packages
            .iter()
            .try_for_each(|package| add(package, &registry))
    })
}

/// The crates of the workspace that are published.
fn published(stage: &Path) -> Result<Vec<String>> {
    let arguments = ["metadata", "--format-version=1", "--no-deps"];
    let metadata = quietly(cargo().args(arguments).current_dir(stage))?;
    let metadata: Value = serde_json::from_str(&metadata).context("cargo metadata")?;
    let packages = metadata["packages"].as_array().context("no packages")?;
    let published = packages
        .iter()
        .filter(|package| package["publish"].is_null());
    let names = published.filter_map(|package| Some(package["name"].as_str()?.to_owned()));
    Ok(names.collect())
}

/// Packages the crates with cargo. Returns the paths of the packages.
fn package(dist: &Dist, stage: &Path, names: &[String]) -> Result<Vec<PathBuf>> {
    let target = dist.out.join("build/package");
    // What an earlier run has left is another one's.
    if target.exists() {
        fs::remove_dir_all(&target)?;
    }
    let mut command = cargo();
    // Not built here: a project that uses them is (try_crates).
    command.args([
        "package",
        "--locked",
        "--no-verify",
        "--allow-dirty",
        "--quiet",
    ]);
    for name in names {
        command.args(["--package", name]);
    }
    quietly(
        command
            .arg("--target-dir")
            .arg(dist.out.join("build"))
            .current_dir(stage),
    )?;
    let crates = dist.fresh("crates")?;
    let mut packages = Vec::new();
    for name in names {
        let file = format!("{name}-{}.crate", dist.version);
        let package = crates.join(&file);
        stage::copy(&target.join(&file), &package)?;
        packages.push(package);
    }
    Ok(packages)
}

/// Names the largest package; fails if it is too large.
fn largest(packages: &[PathBuf]) -> Result<String> {
    let mut largest = (0, "none".to_owned());
    for package in packages {
        let name = package.file_name().unwrap_or_default().to_string_lossy();
        largest = largest.max((fs::metadata(package)?.len(), name.into_owned()));
    }
    let (size, name) = largest;
    if size > MAX_SIZE {
        bail!("{name} has {size} bytes, and a registry takes {MAX_SIZE}");
    }
    Ok(format!(
        "the largest is {name}: {:.1} MiB",
        size as f64 / f64::from(1 << 20)
    ))
}

/// Unpacks a package into a directory source, with the file that makes it part of one.
fn add(package: &Path, registry: &Path) -> Result<()> {
    quietly(
        Command::new("tar")
            .arg("-xzf")
            .arg(package)
            .arg("-C")
            .arg(registry),
    )?;
    let name = package.file_stem().unwrap_or_default();
    let checksum = json!({ "files": {}, "package": sha256(package)? });
    fs::write(
        registry.join(name).join(".cargo-checksum.json"),
        checksum.to_string(),
    )?;
    Ok(())
}
