//! [`Steps`]: prints a line for each step of a task, with the time that it took.

use std::ffi::OsStr;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

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

    /// Calls `work`, and shows how long it took.
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

    /// Runs a command.
    pub(crate) fn run(&mut self, command: &mut Command) -> Result<()> {
        self.time(&shown(command), || quietly(command).map(drop))
    }

    /// Runs a command; what it printed is returned.
    pub(crate) fn output(&mut self, command: &mut Command) -> Result<String> {
        self.time(&shown(command), || quietly(command))
    }

    /// Prints a note about the last step.
    pub(crate) fn note(&self, text: &str) {
        println!("    {text}");
    }

    /// Begins a new part.
    pub(crate) fn heading(&self, text: &str) {
        println!("\n{text}");
    }

    /// Prints the median of several ratios, and all of them.
    pub(crate) fn ratios(&self, what: &str, ratios: &[f64]) {
        let mut sorted = ratios.to_vec();
        sorted.sort_by(f64::total_cmp);
        let all: Vec<String> = ratios.iter().map(|ratio| format!("{ratio:.2}")).collect();
        let middle = sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN);
        println!("{what:WIDTH$}{middle:>8.2}   ({})", all.join(" "));
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
