//! Rows `images`: copying files into an ext4 image and out again, by whole processes,
//! with all files in memory, and again on a disk.

use crate::table::{Row, Table};
use anyhow::{Context, Result, bail, ensure};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Rounds per job; the best counts.
const ROUNDS: usize = 5;

/// A directory of the host whose files are in memory.
pub(crate) const MEMORY: &str = "/dev/shm";

/// The directories and the command of a measurement.
struct Place {
    dir: TempDir,
    command: PathBuf,
}

/// The tree of small files.
const SMALL: &str = "small";
const BIG: &str = "big";
/// The tree of files of all sizes in many directories, like installed programs.
const MIXED: &str = "mixed";

/// The directory for the rows "on a disk".
pub(crate) const DISK: &str = "/var/tmp";

impl Place {
    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A fresh image of 1 GiB.
    fn image(&self, from: Option<&str>) -> Result<PathBuf> {
        let image = self.path("image.ext4");
        let _ = fs::remove_file(&image);
        File::create(&image)?.set_len(1 << 30)?;
        let mut mkfs = Command::new("mkfs.ext4");
        mkfs.args(["-q", "-F", "-E", "lazy_itable_init=1,root_owner=0:0"]);
        if let Some(tree) = from {
            mkfs.arg("-d").arg(self.path(tree));
        }
        time(mkfs.arg(&image))?;
        Ok(image)
    }
}

/// Runs a command that must succeed. Returns how long it took.
pub(crate) fn time(command: &mut Command) -> Result<Duration> {
    let start = Instant::now();
    let output = command
        .output()
        .with_context(|| format!("cannot run {:?}", command.get_program()))?;
    let time = start.elapsed();
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        bail!("{command:?} failed: {}", text.trim());
    }
    Ok(time)
}

/// The best time of several rounds of `job`.
fn best(mut job: impl FnMut() -> Result<Duration>) -> Result<Duration> {
    let times = (0..ROUNDS).map(|_| job()).collect::<Result<Vec<_>>>()?;
    Ok(times.into_iter().min().expect("several rounds"))
}

/// `image:/`, as the command wants it.
fn inside(image: &Path) -> String {
    format!("{}:/", image.display())
}

fn copy_in(place: &Place, tree: &str, what: &str) -> Result<Row> {
    let drupe = best(|| {
        let image = place.image(None)?;
        time(
            Command::new(&place.command)
                .args(["--quiet", "cp", "-r"])
                .arg(place.path(tree))
                .arg(inside(&image)),
        )
    })?;
    check(&place.path("image.ext4"))?;
    // Making the filesystem is part of the job there; take off what that costs.
    let empty = best(|| timed(|| place.image(None)))?;
    let filled = best(|| timed(|| place.image(Some(tree))))?;
    let row = Row::new(what, drupe).peer("mke2fs -d", filled.saturating_sub(empty));
    Ok(with_loop(row, best(|| loop_in(place, tree))))
}

/// Adds the time of the host's loop mount, or why there is none.
fn with_loop(row: Row, time: Result<Duration>) -> Row {
    match time {
        Ok(time) => row.peer("loop mount", time),
        Err(error) => row.note(format!("no loop mount here: {error:#}")),
    }
}

fn copy_out(place: &Place, tree: &str, what: &str) -> Result<Row> {
    let image = place.image(Some(tree))?;
    let out = place.path("out");
    let fresh = || -> Result<()> {
        let _ = fs::remove_dir_all(&out);
        fs::create_dir(&out)?;
        Ok(())
    };
    let drupe = best(|| {
        fresh()?;
        time(
            Command::new(&place.command)
                .args(["--quiet", "cp", "-r"])
                .arg(inside(&image))
                .arg(&out),
        )
    })?;
    let debugfs = best(|| {
        fresh()?;
        let request = format!("rdump / {}", out.display());
        time(Command::new("debugfs").args(["-R", &request]).arg(&image))
    })?;
    let looped = best(|| {
        fresh()?;
        loop_mounted(place, &image, &place.path("mnt"), &out, true)
    });
    let row = Row::new(what, drupe).peer("debugfs rdump", debugfs);
    Ok(with_loop(row, looped))
}

fn timed<T>(job: impl FnOnce() -> Result<T>) -> Result<Duration> {
    let start = Instant::now();
    job()?;
    Ok(start.elapsed())
}

fn check(image: &Path) -> Result<()> {
    let status = Command::new("e2fsck").arg("-fn").arg(image).output()?;
    ensure!(status.status.success(), "the image is damaged");
    Ok(())
}

fn loop_in(place: &Place, tree: &str) -> Result<Duration> {
    let image = place.image(None)?;
    let (from, to) = (place.path(tree), place.path("mnt"));
    loop_mounted(place, &image, &from, &to, false)
}

/// Mounts the image with the host's kernel, copies, unmounts.
fn loop_mounted(
    place: &Place,
    image: &Path,
    from: &Path,
    to: &Path,
    read_only: bool,
) -> Result<Duration> {
    let mount = place.path("mnt");
    fs::create_dir_all(&mount)?;
    let start = Instant::now();
    let options = if read_only { "loop,ro" } else { "loop" };
    time(
        Command::new("mount")
            .args(["-o", options])
            .args([image, &mount]),
    )?;
    let copied = time(Command::new("cp").arg("-r").arg(from).arg(to));
    time(Command::new("umount").arg(&mount))?;
    copied?;
    Ok(start.elapsed())
}

fn run_all(place: &Place, suffix: &str, table: &mut Table) -> Result<()> {
    for (tree, what) in [
        (SMALL, "1000 files of 4 KiB"),
        (MIXED, "2700 files, 60 MiB"),
        (BIG, "256 MiB file"),
    ] {
        table.push(copy_in(place, tree, &format!("{what} into ext4{suffix}"))?);
        table.push(copy_out(place, tree, &format!("{what} out{suffix}"))?);
    }
    Ok(())
}

/// Whether there is a program of this name.
pub(crate) fn is_there(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok()
}

/// A directory for files, in memory where the host has a place for that.
pub(crate) fn scratch() -> Result<TempDir> {
    Ok(if Path::new(MEMORY).is_dir() {
        TempDir::new_in(MEMORY)?
    } else {
        TempDir::new()?
    })
}

/// Measures with the `drupe` at `command`.
pub(crate) fn run(table: &mut Table, command: &Path) -> Result<()> {
    let command = fs::canonicalize(command).with_context(|| format!("no {}", command.display()))?;
    for (dir, suffix) in [(scratch()?, ""), (TempDir::new_in(DISK)?, ", on a disk")] {
        let place = Place {
            dir,
            command: command.clone(),
        };
        make_trees(&place)?;
        run_all(&place, suffix, table)?;
    }
    Ok(())
}

fn make_trees(place: &Place) -> Result<()> {
    fs::create_dir(place.path(SMALL))?;
    for i in 0..1000u32 {
        fs::write(place.path(SMALL).join(format!("file-{i}")), [i as u8; 4096])?;
    }
    for i in 0..2700u32 {
        let dir = place.path(MIXED).join(format!("{}/{}", i % 9, i % 270));
        fs::create_dir_all(&dir)?;
        // 23 KiB in the middle, most of them much smaller.
        let len = match i % 30 {
            0 => 500_000,
            step => step * 420,
        };
        fs::write(
            dir.join(format!("file-{i}")),
            vec![i as u8 | 1; len as usize],
        )?;
    }
    fs::create_dir(place.path(BIG))?;
    let mut big = File::create(place.path(BIG).join("file"))?;
    for i in 0..256u32 {
        big.write_all(&vec![i as u8 | 1; 1 << 20])?;
    }
    Ok(())
}
