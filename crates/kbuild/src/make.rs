//! Runs the kernel's `make`, keeps its output in a log, and counts its progress.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::{Error, IoContext, Result};
use crate::progress::{Progress, Report};
use crate::toolchain;

/// Lines of an error report: enough for a compiler's message and its notes.
const ERROR_LINES: usize = 12;

/// Variables given to every `make`, part of an image's key. The date and the
/// names keep the image the same wherever and whenever it is built.
pub(crate) const VARIABLES: [&str; 6] = [
    "ARCH=drupe",
    "KBUILD_BUILD_TIMESTAMP=Thu Jan  1 00:00:00 UTC 1970",
    "KBUILD_BUILD_USER=drupe",
    "KBUILD_BUILD_HOST=drupe",
    "KBUILD_BUILD_VERSION=1",
    // Or a '+' is appended for sources that are git checkouts.
    "LOCALVERSION=",
];

/// The output of one `make`.
#[derive(Debug, Clone)]
pub struct Output {
    /// All lines of standard output and standard error, in the order in which they came.
    pub lines: Vec<String>,
    /// The log file, which has the same lines.
    pub log: PathBuf,
}

/// A `make` of a shadow tree into a build directory.
pub(crate) struct Make<'a> {
    pub(crate) shadow: &'a Path,
    pub(crate) build: &'a Path,
    pub(crate) jobs: usize,
    /// About how many files will be compiled, if that is known.
    pub(crate) expected: Option<usize>,
}

impl Make<'_> {
    /// Runs `make` with `arguments` (targets and variables). The file `log` of the build
    /// directory gets the output.
    pub(crate) fn run(&self, log: &str, arguments: &[&str], report: Report<'_>) -> Result<Output> {
        let log = self.build.join(log);
        let (reader, writer) = io::pipe().on("make a pipe for", &log)?;
        let mut command = Command::new("make");
        toolchain::clean_environment(&mut command);
        command
            .arg("-C")
            .arg(self.shadow)
            .arg(format!("O={}", self.build.display()))
            .arg(format!("-j{}", self.jobs.max(1)))
            .args(VARIABLES)
            .args(arguments)
            .stdin(std::process::Stdio::null())
            .stdout(writer.try_clone().on("make a pipe for", &log)?)
            .stderr(writer);
        let mut child = command.spawn().on("run make in", self.shadow)?;
        // The command holds the pipe's writing end: without this no end of file.
        drop(command);

        let mut file = File::create(&log).on("create", &log)?;
        let mut lines = Vec::new();
        let mut compiled = 0;
        for line in BufReader::new(reader).split(b'\n') {
            let line = line.on("read the output of make for", &log)?;
            let line = String::from_utf8_lossy(&line).into_owned();
            writeln!(file, "{line}").on("write", &log)?;
            match Step::of(&line) {
                Some(Step::Compiled(object)) => {
                    compiled += 1;
                    let expected = self.expected.map(|expected| expected.max(compiled));
                    report(Progress::Compiling {
                        done: compiled,
                        expected,
                        object,
                    });
                }
                Some(Step::Linked) => report(Progress::Linking),
                None => {}
            }
            lines.push(line);
        }
        let status = child.wait().on("wait for make in", self.shadow)?;
        if !status.success() {
            return Err(Error::Build {
                lines: reasons(&lines).join("\n"),
                log,
            });
        }
        Ok(Output { lines, log })
    }
}

/// A line of kbuild's short output.
enum Step<'a> {
    Compiled(&'a str),
    Linked,
}

impl Step<'_> {
    fn of(line: &str) -> Option<Step<'_>> {
        let (what, object) = line.strip_prefix("  ")?.split_once(' ')?;
        match what {
            "CC" | "AS" => Some(Step::Compiled(object.trim())),
            "LD" if object.trim() == "vmlinux" => Some(Step::Linked),
            _ => None,
        }
    }
}

/// The lines of a failed build that say why it failed.
fn reasons(lines: &[String]) -> Vec<&str> {
    const SIGNS: [&str; 9] = [
        "error:",
        "ERROR:",
        "FATAL:",
        "Error ",
        "undefined reference",
        "*** ",
        "cannot find",
        "Killed",
        "No space",
    ];
    let says_why = |line: &&str| {
        SIGNS.iter().any(|sign| line.contains(sign))
            // Each directory's make repeats that something in it failed, and
            // says what it tidies up.
            && !(line.starts_with("make")
                && (line.contains("Error ") || line.contains("Deleting file")))
    };
    let mut reasons: Vec<&str> = lines.iter().map(String::as_str).filter(says_why).collect();
    if reasons.is_empty() {
        reasons = lines
            .iter()
            .map(String::as_str)
            .filter(|line| !line.is_empty())
            .collect();
    }
    reasons.split_off(reasons.len().saturating_sub(ERROR_LINES))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(makefile: &str) -> (Result<Output>, Vec<String>) {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("Makefile"), makefile).unwrap();
        let path = directory.path();
        let make = Make {
            shadow: path,
            build: path,
            jobs: 1,
            expected: Some(2),
        };
        let mut seen = Vec::new();
        let output = make.run("log", &["all"], &mut |progress| {
            seen.push(format!("{progress:?}"))
        });
        (output, seen)
    }

    #[test]
    fn counts_what_is_compiled_and_logs_everything() {
        let (output, seen) = run(
            "all:\n\t@echo '  CC      fs/open.o'; echo '  AS      a.o'; echo '  CC      b.o'\n\
             \t@echo '  LD      vmlinux'; echo warning >&2\n",
        );
        let lines = output.unwrap().lines;
        assert!(lines.contains(&"warning".to_owned()), "{lines:?}");
        assert_eq!(
            seen,
            [
                r#"Compiling { done: 1, expected: Some(2), object: "fs/open.o" }"#,
                r#"Compiling { done: 2, expected: Some(2), object: "a.o" }"#,
                r#"Compiling { done: 3, expected: Some(3), object: "b.o" }"#,
                "Linking",
            ]
        );
    }

    #[test]
    fn a_failure_shows_the_compilers_line() {
        let (output, _) = run("all:\n\t@echo '  CC x.o'; echo 'x.c:1:2: error: no' >&2; false\n");
        let message = output.unwrap_err().to_string();
        assert!(message.ends_with("\nx.c:1:2: error: no"), "{message}");
    }

    #[test]
    fn a_failure_of_modpost_shows_its_line() {
        let (output, _) = run("all:\n\t@echo 'ERROR: modpost: mismatch'; \
             echo 'make[3]: *** Deleting file vmlinux.symvers'; false\n");
        let message = output.unwrap_err().to_string();
        assert!(
            message.ends_with("log\nERROR: modpost: mismatch"),
            "{message}"
        );
    }

    #[test]
    fn a_failure_without_a_known_sign_shows_the_last_lines() {
        let (output, _) = run("all:\n\t@echo odd; false\n");
        assert!(output.unwrap_err().to_string().contains("odd"));
    }

    #[test]
    fn cargos_variables_do_not_reach_make() {
        // CARGO_MANIFEST_DIR is set in every test.
        let (output, _) = run("all:\n\t@echo dir=$(CARGO_MANIFEST_DIR)\n");
        assert!(output.unwrap().lines.contains(&"dir=".to_owned()));
    }
}
