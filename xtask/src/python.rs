//! `python`: the wheel for Python. What is done is in [`crate::dist::python`].

use anyhow::{Result, bail};

use crate::dist::python;

pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let (mut testing, mut profile) = (false, python::Profile::Release);
    for argument in arguments {
        match argument.as_str() {
            "--test" => testing = true,
            "--dev" => profile = python::Profile::Dev,
            other => {
                bail!("unknown argument {other:?}; usage: cargo xtask python [--test] [--dev]")
            }
        }
    }
    python::run(profile, testing)
}

/// What CI does: a quick build, and the tests with the Python that the machine has.
pub(crate) fn ci() -> Result<()> {
    python::quick()
}
