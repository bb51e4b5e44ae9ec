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
    // Without what the rest of the workspace asks of it.
    for features in ["", "net"] {
        run_command(
            cargo()
                .args(["clippy", "--package", "drupe", "--lib", "--locked"])
                .args(["--no-default-features", "--features", features, "--"])
                .args(["--deny", "warnings"]),
        )?;
    }
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
