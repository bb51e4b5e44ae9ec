//! `demo`: the README's first command. Copies a tree of files into an ext4 image and out
//! again, compares the trees, and checks the image with e2fsck. Shows the times, and
//! those of the host's own tools.

pub(crate) mod compare;
pub(crate) mod steps;
pub(crate) mod tree;
mod turns;

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use drupe_kbuild::Flavour;

use crate::run::build_release;
use crate::{kernel, setup};
use steps::Steps;
use turns::Turns;

/// How many lines of the listing are shown.
const LISTED: usize = 6;

pub(crate) fn run(arguments: &[String]) -> Result<()> {
    crate::no_arguments(arguments)?;
    setup::install(&setup::everything()?)?;
    kernel::build(Flavour::MMU, false)?;
    let drupe = build_release("drupe-cli", "drupe")?;
    let directory = tempfile::Builder::new().prefix("drupe-demo-").tempdir()?;
    demonstrate(&drupe, directory.path())
}

/// Makes the tree and the images in `directory`, with the command at `drupe`.
fn demonstrate(drupe: &Path, directory: &Path) -> Result<()> {
    let drupe = || Command::new(drupe);
    let (tree, image) = (directory.join("tree"), directory.join("disk.img"));
    let out = directory.join("out");
    // Where the tree is in the image: `image:/tree`.
    let [to, from] = ["/", "/tree"].map(|path| {
        let mut inside = image.clone().into_os_string();
        inside.push(":");
        inside.push(path);
        inside
    });
    fs::create_dir(&out)?;

    let mut steps = Steps::new();
    let made = steps.time("make a tree of files", || Ok(tree::make(&tree)?))?;
    steps.note(&made.to_string());

    turns::new_image(&image)?;
    steps.run(tool("mkfs.ext4").arg("-q").arg(&image))?;
    steps.run(drupe().args(["--quiet", "cp", "-a"]).arg(&tree).arg(&to))?;
    let listing = steps.output(drupe().args(["ls", "-lR"]).arg(&from))?;
    let lines: Vec<_> = listing.lines().collect();
    steps.note(&format!("{} lines, the last of them:", lines.len()));
    let shown = lines.len().saturating_sub(LISTED);
    lines[shown..].iter().for_each(|line| steps.note(line));
    steps.run(drupe().args(["--quiet", "cp", "-a"]).arg(&from).arg(&out))?;
    steps.time("compare what came out with what went in", || {
        compare::compare(&tree, &out.join("tree"))
    })?;
    steps.note("equal: contents, types, modes, owners, times, links, xattrs, holes");
    steps.run(tool("e2fsck").arg("-fn").arg(&image))?;

    steps.heading("the same and the host's own tools, in turns");
    let turns = Turns {
        drupe,
        directory,
        tree: &tree,
    };
    let (copies_in, copies_out) = turns.run()?;
    steps.ratios("in:  (mkfs.ext4 + drupe cp) / mke2fs -d", &copies_in);
    steps.ratios("out: drupe cp / debugfs rdump", &copies_out);
    steps.note("the middle of the ratios, and all: less than 1 is faster than the host's tools");
    Ok(())
}

/// A program of e2fsprogs, which an ordinary user's PATH may lack.
pub(crate) fn tool(name: &str) -> Command {
    let path = std::env::var("PATH").unwrap_or_default();
    let mut command = Command::new(name);
    command.env("PATH", format!("{path}:/usr/sbin:/sbin"));
    command
}

/// Runs a command quietly. Its output is returned, or put into the error.
pub(crate) fn quietly(command: &mut Command) -> Result<String> {
    let output = command
        .output()
        .with_context(|| format!("cannot run {:?}", command.get_program()))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        bail!(
            "{} failed ({}):\n{text}{errors}",
            steps::shown(command),
            output.status
        );
    }
    Ok(text)
}
