//! [`skipped()`]: reports a test, or a part of one, that this machine cannot run.

use std::env;
use std::fmt::Display;
use std::fs::File;
use std::io::Write;
use std::panic::Location;

/// Names a file to which a line is appended for each call of [`skipped`].
///
/// Test runners show the output of failed tests only; `cargo xtask test` sets
/// this, and prints the lines when all tests are done.
const LIST: &str = "DRUPE_TEST_SKIPPED";

/// Says that the calling test is skipped, or goes on without one of its parts,
/// and why. The caller returns, or goes on.
///
/// The line goes to standard error past the capture of `cargo test`.
///
/// # Panics
///
/// The file that `DRUPE_TEST_SKIPPED` names cannot be written.
#[track_caller]
pub fn skipped(reason: impl Display) {
    // libtest names a test's thread for the test.
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("a test");
    let line = format!("skipped: {test}: {reason} ({})\n", Location::caller());
    // A closed standard error is the runner's choice.
    let _ = std::io::stderr().write_all(line.as_bytes());
    if let Some(path) = env::var_os(LIST).filter(|path| !path.is_empty()) {
        let list = File::options().append(true).create(true).open(&path);
        // One write: other processes append to the file at the same time.
        if let Err(error) = list.and_then(|mut list| list.write_all(line.as_bytes())) {
            panic!("{LIST}={}: {error}", path.display());
        }
    }
}

/// Whether these programs are installed. Those that are not are named, and the calling
/// test [skipped](skipped()).
#[track_caller]
pub fn has(programs: &[&str]) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    let is_there = |name: &str| env::split_paths(&path).any(|dir| dir.join(name).exists());
    let missing: Vec<_> = programs.iter().filter(|name| !is_there(name)).collect();
    if !missing.is_empty() {
        skipped(format!("not installed: {missing:?}"));
    }
    missing.is_empty()
}
