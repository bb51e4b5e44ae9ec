//! Makes the demo's tree, which is the same on each run, including times.

use std::fmt;
use std::fs::{self, File, Permissions};
use std::io::Result;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, lchown, symlink};
use std::path::{Path, PathBuf};

use fastrand::Rng;
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, XattrFlags, lsetxattr, utimensat};

/// How many subdirectories each directory has, three levels deep.
const FAN_OUT: usize = 5;
/// Files in each directory.
const SMALL: usize = 16;
/// Files of several MiB.
const BIG: usize = 6;

/// The number of files and bytes that were made.
#[derive(Default)]
pub(crate) struct Made {
    entries: usize,
    bytes: u64,
    xattrs: bool,
}

impl fmt::Display for Made {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} entries, {} MiB of data",
            self.entries,
            self.bytes >> 20
        )?;
        match self.xattrs {
            true => Ok(()),
            false => f.write_str("; no extended attributes, this directory's filesystem has none"),
        }
    }
}

/// Makes the tree in a new directory.
pub(crate) fn make(top: &Path) -> Result<Made> {
    let mut made = Made {
        xattrs: true,
        ..Made::default()
    };
    let mut rng = Rng::with_seed(6_12);
    let root = fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0);
    fs::create_dir(top)?;
    let mut directories = vec![top.to_owned()];
    let mut level = directories.clone();
    for _ in 0..3 {
        let above = std::mem::take(&mut level);
        for (directory, n) in above
            .iter()
            .flat_map(|above| (0..FAN_OUT).map(move |n| (above, n)))
        {
            let directory = directory.join(format!("directory {n}"));
            fs::create_dir(&directory)?;
            level.push(directory);
        }
        directories.extend(level.iter().cloned());
    }
    for directory in &directories {
        fill(directory, root, &mut rng, &mut made)?;
    }
    let big = top.join("big");
    fs::create_dir(&big)?;
    for n in 0..BIG {
        let contents = data(&mut rng, (12 << 20) + n * 1_234_567);
        made.bytes += contents.len() as u64;
        let path = big.join(format!("file {n}"));
        fs::write(&path, contents)?;
        set_time(&path, &mut rng)?;
    }
    let holes = big.join("sparse");
    sparse(&holes, &mut made)?;
    set_time(&holes, &mut rng)?;
    directories.push(big);
    made.entries += directories.len() + BIG;
    // Last and from below: what is made in a directory changes its time.
    for directory in directories.iter().rev() {
        set_time(directory, &mut rng)?;
    }
    Ok(made)
}

/// Half random, half text, so that neither extreme of compression is favoured.
fn data(rng: &mut Rng, len: usize) -> Vec<u8> {
    let mut bytes = vec![b'.'; len];
    rng.fill(&mut bytes[..len / 2]);
    bytes
}

fn fill(directory: &Path, root: bool, rng: &mut Rng, made: &mut Made) -> Result<()> {
    let mut paths: Vec<PathBuf> = Vec::new();
    for n in 0..SMALL {
        let path = directory.join(format!("file {n:02}"));
        let contents = data(rng, [0, 100, 1000, 4096, 5000, 20_000][n % 6] + n);
        made.bytes += contents.len() as u64;
        fs::write(&path, contents)?;
        if root {
            lchown(&path, Some(1000 + n as u32), Some(100))?;
        }
        let mode = [0o644, 0o600, 0o755, 0o4755, 0o444, 0o2711][n % 6];
        if n % 5 == 0 && made.xattrs {
            let value = format!("number {n}").into_bytes();
            let set = lsetxattr(&path, "user.drupe.demo", &value, XattrFlags::empty());
            made.xattrs = set.is_ok();
        }
        fs::set_permissions(&path, Permissions::from_mode(mode))?;
        paths.push(path);
    }
    let (hard, soft) = (directory.join("hard link"), directory.join("symbolic link"));
    fs::hard_link(&paths[3], &hard)?;
    symlink("directory 0/../file 00", &soft)?;
    paths.push(soft);
    made.entries += paths.len() + 1;
    paths.iter().try_for_each(|path| set_time(path, rng))
}

/// 64 MiB of which 3 pieces are data.
fn sparse(path: &Path, made: &mut Made) -> Result<()> {
    let file = File::create(path)?;
    for offset in [0, 20 << 20, (63 << 20) + 777] {
        file.write_all_at(&[7; 10_000], offset)?;
        made.bytes += 10_000;
    }
    made.entries += 1;
    file.set_len(64 << 20)
}

/// Somewhere between 1966 and 2033, to the nanosecond.
fn set_time(path: &Path, rng: &mut Rng) -> Result<()> {
    let mut time = || Timespec {
        tv_sec: rng.i64(-100_000_000..2_000_000_000),
        tv_nsec: rng.i64(0..1_000_000_000) as _,
    };
    let times = Timestamps {
        last_access: time(),
        last_modification: time(),
    };
    Ok(utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW)?)
}
