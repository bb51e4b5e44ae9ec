//! Tries the tarball for C: unpacked in a new place, through pkg-config, with the
//! libraries shared and static.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use super::begin;
use crate::demo::{compare, quietly, tool, tree};
use crate::run::root;

/// Size of the image, in bytes.
const IMAGE_SIZE: u64 = 1 << 30;

/// Compiles `tree.c` and the programs of the documentation, and runs them.
pub(super) fn run(tarball: &Path) -> Result<()> {
    let mut steps = begin("the libraries for C, unpacked in another place");
    let place = tempfile::Builder::new().prefix("drupe-dist-").tempdir()?;
    let place = place.path();
    let mut tar = Command::new("tar");
    tar.arg("--extract").arg("--file").arg(tarball);
    quietly(tar.args(["--strip-components=1", "--directory"]).arg(place))?;
    tree::make(&place.join("tree"))?;
    let image = place.join("disk.img");
    for kind in ["shared", "static"] {
        let program = place.join(kind);
        compile(
            place,
            &root().join("xtask/src/dist/tree.c"),
            "drupe",
            kind,
            &program,
        )?;
        steps.time(
            &format!("{kind}: a tree into an ext4 image and out, compared"),
            || {
                fresh(&image)?;
                let out = place.join(format!("{kind}-out"));
                let mut run = Command::new(&program);
                run.env("LD_LIBRARY_PATH", place.join("lib"));
                quietly(run.arg(&image).arg(place.join("tree")).arg(&out))?;
                compare::compare(&place.join("tree"), &out)?;
                quietly(tool("e2fsck").arg("-fn").arg(&image)).map(drop)
            },
        )?;
    }
    for (library, page) in [("drupe", "c.md"), ("lkl", "lkl.md")] {
        steps.time(&format!("the program of docs/{page}"), || {
            let source = place.join(format!("{library}.c"));
            fs::write(&source, example(page)?)?;
            let program = place.join(library);
            compile(place, &source, library, "shared", &program)?;
            fresh(&image)?;
            let mut run = Command::new(&program);
            run.env("LD_LIBRARY_PATH", place.join("lib"));
            let said = quietly(run.arg(&image))?;
            let listed = said.lines().any(|line| line == "motd");
            listed
                .then_some(())
                .with_context(|| format!("it printed {said:?}"))
        })?;
    }
    Ok(())
}

fn fresh(image: &Path) -> Result<()> {
    let _ = fs::remove_file(image);
    fs::File::create(image)?.set_len(IMAGE_SIZE)?;
    quietly(tool("mkfs.ext4").arg("-q").arg(image)).map(drop)
}

/// The first program in C of a page of the documentation.
fn example(page: &str) -> Result<String> {
    let text = fs::read_to_string(root().join("docs").join(page))?;
    let program = text
        .split_once("```c\n")
        .and_then(|(_, rest)| rest.split_once("```"));
    let (program, _) = program.with_context(|| format!("docs/{page} has no program in C"))?;
    Ok(program.to_owned())
}

fn compile(place: &Path, source: &Path, library: &str, kind: &str, to: &Path) -> Result<()> {
    let mut flags = Command::new("pkg-config");
    flags.env("PKG_CONFIG_PATH", place.join("lib/pkgconfig"));
    flags.args(["--cflags", "--libs"]).arg(library);
    let mut cc = Command::new("cc");
    cc.args(["-O2", "-Wall", "-Werror", "-o"])
        .arg(to)
        .arg(source);
    if kind == "static" {
        flags.arg("--static");
        cc.arg("-static-pie");
    }
    let flags = quietly(&mut flags)?;
    quietly(cc.args(flags.split_whitespace())).map(drop)
}
