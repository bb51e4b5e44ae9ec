//! Helpers of the tests: running `drupe run`, and its results.

use std::process::{Command, Output, Stdio};

use crate::harness::{Outcome, Place};

/// What a run may take before it hangs, in seconds.
const PATIENCE: &str = "120";

/// `drupe run` of a program, which ends in time.
pub(crate) fn command(program: &[&str]) -> Command {
    let mut command = Command::new("timeout");
    command
        .args(["--foreground", "--kill-after=5", PATIENCE])
        .arg(env!("CARGO_BIN_EXE_drupe"))
        .args(["run", "--"])
        .args(program)
        .stdin(Stdio::null());
    command
}

pub(crate) fn output(program: &[&str]) -> Outcome<Output> {
    Ok(command(program).output()?)
}

/// What a program prints that succeeds.
pub(crate) fn prints(program: &[&str]) -> Outcome<String> {
    let output = output(program)?;
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    match output.status.success() {
        true => Ok(stdout),
        false => {
            let stderr = String::from_utf8_lossy(&output.stderr);
            Err(format!("{program:?}: {}\n{stdout}{stderr}", output.status).into())
        }
    }
}

/// Runs a Python program, which checks its own results.
pub(crate) fn python(script: &str) -> Outcome<String> {
    const IMPORTS: &str = "import array, errno, hashlib, multiprocessing, os, select, selectors, \
                           signal, socket, struct, threading\n";
    prints(&["/usr/bin/python3", "-c", &format!("{IMPORTS}{script}")])
}

/// A C program, linked statically, in a place of its own.
pub(crate) fn compile(place: &Place, source: &str) -> Outcome<String> {
    place.write("program.c", source)?;
    let program = place.path("program");
    crate::harness::tool("cc", |cc| {
        cc.args(["-static", "-O1", "-pthread", "-o"])
            .arg(&program)
            .arg(place.path("program.c"))
    })?;
    Ok(program.to_string_lossy().into_owned())
}
