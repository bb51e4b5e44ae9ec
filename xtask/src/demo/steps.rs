//! [`Steps`]: what is done, one line each, with the time that it took.

use std::ffi::OsStr;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::quietly;

/// Column of the times.
const WIDTH: usize = 60;

/// Prints steps as they are done.
pub(crate) struct Steps(());

impl Steps {
    pub(crate) fn new() -> Steps {
        Steps(())
    }

    /// Does something and shows how long it took.
    pub(crate) fn time<T>(&mut self, what: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
        print!("{what:WIDTH$}");
        // What is being done shows while it is done; nothing depends on it.
        let _ = std::io::stdout().flush();
        let start = Instant::now();
        let result = work();
        match &result {
            Ok(_) => println!("{:>8.3} s", start.elapsed().as_secs_f64()),
            Err(_) => println!("  failed"),
        }
        result
    }

    /// Runs a command; how long it took is returned.
    pub(crate) fn run(&mut self, command: &mut Command) -> Result<Duration> {
        self.time(&shown(command), || {
            let start = Instant::now();
            quietly(command)?;
            Ok(start.elapsed())
        })
    }

    /// Runs a command; what it printed is returned.
    pub(crate) fn output(&mut self, command: &mut Command) -> Result<String> {
        self.time(&shown(command), || quietly(command))
    }

    /// Shows something about the last step.
    pub(crate) fn note(&self, text: &str) {
        println!("    {text}");
    }

    /// Begins a new part.
    pub(crate) fn heading(&self, text: &str) {
        println!("\n{text}");
    }

    /// Shows how two times compare.
    pub(crate) fn ratio(&self, what: &str, ours: Duration, theirs: Duration) {
        let ratio = ours.as_secs_f64() / theirs.as_secs_f64();
        println!("{what:WIDTH$}{ratio:>8.2}");
    }
}

/// A command with the names of files instead of their paths.
pub(crate) fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let names: Vec<_> = words.map(name).collect();
    names.join(" ")
}

fn name(word: &OsStr) -> String {
    let text = word.to_string_lossy();
    match text.split_once(":/") {
        Some((image, path)) => format!("{}:/{path}", name(OsStr::new(image))),
        None if text.starts_with("rdump") => "rdump".to_owned(),
        None => {
            let name = Path::new(word).file_name().unwrap_or(word);
            name.to_string_lossy().into_owned()
        }
    }
}

#[test]
fn commands_are_shown_without_directories() {
    let mut command = Command::new("/usr/bin/drupe");
    command.args(["cp", "-a", "/tmp/x/tree", "/tmp/x/disk.img:/a/b"]);
    assert_eq!(shown(&command), "drupe cp -a tree disk.img:/a/b");
}
