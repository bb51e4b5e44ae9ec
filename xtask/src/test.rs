//! The tasks that run cargo's tests: `test`, `ci`, `loom`, `soak`, `bench`.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};

use anyhow::{Result, bail};
use drupe_kbuild::Flavour;

use crate::run::{build_release, cargo, run as run_command};
use crate::{check, fsx, kernel, licences, pjdfstest, python, setup, tidy};

/// Names a file to which tests append a line when they are skipped
/// (`drupe_testing::skipped`).
const SKIPPED: &str = "DRUPE_TEST_SKIPPED";

/// A step of a task: its name, and what it does.
pub(crate) type Step<'a> = (&'a str, &'a dyn Fn() -> Result<()>);

/// `test`: the README's second command.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    crate::no_arguments(arguments)?;
    setup::install(&setup::everything()?)?;
    kernel::build(Flavour::MMU, false)?;
    all(&TESTS)
}

/// The steps of `test`. Each runs even if earlier ones have failed.
const TESTS: [Step<'static>; 5] = [
    ("tests", &tests),
    ("documentation tests", &doc_tests),
    ("nommu", &nommu),
    ("loom", &|| loom(&[])),
    ("kernel check", &|| kernel::check(Flavour::MMU)),
];

/// Runs all steps, so that no failure hides another one; fails at the end with
/// a list of those that failed.
fn all(steps: &[Step<'_>]) -> Result<()> {
    let mut failures = Vec::new();
    for (name, step) in steps {
        if let Err(error) = step() {
            eprintln!("xtask: {name}: {error:#}");
            failures.push(format!("{name}: {error:#}"));
        }
    }
    if !failures.is_empty() {
        let (failed, of) = (failures.len(), steps.len());
        bail!("{failed} of {of} failed:\n  {}", failures.join("\n  "));
    }
    Ok(())
}

/// Runs the workspace's tests, and lists at the end what they have skipped.
fn tests() -> Result<()> {
    let skipped = tempfile::NamedTempFile::new()?;
    let mut command = cargo();
    // With nextest, documentation tests are a step of their own.
    match has_nextest() {
        true => command.args(["nextest", "run", "--workspace"]),
        false => command.args(["test", "--workspace", "--all-targets"]),
    };
    command.args(["--locked", "--no-fail-fast"]);
    let result = run_command(command.env(SKIPPED, skipped.path()));
    let lines = std::fs::read_to_string(skipped.path())?;
    let lines: BTreeSet<&str> = lines.lines().collect();
    lines.iter().for_each(|line| eprintln!("{line}"));
    result
}

fn doc_tests() -> Result<()> {
    run_command(cargo().args(["test", "--workspace", "--doc", "--locked", "--no-fail-fast"]))
}

/// Runs the tests of `drupe-machine` with the kernel without page tables.
fn nommu() -> Result<()> {
    kernel::build(Flavour::NOMMU, false)?;
    run_command(
        cargo()
            .args(["test", "--package", "drupe-machine", "--locked"])
            .args(["--no-fail-fast", "--target-dir", "target/nommu"])
            .env("DRUPE_FLAVOUR", "nommu"),
    )
}

/// `ci`: runs the quick checks, and stops at the first failure; then runs all long ones.
pub(crate) fn ci(arguments: &[String]) -> Result<()> {
    crate::no_arguments(arguments)?;
    tidy::run(&[])?;
    licences::run(&[])?;
    setup::install(&setup::everything()?)?;
    kernel::build(Flavour::MMU, false)?;
    check::run(&[])?;
    let mut steps = TESTS.to_vec();
    steps.push(("python", &python::ci));
    steps.push(("pjdfstest", &|| pjdfstest::run(&[])));
    steps.push(("fsx", &|| fsx::run(&["--operations".into(), "1000".into()])));
    all(&steps)
}

/// `loom`: runs the loom models of `cpu` and `links`.
pub(crate) fn loom(arguments: &[String]) -> Result<()> {
    crate::no_arguments(arguments)?;
    all(&[
        ("drupe-cpu", &|| models("drupe-cpu", "--test=loom", "")),
        ("drupe-links", &|| {
            models("drupe-links", "--lib", "models::")
        }),
    ])
}

fn models(package: &str, target: &str, filter: &str) -> Result<()> {
    run_command(
        cargo()
            .args(["test", "--package", package, target, filter])
            .args(["--release", "--locked"])
            // Apart, or this would make cargo compile everything else anew.
            .args(["--target-dir", "target/loom"])
            .env("RUSTFLAGS", "--cfg loom"),
    )
}

/// `tsan`: runs the stress test of `cpu` under ThreadSanitizer. Needs a nightly
/// toolchain. The standard library need not be instrumented: threads share data only
/// through atomics and locks that are compiled into the test.
pub(crate) fn tsan(arguments: &[String]) -> Result<()> {
    crate::no_arguments(arguments)?;
    let suppressions = crate::run::root().join("crates/cpu/tests/tsan.supp");
    const FLAGS: &str = "-Zsanitizer=thread -Cunsafe-allow-abi-mismatch=sanitizer";
    run_command(
        Command::new("rustup")
            .args(["run", "nightly", "cargo", "test"])
            .args(["--package", "drupe-cpu", "--test", "stress"])
            .args(["--release", "--locked", "--target-dir", "target/tsan"])
            .args(["--target", "x86_64-unknown-linux-gnu"])
            .env("RUSTFLAGS", FLAGS)
            .env(
                "TSAN_OPTIONS",
                format!("suppressions={}", suppressions.display()),
            ),
    )
}

/// `soak`: runs the tests that take minutes.
pub(crate) fn soak(arguments: &[String]) -> Result<()> {
    run_command(
        cargo()
            .args(["test", "--workspace", "--tests"])
            .args(["--release", "--locked", "--no-fail-fast", "--"])
            .args(["--ignored", "--test-threads=1", "--nocapture"])
            .args(arguments),
    )
}

/// `bench`: runs the benchmarks.
pub(crate) fn bench(arguments: &[String]) -> Result<()> {
    setup::install(&setup::everything()?)?;
    kernel::build(Flavour::MMU, false)?;
    let command = build_release("drupe-cli", "drupe")?;
    let bench = build_release("drupe-bench", "drupe-bench")?;
    run_command(
        Command::new(bench)
            .arg("--command")
            .arg(command)
            .args(arguments),
    )
}

fn has_nextest() -> bool {
    Command::new("cargo-nextest")
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    #[test]
    fn a_failure_hides_none_behind_it() {
        let ran = RefCell::new(Vec::new());
        let step = |name: &'static str, good: bool| {
            let ran = &ran;
            move || {
                ran.borrow_mut().push(name);
                match good {
                    true => Ok(()),
                    false => bail!("{name} is wrong"),
                }
            }
        };
        let (a, b, c) = (step("a", false), step("b", true), step("c", false));
        let error = all(&[("one", &a), ("two", &b), ("three", &c)]).expect_err("two of them");
        assert_eq!(*ran.borrow(), ["a", "b", "c"]);
        let said = error.to_string();
        assert_eq!(
            said,
            "2 of 3 failed:\n  one: a is wrong\n  three: c is wrong"
        );
        assert!(all(&[("two", &b)]).is_ok());
    }
}
