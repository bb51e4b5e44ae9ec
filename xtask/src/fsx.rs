//! `fsx`: runs fsx through `drupe mount`: random operations on one file, each verified.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::mounts::{self, Mounted};
use crate::run::output;

const VERSION: &str = "0.3.2";

const KINDS: [&str; 4] = ["ext4", "xfs", "btrfs", "f2fs"];

/// All operations of fsx that FUSE supports.
const CONFIGURATION: &str = "\
flen = 1048576
[weights]
close_open = 1
invalidate = 1
truncate = 10
read = 10
write = 10
mapread = 10
mapwrite = 10
fsync = 1
fdatasync = 1
punch_hole = 2
posix_fallocate = 2
copy_file_range = 2
sendfile = 1
posix_fadvise = 1
";

pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let operations: u32 = match arguments {
        [] => 100_000,
        [option, number] if option == "--operations" => number.parse().context(number.clone())?,
        _ => bail!("usage: cargo xtask fsx [--operations NUMBER]"),
    };
    let program = mounts::install("fsx", VERSION)?;
    let drupe = mounts::command()?;
    let place = tempfile::tempdir()?;
    let configuration = place.path().join("fsx.toml");
    fs::write(&configuration, CONFIGURATION)?;
    for (seed, kind) in (1..).zip(KINDS) {
        for options in [&["mount"][..], &["mount", "--writeback"]] {
            let name = format!("{kind}{}", options.len());
            let (image, dir) = mounts::image(kind, place.path(), &name)?;
            let mut mount = Command::new(&drupe);
            let mounted = Mounted::new(mount.args(options), &image, &dir)?;
            let mut fsx = Command::new(&program);
            fsx.args(["-q", "-N"])
                .arg(operations.to_string())
                .arg("-S")
                .arg(seed.to_string())
                .arg("-f")
                .arg(&configuration)
                // What it keeps when something is wrong.
                .arg("-P")
                .arg(crate::run::root().join("target"))
                .arg(mounted.dir().join("file"));
            output(&mut fsx).with_context(|| format!("{kind}, {options:?}, seed {seed}"))?;
            drop(mounted);
            mounts::check(kind, &image)?;
            fs::remove_file(&image)?;
            println!(
                "fsx on {kind}, {}: {operations} operations",
                options.join(" ")
            );
        }
    }
    Ok(())
}
