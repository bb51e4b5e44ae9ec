//! `kernel`: builds the image ahead of cargo. `kernel check`: checks that the port meets
//! the kernel's own rules, and that the kernel is unmodified.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use drupe_kbuild::{Flavour, Image, Kbuild, Overlay, Progress};

use crate::progress::Line;
use crate::run::root;
use crate::setup;

/// The port's path, in the checkout's `kernel` and in the kernel tree.
const PORT: &str = "arch/drupe";

/// The kernel's table of system calls, and the library's list of their numbers.
const TABLE: &str = "scripts/syscall.tbl";
const NUMBERS: &str = "crates/drupe/src/sys/nr.rs";

pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let mut flavour = Flavour::from_env()?;
    let (mut checking, mut verbose) = (false, false);
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "check" => checking = true,
            "--verbose" => verbose = true,
            "--flavour" => match arguments.next() {
                Some(name) => flavour = Flavour::named(name)?,
                None => bail!("--flavour needs a name: mmu, nommu"),
            },
            other => bail!("kernel: unknown argument {other:?}"),
        }
    }
    setup::install(&setup::kernel()?)?;
    if checking {
        check(flavour)
    } else {
        build(flavour, verbose)
    }
}

/// Builds the image, or finds it in the cache.
pub(crate) fn build(flavour: Flavour, verbose: bool) -> Result<()> {
    if let Some(image) = Image::from_env()? {
        eprintln!("DRUPE_IMAGE names the image: {}", image.image.display());
        return Ok(());
    }
    let kbuild = Kbuild::from_env(&overlay(), flavour)?;
    let image = if verbose {
        kbuild.image(&mut |progress: Progress<'_>| eprintln!("{progress:?}"))?
    } else {
        let mut line = Line::new();
        kbuild.image(&mut |progress| line.show(progress))?
    };
    let size = std::fs::metadata(&image.image)?.len();
    eprintln!("{} ({} KiB)", image.image.display(), size / 1024);
    Ok(())
}

/// The checks that a kernel maintainer would make.
pub(crate) fn check(flavour: Flavour) -> Result<()> {
    let kbuild = Kbuild::from_env(&overlay(), flavour)?;
    let mut complaints = Vec::new();
    let calls = {
        let mut line = Line::new();
        let prepared = kbuild.prepare("check", &mut |progress| line.show(progress))?;
        let target = format!("{PORT}/");
        // What is compiled already is not warned of again.
        remove_objects(&prepared.build().join(PORT))?;
        let output = prepared.make("check.log", &["W=1", &target], &mut |progress| {
            line.show(progress)
        })?;
        complaints.extend(warnings(&output.lines));
        complaints.extend(checkpatch(prepared.shadow(), &kbuild)?);
        numbers(&read(&prepared.shadow().join(TABLE))?)
    };
    if !complaints.is_empty() {
        complaints.iter().for_each(|line| eprintln!("{line}"));
        bail!("{} complaints about {PORT}", complaints.len());
    }
    let wrong = missing(&calls, &read(&root().join(NUMBERS))?);
    if !wrong.is_empty() {
        wrong.iter().for_each(|line| eprintln!("{line}"));
        bail!("{NUMBERS} is not the list that {TABLE} of the kernel has");
    }
    println!("{NUMBERS}: all {} system calls", calls.len());
    println!("{PORT}: no warnings with W=1, checkpatch --strict is content");
    let files = {
        let mut line = Line::new();
        kbuild.verify_untouched(&mut |progress| line.show(progress))?
    };
    println!(
        "{}: all {files} files are as published",
        kbuild.source().path().display()
    );
    Ok(())
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| path.display().to_string())
}

/// The numbers of the generic table, for the ABIs that the port has
/// (`kernel/Makefile.syscalls`, `scripts/Makefile.asm-headers`), as [`NUMBERS`] has them.
fn numbers(table: &str) -> Vec<String> {
    let lines = table.lines().filter(|line| !line.starts_with('#'));
    let calls = lines.filter_map(|line| {
        let mut fields = line.split_whitespace();
        let (number, abi, name) = (fields.next()?, fields.next()?, fields.next()?);
        let name = name.to_uppercase();
        ["common", "64", "rlimit", "renameat"]
            .contains(&abi)
            .then(|| format!("pub const {name}: usize = {number};"))
    });
    calls.collect()
}

/// The lines that a list of numbers lacks, and those that it has in excess.
fn missing(wanted: &[String], list: &str) -> Vec<String> {
    let is_number = |line: &&str| line.starts_with("pub const ");
    let listed: BTreeSet<&str> = list.lines().filter(is_number).collect();
    let wanted: BTreeSet<&str> = wanted.iter().map(String::as_str).collect();
    let lacks = wanted
        .difference(&listed)
        .map(|line| format!("lacks {line}"));
    let extra = listed.difference(&wanted).map(|line| format!("has {line}"));
    lacks.chain(extra).collect()
}

/// Removes the objects in a directory of the build, if it is there yet.
fn remove_objects(directory: &Path) -> Result<()> {
    if !directory.exists() {
        return Ok(());
    }
    for entry in std::fs::read_dir(directory).with_context(|| directory.display().to_string())? {
        let path = entry?.path();
        if path.is_dir() {
            remove_objects(&path)?;
        } else if path
            .extension()
            .is_some_and(|extension| extension == "o" || extension == "s")
        {
            std::fs::remove_file(&path).with_context(|| path.display().to_string())?;
        }
    }
    Ok(())
}

/// The compiler's warnings about the port's own files, each once.
fn warnings(lines: &[String]) -> BTreeSet<String> {
    let own = |line: &&String| line.contains("warning:") && line.contains(PORT);
    lines.iter().filter(own).cloned().collect()
}

/// The complaints of the kernel's style checker about each file of the port.
fn checkpatch(tree: &Path, kbuild: &Kbuild) -> Result<Vec<String>> {
    let overlay = Overlay::at(&overlay())?;
    let files = overlay
        .files()
        .iter()
        .filter(|file| is_checked(file, overlay.root()));
    // It stops without a word where it does not understand a file. So the last
    // one is a file that it must complain about.
    let directory = tempfile::tempdir()?;
    let canary = directory.path().join("canary.c");
    std::fs::write(&canary, "int no_licence;\n")?;
    let output = Command::new("perl")
        .arg("scripts/checkpatch.pl")
        .args(["--strict", "--terse", "--show-types", "--no-summary"])
        .arg(format!("--ignore={}", ignored_types()?.join(",")))
        .arg("--file")
        .args(files)
        .arg(&canary)
        .current_dir(tree)
        .output()?;
    let canary = canary.display().to_string();
    let lines = [
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    ];
    let (chirps, complaints): (Vec<&str>, Vec<&str>) = lines
        .iter()
        .flat_map(|text| text.lines())
        .filter(|line| !line.is_empty())
        .partition(|line| line.starts_with(&canary));
    if chirps.is_empty() {
        bail!(
            "{}: checkpatch.pl did not reach the last file",
            kbuild.source().path().display()
        );
    }
    Ok(complaints.into_iter().map(str::to_owned).collect())
}

/// The types of complaints that the port ignores, with reasons.
fn ignored_types() -> Result<Vec<String>> {
    let path = overlay().join(PORT).join("checkpatch.ignore");
    let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let types = text.lines().map(str::trim);
    Ok(types
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(str::to_owned)
        .collect())
}

/// Whether checkpatch can check a file: not configuration fragments, lists and empty
/// files.
fn is_checked(file: &Path, root: &Path) -> bool {
    let empty = std::fs::metadata(root.join(file)).is_ok_and(|metadata| metadata.len() == 0);
    let known = file
        .extension()
        .is_none_or(|extension| extension != "config" && extension != "ignore");
    known && !empty
}

/// The overlay of this checkout.
pub(crate) fn overlay() -> PathBuf {
    root().join("kernel")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_warnings_about_the_port_count() {
        let lines = [
            "  CC      arch/drupe/kernel/setup.o",
            "include/linux/x.h:1:1: warning: not ours",
            "arch/drupe/kernel/setup.c:3:5: warning: unused variable 'x'",
            "arch/drupe/kernel/setup.c:3:5: warning: unused variable 'x'",
        ];
        assert_eq!(warnings(&lines.map(str::to_owned)).len(), 1);
    }

    #[test]
    fn numbers_of_the_ports_abis() {
        let table = "# comment\n0\tcommon\tio_setup\tsys_io_setup\n\
            25\t32\tfcntl64\tsys_fcntl64\n25\t64\tfcntl\tsys_fcntl\n";
        let numbers = numbers(table);
        let (first, second) = (
            "pub const IO_SETUP: usize = 0;",
            "pub const FCNTL: usize = 25;",
        );
        assert_eq!(numbers, [first, second]);
        let list = format!("//! A list.\n{second}\n{first}\n");
        assert_eq!(missing(&numbers, &list), [""; 0]);
        let list = list.replace("25", "26");
        let wrong = [
            format!("lacks {second}"),
            "has pub const FCNTL: usize = 26;".to_owned(),
        ];
        assert_eq!(missing(&numbers, &list), wrong);
    }
}
