//! Does the wheel work? It is installed with pip into a virtual environment of each Python
//! that there is, and its tests are run there.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::begin;
use crate::demo::quietly;
use crate::run::root;

/// The first version that the wheel is for, and those that are looked for.
const VERSIONS: std::ops::RangeInclusive<u32> = 11..=19;

/// What the tests need besides.
const TESTS: [&str; 2] = ["pytest>=8", "fsspec>=2024.2"];

/// What compares the types that the stubs tell with those that there are.
const TYPES: &str = "mypy>=1.11";

/// How much is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Depth {
    /// The tests.
    Tests,
    /// The types too.
    Full,
}

/// A Python that can make virtual environments.
#[derive(Debug)]
pub(crate) struct Python {
    pub(crate) program: PathBuf,
    /// 3.N.
    minor: u32,
}

/// One Python of each version, those of `PATH` first; pyenv's are found too.
pub(super) fn all() -> Result<Vec<Python>> {
    let mut places: Vec<PathBuf> = env::split_paths(&env::var_os("PATH").unwrap_or_default())
        .filter(|place| !place.ends_with("shims"))
        .collect();
    let pyenv = env::var_os("PYENV_ROOT").map(PathBuf::from);
    let pyenv = pyenv.or_else(|| Some(Path::new(&env::var_os("HOME")?).join(".pyenv")));
    if let Some(versions) = pyenv.and_then(|root| fs::read_dir(root.join("versions")).ok()) {
        let mut more: Vec<_> = versions
            .flatten()
            .map(|entry| entry.path().join("bin"))
            .collect();
        more.sort();
        places.extend(more);
    }
    let mut found: Vec<Python> = Vec::new();
    for minor in VERSIONS {
        let programs = places
            .iter()
            .map(|place| place.join(format!("python3.{minor}")));
        if let Some(program) = programs
            .filter(|program| program.is_file())
            .find(|p| works(p))
        {
            found.push(Python { program, minor });
        }
    }
    if found.is_empty() {
        bail!("there is no Python from 3.11 on with `venv`; Debian: python3-venv");
    }
    Ok(found)
}

/// Whether it runs, and has what a virtual environment needs.
fn works(program: &Path) -> bool {
    let mut check = Command::new(program);
    check.args(["-c", "import ensurepip, venv"]);
    let done = check.stdout(Stdio::null()).stderr(Stdio::null()).status();
    done.is_ok_and(|status| status.success())
}

/// Makes a virtual environment, unless it is there.
pub(super) fn venv(python: &Path, place: &Path) -> Result<()> {
    if place.join("bin/pip").exists() {
        return Ok(());
    }
    quietly(
        Command::new(python)
            .args(["-m", "venv", "--clear"])
            .arg(place),
    )?;
    Ok(())
}

/// Installs the wheel, and runs its tests, with each of `pythons`.
pub(super) fn run(wheel: &Path, pythons: &[Python], depth: Depth) -> Result<()> {
    let place = root().join("target/dist/build");
    for (index, Python { program, minor }) in pythons.iter().enumerate() {
        let mut steps = begin(&format!("the wheel, in Python 3.{minor}"));
        let venv_place = place.join(format!("venv-3.{minor}"));
        let python = venv_place.join("bin/python");
        steps.time("install it with pip", || {
            venv(program, &venv_place)?;
            let pip = [
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
            ];
            quietly(Command::new(&python).args(pip).args(TESTS))?;
            quietly(
                Command::new(&python)
                    .args(pip)
                    .args(["--force-reinstall", "--no-deps"])
                    .arg(wheel),
            )
        })?;
        let said = quietly(Command::new(venv_place.join("bin/drupe")).arg("--version"))?;
        steps.note(said.trim());
        let tests = root().join("crates/python/tests");
        let said = steps.time("tests", || {
            quietly(
                Command::new(&python)
                    .args(["-m", "pytest", "-q", "-p", "no:cacheprovider", "--color=no"])
                    .arg(&tests)
                    .arg("--basetemp")
                    .arg(place.join("tests"))
                    .env("PYTHONDONTWRITEBYTECODE", "1")
                    .current_dir(&place),
            )
        })?;
        let last = said.lines().rev().find(|line| !line.trim().is_empty());
        steps.note(last.context("pytest has said nothing")?.trim());
        if index == 0 && depth == Depth::Full {
            steps.time("types", || types(&python, &place))?;
        }
    }
    Ok(())
}

/// The stubs are what the native module has, and the package's own types go together.
fn types(python: &Path, place: &Path) -> Result<()> {
    let pip = [
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
    ];
    quietly(Command::new(python).args(pip).arg(TYPES))?;
    // What is in the current directory would be taken for sources.
    let empty = place.join("types");
    fs::create_dir_all(&empty)?;
    let stubs = ["-m", "mypy.stubtest", "drupe._drupe"];
    quietly(Command::new(python).args(stubs).current_dir(&empty))?;
    let own = ["-m", "mypy", "--strict", "-p", "drupe"];
    quietly(Command::new(python).args(own).current_dir(&empty))?;
    Ok(())
}
