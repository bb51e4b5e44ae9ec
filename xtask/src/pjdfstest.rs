//! `pjdfstest`: that suite over `drupe mount`, beside the host's loop mount of an
//! equal image, and beside the list of what is expected to fail.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::run::{cargo, output, root, run as run_command};

/// The version that the lists were made with.
const VERSION: &str = "0.2.2";

/// What fits the filesystems' least sizes.
const SIZE: u64 = 512 << 20;

/// Remounting is for what must be read-only; a naptime of several ticks.
const CONFIGURATION: &str = "\
[features]
posix_fallocate = {}
rename_ctime = {}
stat_st_birthtime = {}
utime_now = {}
utimensat = {}
[settings]
naptime = 0.01
allow_remount = true
[dummy_auth]
entries = [[\"nobody\", \"nogroup\"], [\"daemon\", \"daemon\"]]
";

/// A filesystem, and what checks an image of it.
struct Kind {
    name: &'static str,
    check: &'static [&'static str],
}

const KINDS: &[Kind] = &[
    Kind {
        name: "ext4",
        check: &["e2fsck", "-fn"],
    },
    Kind {
        name: "xfs",
        check: &["xfs_repair", "-n"],
    },
    Kind {
        name: "btrfs",
        check: &["btrfs", "check"],
    },
];

/// What became of each test that is not `ok`.
type Outcomes = BTreeMap<String, String>;

pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let kinds: Vec<&Kind> = match arguments {
        [] => KINDS.iter().collect(),
        [option, name] if option == "--fs" => {
            let known = KINDS.iter().find(|kind| kind.name == name);
            vec![known.with_context(|| format!("no filesystem {name:?}: ext4, xfs or btrfs"))?]
        }
        _ => bail!("usage: cargo xtask pjdfstest [--fs ext4|xfs|btrfs]"),
    };
    let suite = install()?;
    run_command(cargo().args(["build", "--locked", "--package", "drupe-cli"]))?;
    let own = std::env::current_exe().context("where is this program?")?;
    let drupe = own.with_file_name("drupe");
    for kind in kinds {
        one(kind, &suite, &drupe).with_context(|| format!("pjdfstest on {}", kind.name))?;
    }
    Ok(())
}

/// The suite, installed below `target` if it is not there.
fn install() -> Result<PathBuf> {
    let tools = root().join("target/tools");
    let suite = tools.join("bin/pjdfstest");
    let version = Command::new(&suite).arg("--version").output();
    let there = version.is_ok_and(|said| said.stdout.ends_with(format!("{VERSION}\n").as_bytes()));
    if !there {
        run_command(
            cargo()
                .args(["install", "--locked", "--force", "--root"])
                .arg(&tools)
                .arg(format!("pjdfstest@{VERSION}")),
        )?;
    }
    Ok(suite)
}

/// A directory with something mounted on it, until dropped.
struct Mounted(PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

fn one(kind: &Kind, suite: &Path, drupe: &Path) -> Result<()> {
    let place = tempfile::tempdir()?;
    // Its tests change users, who have to get there.
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755))?;
    let configuration = place.path().join("pjdfstest.toml");
    fs::write(&configuration, CONFIGURATION)?;
    // mount(8) asks a helper to remount a FUSE filesystem, which cannot: -i is
    // without helpers.
    let wrapper = place.path().join("bin");
    fs::create_dir(&wrapper)?;
    fs::write(
        wrapper.join("mount"),
        "#!/bin/sh\nexec /bin/mount -i \"$@\"\n",
    )?;
    fs::set_permissions(wrapper.join("mount"), fs::Permissions::from_mode(0o755))?;
    let image = |name: &str| -> Result<(PathBuf, PathBuf)> {
        let image = place.path().join(format!("{name}.img"));
        File::create(&image)?.set_len(SIZE)?;
        output(
            Command::new(format!("mkfs.{}", kind.name))
                .arg("-q")
                .arg(&image),
        )?;
        let dir = place.path().join(name);
        fs::create_dir(&dir)?;
        Ok((image, dir))
    };
    let test = |dir: PathBuf| -> Result<(Outcomes, usize)> {
        let path = std::env::var("PATH").unwrap_or_default();
        let mut command = Command::new(suite);
        command
            .arg("--configuration-file")
            .arg(&configuration)
            .arg("--path")
            .arg(&dir)
            .env("PATH", format!("{}:{path}", wrapper.display()))
            .stderr(Stdio::null());
        let said = command.output()?;
        let _unmounted = Mounted(dir);
        parse(&String::from_utf8_lossy(&said.stdout))
    };

    let (looped, dir) = image("loop")?;
    output(
        Command::new("mount")
            .args(["-o", "loop"])
            .args([&looped, &dir]),
    )?;
    let (host, host_passed) = test(dir)?;
    let (image, dir) = image("drupe")?;
    output(Command::new(drupe).arg("mount").args([&image, &dir]))?;
    let (ours, passed) = test(dir)?;
    // In use until it is clean.
    output(
        Command::new("flock")
            .arg(&image)
            .args(kind.check)
            .arg(&image),
    )?;

    println!(
        "pjdfstest on {}: {passed} passed, {host_passed} on a loop device",
        kind.name
    );
    compare(&ours, &host, "on a loop device")?;
    let list = format!("tests/expected/pjdfstest-{}.txt", kind.name);
    let expected = fs::read_to_string(root().join(&list)).context(list.clone())?;
    let expected = expectations(&expected);
    compare(&ours, &expected, &list)?;
    compare(&expected, &ours, "any more: take them off the list")
}

/// The tests that did not pass, and how many did.
fn parse(text: &str) -> Result<(Outcomes, usize)> {
    let mut outcomes = Outcomes::new();
    let mut passed = 0;
    for line in text.lines() {
        let mut words = line.split_whitespace();
        match (words.next(), words.next(), words.next()) {
            (Some(_), Some("ok"), None) => passed += 1,
            (Some(name), Some(outcome @ ("FAILED" | "skipped")), None) => {
                outcomes.insert(name.into(), outcome.into());
            }
            _ => {}
        }
    }
    if passed == 0 {
        bail!("the suite did not run: {text}");
    }
    Ok((outcomes, passed))
}

/// A list: a line for each test, its outcome and its name; `#` begins a comment.
fn expectations(text: &str) -> Outcomes {
    let lines = text
        .lines()
        .map(|line| line.split('#').next().unwrap_or(""));
    lines
        .filter_map(|line| line.trim().split_once(' '))
        .map(|(outcome, name)| (name.trim().into(), outcome.into()))
        .collect()
}

/// Fails if a test failed that did not fail there.
fn compare(ours: &Outcomes, theirs: &Outcomes, there: &str) -> Result<()> {
    let failures = |outcomes: &Outcomes| -> Vec<String> {
        let failed = outcomes.iter().filter(|(_, outcome)| *outcome == "FAILED");
        failed.map(|(name, _)| name.clone()).collect()
    };
    let (ours, theirs) = (failures(ours), failures(theirs));
    let new: Vec<_> = ours
        .into_iter()
        .filter(|name| !theirs.contains(name))
        .collect();
    match new.is_empty() {
        true => Ok(()),
        false => bail!("not {there}, but here these fail: {}", new.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_failed_is_told_from_what_did_not() {
        let text =
            "a::b     ok\na::c   FAILED\n\tpanicked at x ok\nd  skipped\nSummary: 1 failed\n";
        let (ours, passed) = parse(text).expect("it ran");
        assert_eq!((ours.len(), passed), (2, 1));
        assert!(compare(&ours, &ours, "there").is_ok());
        let listed = expectations("# why\nskipped d # because\n");
        let error = compare(&ours, &listed, "there").expect_err("a::c");
        assert!(error.to_string().ends_with("fail: a::c"), "{error}");
        assert!(compare(&listed, &ours, "there").is_ok());
        assert!(parse("no such file\n").is_err());
    }
}
