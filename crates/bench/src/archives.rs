//! Rows `archives`: a new filesystem filled from a tar archive or from a container image,
//! by whole processes, beside the tools of the filesystems, which fill from a directory,
//! and umoci, which fills one. All files are in memory.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use tempfile::TempDir;

use crate::copies::{is_there, scratch, time};
use crate::table::{Row, Table};

/// Rounds per job; the best counts.
const ROUNDS: usize = 3;
/// Files of the archive, and directories that they are in.
const FILES: u32 = 10_000;
const DIRS: u32 = 200;
/// Layers of the container image; each has a part of the tree.
const LAYERS: u32 = 5;
/// Bytes of a filesystem.
const SIZE: u64 = 1 << 30;

/// The directories and the command of a measurement.
struct Place {
    dir: TempDir,
    command: PathBuf,
}

impl Place {
    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A sparse file without a filesystem.
    fn blank(&self) -> Result<PathBuf> {
        let image = self.path("image");
        let _ = fs::remove_file(&image);
        File::create(&image)?.set_len(SIZE)?;
        Ok(image)
    }

    fn drupe(&self, arguments: &[&str]) -> Result<Duration> {
        time(
            Command::new(&self.command)
                .arg("--quiet")
                .args(arguments)
                .current_dir(self.dir.path()),
        )
    }
}

/// The best time of several rounds.
fn best(mut job: impl FnMut() -> Result<Duration>) -> Result<Duration> {
    let times = (0..ROUNDS).map(|_| job()).collect::<Result<Vec<_>>>()?;
    Ok(times.into_iter().min().expect("several rounds"))
}

/// Files of 0 to 12 KiB, as in a root filesystem most are.
fn make_tree(tree: &Path) -> Result<()> {
    for i in 0..FILES {
        let dir = tree.join(format!("{}/{}", i % LAYERS, i % DIRS));
        fs::create_dir_all(&dir)?;
        let len = (i * 97 % 12_288) as usize;
        fs::write(dir.join(format!("file-{i}")), vec![i as u8 | 1; len])?;
    }
    Ok(())
}

/// What mkfs.xfs fills a filesystem from: proto(4) of the tree.
fn prototype(tree: &Path, to: &Path) -> Result<()> {
    fn below(dir: &Path, out: &mut impl Write) -> Result<()> {
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if entry.file_type()?.is_dir() {
                writeln!(out, "{name} d--755 0 0")?;
                below(&entry.path(), out)?;
                writeln!(out, "$")?;
            } else {
                writeln!(out, "{name} ---644 0 0 {}", entry.path().display())?;
            }
        }
        Ok(())
    }
    let mut out = std::io::BufWriter::new(File::create(to)?);
    writeln!(out, "/dev/null\n0 0\nd--755 0 0")?;
    below(tree, &mut out)?;
    writeln!(out, "$")?;
    Ok(out.flush()?)
}

/// A filesystem from the archive by drupe, and from the tree by its own tool.
fn filled(place: &Place, make: &[&str], fill: &[&str]) -> Result<(Duration, Duration)> {
    let mkfs = |more: &[&str], image: &Path| {
        let mut mkfs = Command::new(make[0]);
        mkfs.args(&make[1..]).args(more).arg(image);
        time(mkfs.current_dir(place.dir.path()))
    };
    let drupe = best(|| {
        let image = place.blank()?;
        Ok(mkfs(&[], &image)? + place.drupe(&["untar", "-f", "tree.tar", "image:/"])?)
    })?;
    let peer = best(|| mkfs(fill, &place.blank()?))?;
    Ok((drupe, peer))
}

/// A container image whose layers are parts of the tree.
fn make_layers(place: &Place) -> Result<()> {
    let umoci = |arguments: &[&str]| {
        let mut umoci = Command::new("umoci");
        time(umoci.args(arguments).current_dir(place.dir.path()))
    };
    umoci(&["init", "--layout", "oci"])?;
    umoci(&["new", "--image", "oci:latest"])?;
    for layer in 0..LAYERS {
        let (from, to) = (format!("tree/{layer}"), format!("/{layer}"));
        umoci(&["insert", "--image", "oci:latest", &from, &to])?;
    }
    Ok(())
}

fn unpacked(place: &Place) -> Result<Row> {
    let drupe = best(|| {
        let image = place.blank()?;
        let start = Instant::now();
        time(Command::new("mkfs.ext4").args(["-q", "-F"]).arg(&image))?;
        place.drupe(&["oci", "unpack", "oci:oci:latest", "image:/"])?;
        Ok(start.elapsed())
    })?;
    let umoci = best(|| {
        let _ = fs::remove_dir_all(place.path("bundle"));
        let mut umoci = Command::new("umoci");
        umoci.args(["unpack", "--image", "oci:latest", "bundle"]);
        time(umoci.current_dir(place.dir.path()))
    })?;
    Ok(Row::new("OCI image into ext4", drupe).peer("umoci unpack", umoci))
}

/// Measures with the `drupe` at `command`.
pub(crate) fn run(table: &mut Table, command: &Path) -> Result<()> {
    let place = Place {
        dir: scratch()?,
        command: fs::canonicalize(command)?,
    };
    let tree = place.path("tree");
    make_tree(&tree)?;
    prototype(&tree, &place.path("proto"))?;
    let mut tar = Command::new("tar");
    tar.args(["--owner=0", "--group=0", "-C"]).arg(&tree);
    time(tar.arg("-cf").arg(place.path("tree.tar")).arg("."))?;
    let peers: [(&str, &'static str, &[&str], &[&str]); 3] = [
        (
            "ext4",
            "mke2fs -d",
            &["mkfs.ext4", "-q", "-F"],
            &["-d", "tree"],
        ),
        (
            "XFS",
            "mkfs.xfs -p",
            &["mkfs.xfs", "-q", "-f"],
            &["-p", "proto"],
        ),
        (
            "btrfs",
            "mkfs.btrfs --rootdir",
            &["mkfs.btrfs", "-q", "-f"],
            &["--rootdir", "tree"],
        ),
    ];
    for (name, peer, make, fill) in peers {
        let what = format!("tar of 10,000 files into {name}");
        if !is_there(make[0]) && !Path::new("/sbin").join(make[0]).exists() {
            table.push(Row::missing(what, format!("there is no {} here", make[0])));
            continue;
        }
        let (drupe, theirs) = filled(&place, make, fill)?;
        table.push(Row::new(what, drupe).peer(peer, theirs));
    }
    if !is_there("umoci") {
        table.push(Row::missing(
            "OCI image into ext4",
            "there is no umoci here",
        ));
        return Ok(());
    }
    make_layers(&place)?;
    ensure!(place.path("oci/index.json").exists(), "umoci made no image");
    table.push(unpacked(&place)?);
    Ok(())
}
