//! `demo`: the README's first command.

use anyhow::Result;
use drupe_kbuild::Flavour;

use crate::run::{cargo, run as run_command};
use crate::{kernel, setup};

/// The example that does the work, of package `drupe-cli`.
const EXAMPLE: &str = "demo";

pub(crate) fn run(arguments: &[String]) -> Result<()> {
    setup::install(&setup::everything()?)?;
    kernel::build(Flavour::MMU, false)?;
    run_command(cargo().args(["build", "--release", "--package", "drupe-cli", "--locked"]))?;
    run_command(
        cargo()
            .args([
                "run",
                "--release",
                "--package",
                "drupe-cli",
                "--example",
                EXAMPLE,
                "--locked",
            ])
            .arg("--")
            .args(arguments),
    )
}
