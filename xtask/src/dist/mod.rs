//! `dist`: makes the release files in `target/dist`, and tries them as users would.
//!
//! | module | what |
//! |---|---|
//! | [`stage`] | a copy of the workspace, with the kernel image in `crates/image` |
//! | [`origin`] | `SOURCE.md`: which source an image is made of |
//! | [`crates`] | the packaged crates, and a registry of them and all that they use |
//! | [`try_crates`] | an empty project that adds `drupe` from that registry |
//! | [`command`] | the command as a static program, in a tarball |
//! | [`licences`] | those of all that is linked into it |
//! | [`deb`] | the same as a Debian package |
//! | [`pack`] | tarballs, and that of the source |
//! | [`c`] | libdrupe and liblkl, in a tarball |
//! | [`try_c`] | C programs that are compiled with it, through pkg-config |
//! | [`python`] | the wheel for Python, with the module and the command |
//! | [`try_python`] | its tests, in virtual environments of each Python that there is |
//! | [`try_command`] | the command in roots that have next to nothing |
//! | [`check`] | the proof that a kernel image can be made again, byte for byte |
//!
//! `docs/dist.md` is for those who publish.

mod c;
mod check;
mod command;
mod crates;
mod deb;
mod licences;
mod origin;
mod pack;
pub(crate) mod python;
mod stage;
mod try_c;
mod try_command;
mod try_crates;
mod try_python;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use drupe_kbuild::requirements::Requirement;
use drupe_kbuild::{Flavour, Image, Kbuild};

use crate::demo::quietly;
use crate::demo::steps::Steps;
use crate::progress::Line;
use crate::run::{output, root};
use crate::{kernel, setup};

/// The parts that can be named; without a name, all are made.
const PARTS: [&str; 4] = ["crates", "command", "c", "python"];

/// Requirements besides those of the tests.
const TOOLS: [Requirement; 5] = [
    Requirement::program("git", "git"),
    Requirement::program("dpkg-deb", "dpkg"),
    Requirement::program("lintian", "lintian"),
    Requirement::program("pkg-config", "pkg-config"),
    Requirement::program("unshare", "util-linux"),
];

/// The settings of all parts.
pub(crate) struct Dist {
    /// `target/dist`.
    out: PathBuf,
    /// The workspace's version.
    version: String,
    /// Seconds since 1970 that everything is dated by: the commit's, or
    /// `SOURCE_DATE_EPOCH`.
    epoch: String,
    kbuild: Kbuild,
    image: Image,
}

pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let (mut parts, mut roots, mut checking) = (Vec::new(), Vec::new(), false);
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--check" => checking = true,
            "--root" => match arguments.next() {
                Some(directory) => roots.push(PathBuf::from(directory)),
                None => bail!("--root needs the directory of a root file system"),
            },
            part if PARTS.contains(&part) => parts.push(part),
            other => bail!(
                "dist: unknown argument {other:?}; parts are {}",
                PARTS.join(", ")
            ),
        }
    }
    let mut wanted = setup::everything()?;
    wanted.extend(TOOLS);
    setup::install(&wanted)?;
    if std::env::var_os("DRUPE_IMAGE").is_some_and(|value| !value.is_empty()) {
        bail!("DRUPE_IMAGE is set: nobody could say what its image is made of; unset it");
    }
    if checking {
        return check::run();
    }
    if parts.is_empty() {
        parts = PARTS.to_vec();
    }
    let dist = Dist::new()?;
    pack::source(&dist)?;
    for part in parts {
        match part {
            "crates" => {
                crates::make(&dist)?;
                try_crates::run(&dist)?;
            }
            "c" => {
                let tarball = c::make(&dist)?;
                try_c::run(&tarball)?;
            }
            "python" => {
                let wheel = python::make(&dist, python::Profile::Release)?;
                try_python::run(&wheel, &try_python::all()?, try_python::Depth::Full)?;
            }
            _ => {
                let made = command::make(&dist)?;
                try_command::run(&made.program, &roots)?;
                let package = deb::make(&dist, &made.tree)?;
                try_command::install(&package, &roots)?;
            }
        }
    }
    dist.sums()?;
    println!("\n{}", dist.out.display());
    Ok(())
}

impl Dist {
    fn new() -> Result<Dist> {
        let kbuild = Kbuild::from_env(&kernel::overlay(), Flavour::MMU)?;
        let image = {
            let mut line = Line::new();
            kbuild.image(&mut |progress| line.show(progress))?
        };
        let epoch = match std::env::var("SOURCE_DATE_EPOCH") {
            Ok(epoch) if !epoch.is_empty() => epoch,
            _ => output(Command::new("git").args(["log", "-1", "--format=%ct"]))?,
        };
        let out = root().join("target/dist");
        fs::create_dir_all(&out)?;
        Ok(Dist {
            out,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            epoch: epoch.trim().to_owned(),
            kbuild,
            image,
        })
    }

    /// An empty directory in `target/dist`.
    fn fresh(&self, name: &str) -> Result<PathBuf> {
        let directory = self.out.join(name);
        if directory.exists() {
            fs::remove_dir_all(&directory).with_context(|| directory.display().to_string())?;
        }
        fs::create_dir_all(&directory)?;
        Ok(directory)
    }

    /// Writes `SHA256SUMS` of all release files.
    fn sums(&self) -> Result<()> {
        let mut files = Vec::new();
        for directory in [self.out.clone(), self.out.join("crates")] {
            let Ok(entries) = fs::read_dir(&directory) else {
                continue;
            };
            for entry in entries {
                let path = entry?.path();
                let name = path.strip_prefix(&self.out)?.to_owned();
                if path.is_file() && name != Path::new("SHA256SUMS") {
                    files.push(name);
                }
            }
        }
        files.sort();
        let sums = quietly(Command::new("sha256sum").args(files).current_dir(&self.out))?;
        Ok(fs::write(self.out.join("SHA256SUMS"), sums)?)
    }
}

/// The SHA-256 of a file, in hexadecimal.
fn sha256(path: &Path) -> Result<String> {
    let line = quietly(Command::new("sha256sum").arg(path))?;
    let sum = line.split_whitespace().next().unwrap_or_default();
    // A name with a backslash or a line break is told by a backslash in front.
    Ok(sum.trim_start_matches('\\').to_owned())
}

/// Shows the heading of a part, and times its steps.
fn begin(heading: &str) -> Steps {
    let steps = Steps::new();
    steps.heading(heading);
    steps
}
