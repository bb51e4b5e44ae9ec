//! [`Turns`]: measures the demo's copies and those of the host's tools in turns, from the
//! same state, several times, so that other load on the machine has less influence.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::{quietly, tool};

/// How often each copy is measured.
const ROUNDS: usize = 5;
/// Size of an image, in bytes; most of it stays a hole.
const IMAGE_SIZE: u64 = 1 << 30;
/// The directory that debugfs copies to.
const PEER_OUT: &str = "peer-out";

/// The commands and the directory of the measurement.
pub(super) struct Turns<'a, F: Fn() -> Command> {
    pub(super) drupe: F,
    pub(super) directory: &'a Path,
    pub(super) tree: &'a Path,
}

/// An empty file to make a filesystem in.
pub(super) fn new_image(path: &Path) -> Result<()> {
    // Not the old one, cut: its blocks would have to be freed first.
    let _ = fs::remove_file(path);
    Ok(fs::File::create(path)?.set_len(IMAGE_SIZE)?)
}

impl<F: Fn() -> Command> Turns<'_, F> {
    /// The ratios of copying in, and of copying out.
    pub(super) fn run(&self) -> Result<(Vec<f64>, Vec<f64>)> {
        let (mut copies_in, mut copies_out) = (Vec::new(), Vec::new());
        for round in 0..ROUNDS {
            let ours_first = round % 2 == 0;
            let (ours, theirs) = in_turns(ours_first, || self.ours_in(), || self.theirs_in())?;
            copies_in.push(ours.as_secs_f64() / theirs.as_secs_f64());
            let (ours, theirs) = in_turns(ours_first, || self.ours_out(), || self.theirs_out())?;
            copies_out.push(ours.as_secs_f64() / theirs.as_secs_f64());
        }
        Ok((copies_in, copies_out))
    }

    fn ours_in(&self) -> Result<Duration> {
        let image = self.directory.join("turns.img");
        new_image(&image)?;
        timed(|| {
            quietly(tool("mkfs.ext4").arg("-q").arg(&image))?;
            let mut inside = image.clone().into_os_string();
            inside.push(":/");
            let mut copy = (self.drupe)();
            quietly(
                copy.args(["--quiet", "cp", "-a"])
                    .arg(self.tree)
                    .arg(inside),
            )
        })
    }

    fn theirs_in(&self) -> Result<Duration> {
        let image = self.directory.join("peer.img");
        new_image(&image)?;
        let mut mke2fs = tool("mke2fs");
        mke2fs
            .args(["-q", "-t", "ext4", "-d"])
            .arg(self.tree)
            .arg(image);
        timed(|| quietly(&mut mke2fs))
    }

    fn ours_out(&self) -> Result<Duration> {
        let out = self.empty("turns-out")?;
        let mut inside = self.directory.join("turns.img").into_os_string();
        inside.push(":/tree");
        let mut copy = (self.drupe)();
        copy.args(["--quiet", "cp", "-a"]).arg(inside).arg(&out);
        timed(|| quietly(&mut copy))
    }

    fn theirs_out(&self) -> Result<Duration> {
        let out = self.empty(PEER_OUT)?;
        // By relative names: its requests end at spaces, which a path may have. It
        // succeeds whatever becomes of them.
        let mut debugfs = tool("debugfs");
        debugfs
            .arg("-R")
            .arg(format!("rdump / {PEER_OUT}"))
            .arg(self.directory.join("peer.img"))
            .current_dir(self.directory);
        let taken = timed(|| quietly(&mut debugfs))?;
        if !out.join("big").exists() {
            bail!("debugfs has copied nothing to {}", out.display());
        }
        Ok(taken)
    }

    /// A directory with nothing in it.
    fn empty(&self, name: &str) -> Result<std::path::PathBuf> {
        let path = self.directory.join(name);
        if path.exists() {
            fs::remove_dir_all(&path)?;
        }
        fs::create_dir(&path)?;
        Ok(path)
    }
}

/// Runs both jobs, one after the other, and syncs before each.
fn in_turns(
    ours_first: bool,
    ours: impl Fn() -> Result<Duration>,
    theirs: impl Fn() -> Result<Duration>,
) -> Result<(Duration, Duration)> {
    let settled = |measure: &dyn Fn() -> Result<Duration>| {
        rustix::fs::sync();
        measure()
    };
    if ours_first {
        let taken = settled(&ours)?;
        return Ok((taken, settled(&theirs)?));
    }
    let taken = settled(&theirs)?;
    Ok((settled(&ours)?, taken))
}

fn timed(work: impl FnOnce() -> Result<String>) -> Result<Duration> {
    let start = Instant::now();
    work()?;
    Ok(start.elapsed())
}
