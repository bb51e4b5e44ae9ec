//! `lint`: checks with rustfmt, clippy and rustdoc, with warnings as errors.

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
    // Without what the rest of the workspace asks of it.
    for features in ["", "net"] {
        run_command(
            cargo()
                .args(["clippy", "--package", "drupe", "--lib", "--locked"])
                .args(["--no-default-features", "--features", features, "--"])
                .args(["--deny", "warnings"]),
        )?;
    }
    // The fuzz targets are a workspace of their own, which a nightly toolchain builds.
    let mut fuzzed = cargo();
    fuzzed.args(["clippy", "--lib", "--locked"]);
    for package in ["formats", "links", "netadmin", "ondisk", "tree"] {
        let feature = format!("drupe-{package}/fuzzing");
        fuzzed.args(["--package", &format!("drupe-{package}")]);
        fuzzed.args(["--features", &feature]);
    }
    run_command(fuzzed.args(["--", "--deny", "warnings"]))?;
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
