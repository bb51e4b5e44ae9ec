//! Runs the steps of a page, in order, by one shell in a directory of their own.

use std::fmt::Write;
use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use drupe_testing::skipped;
use rustix::process::{Pid, Signal, geteuid, kill_process_group};

use crate::harness::{Outcome, Place};
use crate::page::{Need, Page, Step, matches};

/// What a page may take before it hangs, in seconds.
const PATIENCE: &str = "300";

/// Stands in the output before the number and exit code of a step that has ended.
const MARK: char = '\u{1}';

/// Each step must succeed, unless the next one is `echo $?`, and print what the page says.
pub(crate) fn run(page: Page) -> Outcome {
    let mut steps = page.steps;
    steps.retain(|step| match &step.needs {
        Some((need, why)) if lacks(*need) => {
            skipped(format!("line {}: {why}", step.line));
            false
        }
        _ => true,
    });
    let place = Place::new()?;
    let bin = place.path("bin");
    fs::create_dir(&bin)?;
    symlink(env!("CARGO_BIN_EXE_drupe"), bin.join("drupe"))?;
    let work = place.path("work");
    fs::create_dir(&work)?;
    place.write("page.sh", script(&steps))?;
    let output = File::create(place.path("output"))?;

    let mut shell = Command::new("timeout");
    shell.args(["--kill-after=5", PATIENCE, "bash"]);
    shell.arg(place.path("page.sh")).current_dir(&work);
    // As for a user who has set nothing.
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if name.starts_with("DRUPE_") || name == "SOURCE_DATE_EPOCH" {
            shell.env_remove(name);
        }
    }
    let path = std::env::var("PATH")?;
    shell.env("PATH", format!("{}:{path}:/usr/sbin:/sbin", bin.display()));
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    shell.env("FIXTURES", own.join("tests/book"));
    shell
        .env("HOME", &work)
        .env("LC_ALL", "C.UTF-8")
        .env("TZ", "UTC");
    shell
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output);
    let mut child = shell.process_group(0).spawn()?;
    let ended = child.wait();
    // What the page started and did not end.
    let group = i32::try_from(child.id())?;
    if let Some(group) = Pid::from_raw(group) {
        let _ = kill_process_group(group, Signal::KILL);
    }
    let left = unmount(&place, &work)?;
    let status = ended?;
    let output = String::from_utf8_lossy(&fs::read(place.path("output"))?).into_owned();
    let mut problems = judge(&steps, &output)?;
    if !status.success() {
        write!(problems, "the shell: {status}; it printed\n{output}")?;
    }
    for dir in left {
        writeln!(problems, "{dir} was still mounted")?;
    }
    match problems.is_empty() {
        true => Ok(()),
        false => Err(problems.into()),
    }
}

/// Whether this machine lacks something. That it lacks FUSE, somebody has to say: as for
/// the other tests of `drupe mount`.
fn lacks(need: Need) -> bool {
    match need {
        Need::Root => !geteuid().is_root(),
        Need::Fuse => std::env::var_os("DRUPE_TEST_NO_FUSE").is_some(),
    }
}

fn script(steps: &[Step]) -> String {
    let mut script = "set -o pipefail\numask 022\n".to_owned();
    for (number, step) in steps.iter().enumerate() {
        // The exit code is there for the next step, too.
        script += &format!(
            "{}\n_status=$?; printf '\\n\\001%s %s\\n' {number} $_status; (exit $_status)\n",
            step.command
        );
    }
    script + "exit 0\n"
}

/// What is wrong; nothing: an empty text.
fn judge(steps: &[Step], output: &str) -> Outcome<String> {
    let mut problems = String::new();
    let mut rest = output;
    for (number, step) in steps.iter().enumerate() {
        let end = format!("\n{MARK}{number} ");
        let Some((printed, behind)) = rest.split_once(&end) else {
            writeln!(problems, "line {}: was not reached", step.line)?;
            break;
        };
        let (code, behind) = behind.split_once('\n').unwrap_or((behind, ""));
        rest = behind;
        let shown = steps
            .get(number + 1)
            .is_some_and(|next| next.command == "echo $?");
        let good = code == "0" || shown;
        let as_told = step
            .prints
            .as_ref()
            .is_none_or(|told| matches(told, printed));
        if !good || !as_told {
            writeln!(problems, "line {}: {}", step.line, step.command)?;
            writeln!(problems, "exited with {code} and printed\n{printed}")?;
        }
    }
    Ok(problems)
}

/// Takes away what is mounted beneath a directory, and says what that was.
fn unmount(place: &Place, work: &Path) -> Outcome<Vec<String>> {
    let work = work.to_str().ok_or("a directory whose name is not UTF-8")?;
    let mounts = fs::read_to_string("/proc/self/mounts")?;
    let dirs = mounts.lines().filter_map(|line| line.split(' ').nth(1));
    let left: Vec<String> = dirs
        .filter(|dir| dir.starts_with(work))
        .map(Into::into)
        .collect();
    for dir in &left {
        place.drupe(&["umount", dir])?;
    }
    Ok(left)
}

#[test]
fn what_a_page_says_is_compared() -> Outcome {
    let of = |text: &str| run(Page::parse(text)?);
    of("```console\n$ echo a; x=1\na\n$ false\n$ echo $?\n1\n$ echo $x\n1\n```\n")?;
    let wrong = [
        (
            "```console\n$ echo a\nb\n```\n",
            "line 2: echo a\nexited with 0 and printed\na",
        ),
        ("```sh\nfalse\n```\n", "line 1: false\nexited with 1"),
        ("```sh\nexit 0\n```\n", "line 1: was not reached"),
        ("```sh\necho a >&2\n```\n```text\nb\n```\n", "printed\na"),
    ];
    for (text, problem) in wrong {
        let error = of(text).expect_err(text).to_string();
        assert!(error.contains(problem), "{error}");
    }
    Ok(())
}
