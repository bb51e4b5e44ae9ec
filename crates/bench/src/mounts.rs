//! Rows `mounts`: fio and Python wheels on an ext4 image, mounted by `drupe mount`,
//! fuse2fs and the host, with the image in memory, and again on a disk. On each mount, in turns, fio does the same jobs with a file, and
//! wheels are unpacked, walked and imported ([`wheels`]).

use crate::copies::{DISK, is_there, scratch, time};
use crate::table::{Row, Table};
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

mod wheels;

/// Rounds; the best of each counts.
const ROUNDS: usize = 3;

/// Bytes of the file: more than a kernel of 64 MiB has room for.
const SIZE: &str = "200M";

/// A job of fio's: its name here, `--rw`, `--bs`.
const JOBS: [(&str, &str, &str); 4] = [
    ("mounted ext4: write 1 MiB", "write", "1M"),
    ("mounted ext4: read 1 MiB", "read", "1M"),
    ("mounted ext4: random write 4 KiB", "randwrite", "4k"),
    ("mounted ext4: random read 4 KiB", "randread", "4k"),
];

/// The program that mounts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mounter {
    Drupe,
    /// `drupe mount --writeback`.
    DrupeWriteback,
    Fuse2fs,
    Loop,
}

impl Mounter {
    pub(crate) const ALL: [Mounter; 4] = [
        Mounter::Drupe,
        Mounter::DrupeWriteback,
        Mounter::Fuse2fs,
        Mounter::Loop,
    ];

    pub(crate) fn mount(self, drupe: &Path, image: &Path, dir: &Path) -> Command {
        let mut command = match self {
            Mounter::Drupe | Mounter::DrupeWriteback => Command::new(drupe),
            Mounter::Fuse2fs => Command::new("fuse2fs"),
            Mounter::Loop => Command::new("mount"),
        };
        match self {
            Mounter::Drupe => command.args(["mount"]),
            Mounter::DrupeWriteback => command.args(["mount", "--writeback"]),
            Mounter::Fuse2fs => &mut command,
            Mounter::Loop => command.args(["-o", "loop"]),
        };
        command.args([image, dir]);
        command
    }
}

/// The times of all jobs, each with a final fsync where it writes.
fn jobs(dir: &Path) -> Result<Vec<Duration>> {
    let file = dir.join("file");
    let job = |&(_, rw, bs): &(&str, &str, &str)| {
        let mut fio = Command::new("fio");
        fio.args(["--name=job", "--ioengine=psync", "--end_fsync=1"])
            .args(["--invalidate=1", "--randseed=1", "--output-format=json"])
            .arg(format!("--filename={}", file.display()))
            .arg(format!("--rw={rw}"))
            .arg(format!("--bs={bs}"))
            .arg(format!("--size={SIZE}"));
        let output = fio.output().context("cannot run fio")?;
        ensure!(output.status.success(), "fio failed on {}", dir.display());
        let said: Value = serde_json::from_slice(&output.stdout).context("what fio said")?;
        let millis = said["jobs"][0]["job_runtime"].as_u64();
        Ok(Duration::from_millis(millis.context("fio gave no time")?))
    };
    JOBS.iter().map(job).collect()
}

/// Mounts a fresh image, does `work` in it, unmounts.
pub(crate) fn mounted<T>(
    who: Mounter,
    drupe: &Path,
    place: &Path,
    work: impl FnOnce(&Path) -> Result<T>,
) -> Result<T> {
    let (image, dir) = (place.join("image.ext4"), place.join("mnt"));
    let _ = fs::remove_file(&image);
    File::create(&image)?.set_len(1500 << 20)?;
    time(Command::new("mkfs.ext4").args(["-q", "-F"]).arg(&image))?;
    fs::create_dir_all(&dir)?;
    time(&mut who.mount(drupe, &image, &dir))?;
    let done = work(&dir);
    time(Command::new("umount").arg(&dir))?;
    // In use until it is written out.
    time(Command::new("flock").arg(&image).arg("true"))?;
    done
}

/// The best times of each program that could be measured.
pub(crate) fn best(
    drupe: &Path,
    place: &Path,
    work: impl Fn(&Path) -> Result<Vec<Duration>>,
) -> Result<Vec<Option<Vec<Duration>>>> {
    let mut best: Vec<Option<Vec<Duration>>> = vec![None; Mounter::ALL.len()];
    for _ in 0..ROUNDS {
        for (who, best) in Mounter::ALL.into_iter().zip(&mut best) {
            let times = match (who, mounted(who, drupe, place, &work)) {
                (Mounter::Drupe | Mounter::DrupeWriteback, times) => times?,
                (_, Ok(times)) => times,
                // Not installed, or not allowed here.
                (_, Err(_)) => continue,
            };
            *best = Some(match best.take() {
                None => times,
                Some(old) => old.into_iter().zip(times).map(|(a, b)| a.min(b)).collect(),
            });
        }
    }
    Ok(best)
}

/// Adds a row for each name.
pub(crate) fn rows(
    table: &mut Table,
    names: impl IntoIterator<Item = String>,
    best: &[Option<Vec<Duration>>],
) -> Result<()> {
    for (index, what) in names.into_iter().enumerate() {
        let of = |who: Mounter| best[who as usize].as_ref().map(|times| times[index]);
        let ours = of(Mounter::Drupe).context("drupe was measured")?;
        let mut row = Row::new(what, ours);
        for (who, name) in [
            (Mounter::Fuse2fs, "fuse2fs"),
            (Mounter::Loop, "loop mount"),
            (Mounter::DrupeWriteback, "--writeback"),
        ] {
            row = match of(who) {
                Some(theirs) => row.peer(name, theirs),
                None => row.note(format!("no {name} here")),
            };
        }
        table.push(row);
    }
    Ok(())
}

/// Measures with the `drupe` at `command`.
pub(crate) fn run(table: &mut Table, command: &Path) -> Result<()> {
    let drupe: PathBuf =
        fs::canonicalize(command).with_context(|| format!("no {}", command.display()))?;
    if !Path::new("/dev/fuse").exists() {
        let names = JOBS.iter().map(|job| job.0);
        for what in names.chain(wheels::NAMES) {
            table.push(Row::missing(what, "there is no /dev/fuse here"));
        }
        return Ok(());
    }
    for (place, suffix) in [(scratch()?, ""), (TempDir::new_in(DISK)?, ", on a disk")] {
        let names = JOBS.iter().map(|job| format!("{}{suffix}", job.0));
        match is_there("fio") {
            true => {
                let best = best(&drupe, place.path(), jobs)?;
                rows(table, names, &best)?;
            }
            false => {
                for what in names {
                    table.push(Row::missing(what, "there is no fio here"));
                }
            }
        }
        wheels::run(table, &drupe, place.path(), suffix)?;
    }
    Ok(())
}
