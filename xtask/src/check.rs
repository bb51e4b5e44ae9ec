//! `lint`: format, clippy and rustdoc, with warnings as errors.

use anyhow::Result;

use crate::run::{cargo, run as run_command};

pub(crate) fn run(arguments: &[String]) -> Result<()> {
    crate::no_arguments(arguments)?;
    run_command(cargo().args(["fmt", "--all", "--check"]))?;
    run_command(
        cargo()
            .args(["clippy", "--workspace", "--all-targets", "--locked", "--"])
            .args(["--deny", "warnings"]),
    )?;
    // What only fuzz targets use.
    let fuzzed = [
        "drupe",
        "drupe-formats",
        "drupe-links",
        "drupe-ondisk",
        "drupe-tree",
    ];
    let mut clippy = cargo();
    clippy.args(["clippy", "--lib", "--locked"]);
    for package in fuzzed {
        let feature = format!("{package}/fuzzing");
        clippy.args(["--package", package, "--features", &feature]);
    }
    run_command(clippy.args(["--", "--deny", "warnings"]))?;
    run_command(
        cargo()
            .args([
                "doc",
                "--workspace",
                "--no-deps",
                "--document-private-items",
                "--locked",
            ])
            .env("RUSTDOCFLAGS", "--deny warnings"),
    )
}
