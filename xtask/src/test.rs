//! The tasks that run cargo's tests: `test`, `ci`, `loom`, `soak`, `bench`.

use std::process::{Command, Stdio};

use anyhow::Result;
use drupe_kbuild::Flavour;

use crate::run::{cargo, run as run_command};
use crate::{check, kernel, licences, setup, tidy};

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
    kernel::build(Flavour::NOMMU, false)?;
    kernel::check(Flavour::MMU)
}

/// `ci`: the cheap checks first, so that they fail fast.
pub(crate) fn ci(arguments: &[String]) -> Result<()> {
    crate::no_arguments(arguments)?;
    tidy::run(&[])?;
    licences::run(&[])?;
    setup::install(&setup::everything()?)?;
    kernel::build(Flavour::MMU, false)?;
    check::run(&[])?;
    run(&[])
}

/// `loom`: the CPU's ownership, under every interleaving of its steps.
pub(crate) fn loom(arguments: &[String]) -> Result<()> {
    crate::no_arguments(arguments)?;
    run_command(
        cargo()
            .args(["test", "--package", "drupe-cpu", "--release", "--locked"])
            // Apart, or this would make cargo compile everything else anew.
            .args(["--target-dir", "target/loom"])
            .env("RUSTFLAGS", "--cfg loom"),
    )
}

/// `soak`: the tests that take minutes.
pub(crate) fn soak(arguments: &[String]) -> Result<()> {
    run_command(
        cargo()
            .args(["test", "--workspace", "--release", "--locked", "--"])
            .args(["--ignored", "--test-threads=1", "--nocapture"])
            .args(arguments),
    )
}

/// `bench`: the benchmarks of the public API.
pub(crate) fn bench(arguments: &[String]) -> Result<()> {
    setup::install(&setup::everything()?)?;
    kernel::build(Flavour::MMU, false)?;
    run_command(
        cargo()
            .args(["bench", "--package", "drupe", "--locked", "--"])
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
