//! `pjdfstest`: runs the suite pjdfstest on `drupe mount` and on the host's loop mount,
//! and compares with the list of expected failures.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::mounts::{self, Mounted};
use crate::run::root;

/// The version of the suite for which the lists are.
const VERSION: &str = "0.2.2";

/// The suite's configuration: how to remount read-only, and a pause of several ticks.
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

/// The outcomes of tests that are not `ok`.
pub(crate) type Outcomes = BTreeMap<String, String>;

/// The filesystems that have lists.
const KINDS: [&str; 3] = ["ext4", "xfs", "btrfs"];

pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let kinds: Vec<&str> = match arguments {
        [] => KINDS.into(),
        [option, name] if option == "--fs" && KINDS.contains(&&**name) => vec![&**name],
        _ => bail!("usage: cargo xtask pjdfstest [--fs ext4|xfs|btrfs]"),
    };
    let suite = mounts::install("pjdfstest", VERSION)?;
    let drupe = mounts::command()?;
    for kind in kinds {
        one(kind, &suite, &drupe).with_context(|| format!("pjdfstest on {kind}"))?;
    }
    Ok(())
}

fn one(kind: &str, suite: &Path, drupe: &Path) -> Result<()> {
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
    let test = |mounted: Mounted| -> Result<(Outcomes, usize)> {
        let path = std::env::var("PATH").unwrap_or_default();
        let mut command = Command::new(suite);
        command
            .arg("--configuration-file")
            .arg(&configuration)
            .arg("--path")
            .arg(mounted.dir())
            .env("PATH", format!("{}:{path}", wrapper.display()))
            .stderr(Stdio::null());
        let said = command.output()?;
        parse(&String::from_utf8_lossy(&said.stdout))
    };

    let (image, dir) = mounts::image(kind, place.path(), "loop")?;
    let mut mount = Command::new("mount");
    mount.args(["-o", "loop"]);
    let (host, host_passed) = test(Mounted::new(&mut mount, &image, &dir)?)?;
    let (image, dir) = mounts::image(kind, place.path(), "drupe")?;
    let mut mount = Command::new(drupe);
    mount.arg("mount");
    let (ours, passed) = test(Mounted::new(&mut mount, &image, &dir)?)?;
    mounts::check(kind, &image)?;

    println!("pjdfstest on {kind}: {passed} passed, {host_passed} on a loop device");
    compare(&ours, &host, "on a loop device")?;
    let list = format!("tests/expected/pjdfstest-{kind}.txt");
    let expected = fs::read_to_string(root().join(&list)).context(list.clone())?;
    let expected = expectations(&expected);
    compare(&ours, &expected, &list)?;
    compare(&expected, &ours, "any more: take them off the list")
}

/// Parses the output: the tests that did not pass, and the number of those that did.
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

/// Parses a list: each line has the outcome and the name of a test; `#` begins a comment.
pub(crate) fn expectations(text: &str) -> Outcomes {
    let lines = text
        .lines()
        .map(|line| line.split('#').next().unwrap_or(""));
    lines
        .filter_map(|line| line.trim().split_once(' '))
        .map(|(outcome, name)| (name.trim().into(), outcome.into()))
        .collect()
}

/// Fails if a test of `ours` failed that did not fail in `theirs`, which is called
/// `there`.
pub(crate) fn compare(ours: &Outcomes, theirs: &Outcomes, there: &str) -> Result<()> {
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
