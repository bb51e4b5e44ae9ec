//! Builds the command as a static program, and a tarball with it, its manual pages and
//! completions.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::{Dist, begin, licences, origin, pack, stage};
use crate::demo::quietly;
use crate::run::{cargo, root};

/// The target, whose C library is linked statically.
pub(super) const TARGET: &str = "x86_64-unknown-linux-gnu";

/// The directories of shells' completions below `share`.
const COMPLETIONS: [(&str, &str); 3] = [
    ("bash", "bash-completion/completions/drupe"),
    ("zsh", "zsh/site-functions/_drupe"),
    ("fish", "fish/vendor_completions.d/drupe.fish"),
];

/// What was made.
pub(super) struct Made {
    pub(super) program: PathBuf,
    /// The directory that is in the tarball.
    pub(super) tree: PathBuf,
}

/// Makes the program and the tarball.
pub(super) fn make(dist: &Dist) -> Result<Made> {
    let mut steps = begin("the command");
    let program = steps.time("compile a static program", || compile(dist))?;
    is_static(&fs::read(&program)?).with_context(|| program.display().to_string())?;
    let size = fs::metadata(&program)?.len() as f64 / f64::from(1 << 20);
    let version = quietly(Command::new(&program).arg("--version"))?;
    steps.note(&format!("{}, {size:.1} MiB", version.trim()));
    let name = format!("drupe-{}-x86_64-linux", dist.version);
    let tarball = dist.out.join(format!("{name}.tar.gz"));
    let top = dist.fresh("build/tarball")?;
    steps.time("pack", || {
        fill(dist, &program, &top.join(&name))?;
        modes(&top.join(&name))?;
        let names = [name.clone()];
        pack::pack(dist, &top, &names, None, &tarball)
    })?;
    let size = fs::metadata(&tarball)?.len() as f64 / f64::from(1 << 20);
    steps.note(&format!("{name}.tar.gz, {size:.1} MiB"));
    let tree = top.join(&name);
    Ok(Made { program, tree })
}

/// Builds the program without paths of this machine.
pub(super) fn compile(dist: &Dist) -> Result<PathBuf> {
    let target = dist.out.join("build");
    let mut flags = vec!["-Ctarget-feature=+crt-static".to_owned()];
    flags.extend(remapped());
    quietly(
        cargo()
            .args(["build", "--release", "--locked", "--package", "drupe-cli"])
            // Named, so that what runs during the build is linked as always.
            .args(["--target", TARGET, "--target-dir"])
            .arg(&target)
            .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"))
            .env("CARGO_PROFILE_RELEASE_STRIP", "symbols")
            .env("SOURCE_DATE_EPOCH", &dist.epoch)
            .current_dir(root()),
    )?;
    Ok(target.join(TARGET).join("release/drupe"))
}

/// Flags of rustc, so that no path of this machine is in what it makes.
pub(super) fn remapped() -> Vec<String> {
    let home = std::env::var("CARGO_HOME")
        .or_else(|_| std::env::var("HOME").map(|home| format!("{home}/.cargo")));
    let places = [
        Some((root(), "/drupe")),
        home.ok().map(|home| (home.into(), "/cargo")),
    ];
    let places = places.into_iter().flatten();
    let flags =
        places.map(|(place, name)| format!("--remap-path-prefix={}={name}", place.display()));
    flags.collect()
}

/// Fails unless an ELF file is static and position-independent.
fn is_static(elf: &[u8]) -> Result<()> {
    const INTERPRETER: u32 = 3;
    const DYN: u16 = 3;
    let bytes = |at: usize, len| elf.get(at..at + len).context("an ELF file that is cut off");
    let word = |at| -> Result<u16> { Ok(u16::from_le_bytes(bytes(at, 2)?.try_into()?)) };
    if word(16)? != DYN {
        bail!("is not position independent");
    }
    let headers = u64::from_le_bytes(bytes(32, 8)?.try_into()?) as usize;
    for number in 0..usize::from(word(56)?) {
        let at = headers + number * usize::from(word(54)?);
        if u32::from_le_bytes(bytes(at, 4)?.try_into()?) == INTERPRETER {
            bail!("needs a dynamic linker");
        }
    }
    Ok(())
}

/// Fills the directory that is packed.
fn fill(dist: &Dist, program: &Path, directory: &Path) -> Result<()> {
    stage::copy(program, &directory.join("bin/drupe"))?;
    let pages = directory.join("share/man/man1");
    let man = ["man", "--out"];
    quietly(
        Command::new(program)
            .args(man)
            .arg(&pages)
            .env("SOURCE_DATE_EPOCH", &dist.epoch),
    )?;
    for (shell, file) in COMPLETIONS {
        let text = quietly(Command::new(program).args(["completions", shell]))?;
        let file = directory.join("share").join(file);
        fs::create_dir_all(file.parent().context("a file without a directory")?)?;
        fs::write(file, text)?;
    }
    for file in ["LICENSE", "README.md", "CHANGELOG.md"] {
        stage::copy(&root().join(file), &directory.join(file))?;
    }
    fs::write(
        directory.join("licences.txt"),
        licences::text(TARGET, &["drupe-cli"])?,
    )?;
    fs::write(
        directory.join("SOURCE.md"),
        origin::text(dist, &pack::port(dist))?,
    )?;
    Ok(())
}

/// Sets the modes of installed files.
pub(super) fn modes(path: &Path) -> Result<()> {
    let directory = path.is_dir();
    let program = path.parent().is_some_and(|above| above.ends_with("bin"));
    let mode = if directory || program { 0o755 } else { 0o644 };
    fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    if directory {
        for entry in fs::read_dir(path)? {
            modes(&entry?.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// This very program is dynamic: it needs an interpreter.
    #[test]
    fn a_dynamic_program_is_told() {
        let own = fs::read(std::env::current_exe().unwrap()).unwrap();
        let error = is_static(&own).unwrap_err().to_string();
        assert_eq!(error, "needs a dynamic linker");
        assert!(is_static(b"\x7fELF").is_err());
    }

    #[test]
    fn modes_are_those_of_installed_files() {
        let directory = tempfile::tempdir().unwrap();
        let mode = |path: &str| {
            let metadata = fs::metadata(directory.path().join(path)).unwrap();
            metadata.permissions().mode() & 0o7777
        };
        for file in ["bin/drupe", "share/man/page"] {
            let file = directory.path().join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(&file, "").unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        }
        modes(directory.path()).unwrap();
        assert_eq!(
            (mode("bin"), mode("bin/drupe"), mode("share/man/page")),
            (0o755, 0o755, 0o644)
        );
    }
}
