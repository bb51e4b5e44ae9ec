//! Jobs of the rows `mounts` with Python wheels: unpacking them, reading all files,
//! importing some.

use super::{best, rows};
use crate::copies::time;
use crate::table::{Row, Table};
use anyhow::{Context, Result, ensure};
use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// The names of the rows.
pub(super) const NAMES: [&str; 3] = [
    "mounted ext4: unpack wheels",
    "mounted ext4: walk wheels",
    "mounted ext4: import wheels",
];

/// The wheels, which have 8,000 files.
const WHEELS: &[&str] = &[
    "numpy",
    "pandas",
    "sympy",
    "scipy",
    "matplotlib",
    "pillow",
    "requests",
    "urllib3",
    "certifi",
    "idna",
    "charset-normalizer",
    "pytz",
    "python-dateutil",
    "six",
    "networkx",
    "setuptools",
    "mpmath",
];

/// The variable that names a directory with the wheels, if they are on this machine.
const PLACE: &str = "DRUPE_BENCH_WHEELS";

/// A Python program that unpacks its further arguments into the first.
const UNPACK: &str = "import sys, zipfile
for wheel in sys.argv[2:]: zipfile.ZipFile(wheel).extractall(sys.argv[1])";

const WALK: &str = "find \"$0\" -type f -print0 | xargs -0 cat > /dev/null";

const IMPORT: &str = "import numpy, pandas, sympy";

/// The wheels, downloaded into a directory if need be.
fn wheels(place: &Path) -> Result<Vec<PathBuf>> {
    let dir = match env::var_os(PLACE) {
        Some(dir) => PathBuf::from(dir),
        None => {
            let dir = place.join("wheels");
            let mut pip = Command::new("pip");
            pip.args([
                "download",
                "--quiet",
                "--no-deps",
                "--only-binary=:all:",
                "-d",
            ]);
            time(pip.arg(&dir).args(WHEELS))?;
            dir
        }
    };
    let mut wheels = Vec::new();
    for entry in dir.read_dir()? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "whl") {
            wheels.push(path);
        }
    }
    ensure!(!wheels.is_empty(), "no wheels in {}", dir.display());
    wheels.sort();
    Ok(wheels)
}

fn python() -> Command {
    Command::new("python3")
}

/// The times of unpacking, walking and importing in a mounted directory.
fn jobs(wheels: &[PathBuf], dir: &Path) -> Result<Vec<Duration>> {
    let packages = dir.join("packages");
    let unpack = time(python().args(["-c", UNPACK]).arg(&packages).args(wheels))?;
    let walk = time(Command::new("sh").args(["-c", WALK]).arg(&packages))?;
    let import = || {
        let mut python = python();
        time(
            python
                .args(["-S", "-c", IMPORT])
                .env("PYTHONPATH", &packages),
        )
    };
    // The first one compiles them.
    import()?;
    Ok(vec![unpack, walk, import()?])
}

pub(super) fn run(table: &mut Table, drupe: &Path, place: &Path, suffix: &str) -> Result<()> {
    let names = NAMES.map(|name| format!("{name}{suffix}"));
    let wheels = match wheels(place) {
        Ok(wheels) => wheels,
        Err(error) => {
            // No network, no pip, or none of these for this Python.
            let why = format!("no wheels ({PLACE}): {}", error.root_cause());
            let why = why.lines().next().unwrap_or_default();
            for what in names {
                table.push(Row::missing(what, why));
            }
            return Ok(());
        }
    };
    let best = best(drupe, place, |dir| jobs(&wheels, dir)).context("wheels")?;
    rows(table, names, &best)
}
