//! `fio`: runs fio's verify jobs through `drupe mount`: write, unmount, mount again, read
//! back.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use drupe_kbuild::requirements::Requirement;

use crate::mounts::{self, Mounted};
use crate::run::output;

const KINDS: [&str; 4] = ["ext4", "xfs", "btrfs", "f2fs"];

/// Options of all jobs: every block has its own header and checksum.
const COMMON: &[&str] = &[
    "--size=48m",
    "--verify=crc32c",
    "--verify_fatal=1",
    "--group_reporting",
    "--minimal",
];

/// The jobs, by how they write. Each has its own files.
const JOBS: &[(&str, &[&str])] = &[
    ("sequential", &["--rw=write", "--bs=1m", "--end_fsync=1"]),
    ("random", &["--rw=randwrite", "--bs=4k", "--numjobs=2"]),
    (
        "odd",
        &["--rw=randwrite", "--bsrange=512-64k", "--bs_unaligned"],
    ),
    ("direct", &["--rw=randwrite", "--bs=16k", "--direct=1"]),
    ("mapped", &["--rw=randwrite", "--bs=4k", "--ioengine=mmap"]),
    (
        "many",
        &[
            "--rw=randwrite",
            "--bs=8k",
            "--ioengine=libaio",
            "--iodepth=16",
            "--direct=1",
        ],
    ),
];

pub(crate) fn run(arguments: &[String]) -> Result<()> {
    crate::no_arguments(arguments)?;
    crate::setup::install(&[Requirement::program("fio", "fio")])?;
    let drupe = mounts::command()?;
    let place = tempfile::tempdir()?;
    for kind in KINDS {
        for options in [&["mount"][..], &["mount", "--writeback"]] {
            let name = format!("{kind}{}", options.len());
            let (image, dir) = mounts::image(kind, place.path(), &name)?;
            let mount = || Mounted::new(Command::new(&drupe).args(options), &image, &dir);
            let failed = || format!("{kind}, {}", options.join(" "));
            jobs(mount()?.dir(), "--do_verify=0").with_context(failed)?;
            mounts::check(kind, &image)?;
            jobs(mount()?.dir(), "--verify_only=1").with_context(failed)?;
            mounts::check(kind, &image)?;
            fs::remove_file(&image)?;
            println!("fio on {}: {} jobs verified", failed(), JOBS.len());
        }
    }
    Ok(())
}

/// Runs all jobs in a directory.
fn jobs(dir: &Path, phase: &str) -> Result<()> {
    for (name, arguments) in JOBS {
        let mut fio = Command::new("fio");
        fio.arg(format!("--name={name}"))
            .arg(format!("--directory={}", dir.display()))
            .args(COMMON)
            .args(*arguments)
            .arg(phase)
            // What it notes for itself, in the working directory.
            .current_dir(dir);
        output(&mut fio).with_context(|| format!("job {name}, {phase}"))?;
    }
    Ok(())
}
