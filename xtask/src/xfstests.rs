//! `xfstests`: runs the generic quick group of xfstests on `drupe mount`, and compares
//! with the list of expected failures. The user gives the path of a built suite (`make`
//! in a checkout of <https://git.kernel.org/pub/scm/fs/xfs/xfstests-dev.git>).

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use crate::mounts;
use crate::pjdfstest::{Outcomes, compare, expectations};
use crate::run::root;

/// The script `mount.fuse.drupe`, which `mount -t fuse.drupe` runs with IMAGE DIR -o
/// OPTIONS. It waits while an image that was just unmounted is in use, for which
/// umount(8) does not wait; an image that is mounted elsewhere stays in use.
fn wrapper(drupe: &Path) -> String {
    let own = "rw|ro|noatime|strictatime|relatime|sync|dirsync|lazytime|nodiratime";
    format!(
        "#!/bin/sh
image=$1 dir=$2 options=
# It has no helper: the host does what it can.
case ,$4, in *,remount,*) exec /bin/mount -i -o \"$4\" \"$dir\" ;; esac
for option in $(echo \"$4\" | tr , ' '); do
    case $option in {own}) options=$options,$option ;; esac
done
flock -w 60 \"$image\" true
exec {} mount -o \"$options\" \"$image\" \"$dir\"
",
        drupe.display()
    )
}

pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let Some((suite, tests)) = arguments.split_first() else {
        bail!("usage: cargo xtask xfstests PATH [TEST…]");
    };
    let suite = fs::canonicalize(suite).with_context(|| format!("no {suite}"))?;
    ensure!(
        suite.join("check").is_file() && suite.join("src/lstat64").is_file(),
        "{} is no suite that was built: run make there",
        suite.display()
    );
    let drupe = mounts::command()?;
    let place = tempfile::tempdir()?;
    // Its tests change users, who have to get there.
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755))?;
    let bin = place.path().join("bin");
    fs::create_dir(&bin)?;
    for (name, script) in [("mount.fuse.drupe", &*wrapper(&drupe)), ("df", DF)] {
        fs::write(bin.join(name), script)?;
        fs::set_permissions(bin.join(name), fs::Permissions::from_mode(0o755))?;
    }
    let path = std::env::var("PATH").unwrap_or_default();
    let (test, test_dir) = mounts::image("ext4", place.path(), "test")?;
    let (scratch, scratch_dir) = mounts::image("ext4", place.path(), "scratch")?;
    for image in [&test, &scratch] {
        // Some tests want a few GiB, which are not written.
        let file = fs::OpenOptions::new().write(true).open(image)?;
        file.set_len(8 << 30)?;
        crate::run::output(Command::new("mkfs.ext4").args(["-q", "-F"]).arg(image))?;
    }
    let mut check = Command::new("unshare");
    check
        .args(["--mount", "sh", "-c", WITH_HELPER])
        .arg(&bin)
        .args(["./check", "-fuse"])
        .env("PATH", format!("{}:{path}", bin.display()))
        .env("FSTYP", "fuse")
        .env("FUSE_SUBTYP", ".drupe")
        .env("TEST_DEV", &test)
        .env("TEST_DIR", &test_dir)
        .env("SCRATCH_DEV", &scratch)
        .env("SCRATCH_MNT", &scratch_dir)
        .env("RESULT_BASE", place.path().join("results"))
        .current_dir(&suite)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit());
    match tests {
        [] => check.args(["-g", "quick"]),
        tests => check.args(tests),
    };
    println!("$ {check:?}");
    let said = check.output()?;
    for dir in [&test_dir, &scratch_dir] {
        // Of a test that was left off half way.
        let _ = Command::new("umount")
            .arg(dir)
            .stderr(Stdio::null())
            .status();
    }
    let said = String::from_utf8_lossy(&said.stdout);
    print!("{said}");
    let (ours, ran) = parse(&said)?;
    mounts::check("ext4", &test)?;
    mounts::check("ext4", &scratch)?;

    let list = "tests/expected/xfstests-ext4.txt";
    let expected = fs::read_to_string(root().join(list)).context(list)?;
    let mut expected = expectations(&expected);
    expected.retain(|name, _| ran.contains(name));
    let failed = ours.values().filter(|it| *it == "FAILED").count();
    println!("xfstests on ext4: {failed} of {} failed", ran.len());
    compare(&ours, &expected, list)?;
    compare(&expected, &ours, "any more: take them off the list")
}

/// A df(1) for the suite, which does not know subtypes of mounts.
const DF: &str = "#!/bin/sh
/bin/df \"$@\" | sed 's/fuse\\.drupe/fuse/'
";

/// A shell script that runs its arguments in a mount namespace in which mount(8) finds
/// the helper `$0/mount.fuse.drupe`.
const WITH_HELPER: &str = "mount -t overlay helper -o lowerdir=\"$0:$(realpath /sbin)\" \
    \"$(realpath /sbin)\" && exec \"$@\"";

/// Parses the output: the tests that did not pass, and all that ran.
fn parse(text: &str) -> Result<(Outcomes, Vec<String>)> {
    let of = |heading: &str| -> Vec<String> {
        let lines = text.lines().filter_map(|line| line.strip_prefix(heading));
        let words = lines.flat_map(str::split_whitespace);
        words.map(str::to_owned).collect()
    };
    let ran = of("Ran:");
    if ran.is_empty() {
        bail!("the suite did not run: {text}");
    }
    let outcome = |names: Vec<String>, outcome: &str| -> BTreeMap<String, String> {
        names
            .into_iter()
            .map(|name| (name, outcome.into()))
            .collect()
    };
    let mut outcomes = outcome(of("Not run:"), "skipped");
    outcomes.extend(outcome(of("Failures:"), "FAILED"));
    Ok((outcomes, ran))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_suite_says() {
        let said = "generic/001  4s ...  5s\n\
            generic/003  - output mismatch\n\
            Ran: generic/001 generic/003 generic/004\n\
            Not run: generic/004\n\
            Failures: generic/003\n\
            Failed 1 of 3 tests\n";
        let (outcomes, ran) = parse(said).expect("it ran");
        assert_eq!(ran.len(), 3);
        let expected = [("generic/003", "FAILED"), ("generic/004", "skipped")];
        let expected = expected.map(|(name, outcome)| (name.into(), outcome.into()));
        assert_eq!(outcomes, Outcomes::from(expected));
        assert!(parse("check: something lacks").is_err());
    }
}
