//! The tasks that run cargo's tests: `test`, `ci`, `loom`, `soak`, `bench`.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use drupe_kbuild::Flavour;

use crate::run::{cargo, run as run_command};
use crate::{check, fsx, kernel, licences, pjdfstest, setup, tidy};

/// `test`: the README's second command.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    crate::no_arguments(arguments)?;
    setup::install(&setup::everything()?)?;
    kernel::build(Flavour::MMU, false)?;
    if has_nextest() {
        run_command(cargo().args(["nextest", "run", "--workspace", "--locked"]))?;
        run_command(cargo().args(["test", "--workspace", "--doc", "--locked"]))?;
    } else {
        run_command(cargo().args(["test", "--workspace", "--locked"]))?;
    }
    nommu()?;
    loom(&[])?;
    kernel::check(Flavour::MMU)
}

/// The kernel without page tables boots, and passes the machine's own tests.
fn nommu() -> Result<()> {
    kernel::build(Flavour::NOMMU, false)?;
    run_command(
        cargo()
            .args(["test", "--package", "drupe-machine", "--locked"])
            .args(["--target-dir", "target/nommu"])
            .env("DRUPE_FLAVOUR", "nommu"),
    )
}

/// `ci`: the cheap checks first, so that they fail fast.
pub(crate) fn ci(arguments: &[String]) -> Result<()> {
    crate::no_arguments(arguments)?;
    tidy::run(&[])?;
    licences::run(&[])?;
    setup::install(&setup::everything()?)?;
    kernel::build(Flavour::MMU, false)?;
    check::run(&[])?;
    run(&[])?;
    pjdfstest::run(&[])?;
    fsx::run(&["--operations".into(), "1000".into()])
}

/// `loom`: the CPU's ownership, and who is woken by a link, under every
/// interleaving of their steps.
pub(crate) fn loom(arguments: &[String]) -> Result<()> {
    crate::no_arguments(arguments)?;
    let models = [
        ["drupe-cpu", "--test=loom", ""],
        ["drupe-links", "--lib", "models::"],
    ];
    models.iter().try_for_each(|[package, target, filter]| {
        run_command(
            cargo()
                .args(["test", "--package", package, target, filter])
                .args(["--release", "--locked"])
                // Apart, or this would make cargo compile everything else anew.
                .args(["--target-dir", "target/loom"])
                .env("RUSTFLAGS", "--cfg loom"),
        )
    })
}

/// `tsan`: the CPU's stress test under ThreadSanitizer. Needs a nightly
/// toolchain; its standard library is not instrumented, and need not be: what is
/// shared is shared through atomics and locks that are compiled into the test.
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

/// `soak`: the tests that take minutes.
pub(crate) fn soak(arguments: &[String]) -> Result<()> {
    run_command(
        cargo()
            .args(["test", "--workspace", "--tests"])
            .args(["--release", "--locked", "--"])
            .args(["--ignored", "--test-threads=1", "--nocapture"])
            .args(arguments),
    )
}

/// `bench`: what drupe costs, beside the host.
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

/// Builds a program as users would have it; returns where it is.
pub(crate) fn build_release(package: &str, program: &str) -> Result<PathBuf> {
    run_command(cargo().args(["build", "--release", "--locked", "--package", package]))?;
    // This program is target/PROFILE/xtask, wherever target is.
    let own = std::env::current_exe().context("where is this program?")?;
    let target = own.ancestors().nth(2).context("this program moved")?;
    Ok(target.join("release").join(program))
}

fn has_nextest() -> bool {
    Command::new("cargo-nextest")
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}
