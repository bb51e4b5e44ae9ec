//! `fuzz`: runs the fuzz targets, one after the other, from the seeds in the tree.
//!
//! New inputs are kept in `fuzz/corpus`, failing ones in `fuzz/artifacts`; both are not
//! part of the tree.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::run::{root, run as run_command};

/// How long a target runs unless told otherwise.
const MINUTES: u64 = 3;

/// The targets and the time, from the arguments.
#[derive(Debug, PartialEq, Eq)]
struct Selection {
    targets: Vec<String>,
    minutes: u64,
}

impl Selection {
    fn parse(arguments: &[String], known: &[String]) -> Result<Selection> {
        let mut wanted = Selection {
            targets: Vec::new(),
            minutes: MINUTES,
        };
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            if argument == "--minutes" {
                let value = arguments.next().context("--minutes needs a number")?;
                let minutes = value.parse().ok().filter(|&minutes| minutes > 0);
                wanted.minutes =
                    minutes.with_context(|| format!("--minutes {value}: no number"))?;
            } else if known.contains(argument) {
                wanted.targets.push(argument.clone());
            } else {
                bail!("no target {argument:?}; there are: {}", known.join(", "));
            }
        }
        if wanted.targets.is_empty() {
            wanted.targets = known.to_vec();
        }
        Ok(wanted)
    }
}

pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let wanted = Selection::parse(arguments, &targets()?)?;
    let installed = Command::new("cargo").args(["fuzz", "--version"]).output();
    if !installed.is_ok_and(|output| output.status.success()) {
        bail!("cargo-fuzz is not installed: cargo install cargo-fuzz");
    }
    for target in &wanted.targets {
        let corpus = format!("fuzz/corpus/{target}");
        fs::create_dir_all(root().join(&corpus)).with_context(|| corpus.clone())?;
        run_command(
            Command::new("rustup")
                .args(["run", "nightly", "cargo", "fuzz", "run", target])
                // New inputs go into the first directory.
                .args([corpus, format!("fuzz/seeds/{target}")])
                .arg("--")
                .arg(format!("-max_total_time={}", wanted.minutes * 60))
                .args(["-timeout=10", "-rss_limit_mb=2048", "-print_final_stats=1"]),
        )?;
    }
    Ok(())
}

/// The names of all targets.
fn targets() -> Result<Vec<String>> {
    let directory = root().join("fuzz/fuzz_targets");
    let mut names = Vec::new();
    for entry in fs::read_dir(&directory).context("fuzz/fuzz_targets")? {
        let path = entry?.path();
        if let Some(name) = path.file_stem().and_then(|name| name.to_str()) {
            names.push(name.to_owned());
        }
    }
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Selection> {
        let strings = |words: &[&str]| words.iter().map(|&word| word.into()).collect::<Vec<_>>();
        Selection::parse(&strings(arguments), &strings(&["md", "probe"]))
    }

    #[test]
    fn targets_and_minutes() -> Result<()> {
        let all = parse(&[])?;
        assert_eq!((all.targets.len(), all.minutes), (2, MINUTES));
        let one = parse(&["--minutes", "60", "md"])?;
        assert_eq!((&one.targets[..], one.minutes), (&["md".into()][..], 60));
        for wrong in [&["tar"][..], &["--minutes"], &["--minutes", "0"]] {
            assert!(parse(wrong).is_err(), "{wrong:?}");
        }
        Ok(())
    }

    /// Each target is in the manifest, and has seeds.
    #[test]
    fn targets_are_complete() -> Result<()> {
        let manifest = fs::read_to_string(root().join("fuzz/Cargo.toml"))?;
        for target in targets()? {
            let path = format!("path = \"fuzz_targets/{target}.rs\"");
            assert!(manifest.contains(&path), "{target} is not in the manifest");
            let seeds = root().join("fuzz/seeds").join(&target);
            assert!(seeds.is_dir(), "{target} has no seeds");
        }
        Ok(())
    }
}
