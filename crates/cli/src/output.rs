//! Prints to standard output and standard error: names, errors, hints, warnings.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::fmt::Display;
use std::io::{self, BufWriter, IsTerminal, StdoutLock, Write};
use std::os::unix::ffi::OsStrExt;
use std::sync::{Mutex, PoisonError};

use drupe::{Cause, Errno};

use crate::args::Global;
use crate::exit::{ExitCode, Failure};
use crate::interrupt::Signals;
use drupe_tree::{Error, Progress, Visitor, Walk};

/// How names are written: to a terminal, control characters are escaped, lest
/// an image play tricks on it; otherwise the bytes are what they are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Names {
    escape: bool,
}

impl Names {
    pub(crate) fn for_stdout() -> Names {
        Names {
            escape: io::stdout().is_terminal(),
        }
    }

    pub(crate) fn show(self, name: &OsStr) -> Cow<'_, [u8]> {
        let text = name.to_string_lossy();
        match self.escape && text.contains(char::is_control) {
            true => Cow::Owned(text.escape_debug().to_string().into_bytes()),
            false => Cow::Borrowed(name.as_bytes()),
        }
    }
}

/// An output whose errors tell its name.
#[derive(Debug)]
pub(crate) struct Named<W> {
    /// Where to write.
    pub(crate) output: W,
    /// What it is called.
    pub(crate) name: Cow<'static, str>,
}

impl<W> Named<W> {
    /// The same error, with the name.
    pub(crate) fn name(&self, error: io::Error) -> io::Error {
        // Whoever writes tries again.
        if error.kind() == io::ErrorKind::Interrupted {
            return error;
        }
        let cause = match Errno::from_io_error(&error) {
            Some(errno) => Cause::Errno(errno).to_string(),
            None => error.to_string(),
        };
        io::Error::new(error.kind(), format!("write to {}: {cause}", self.name))
    }
}

impl<W: Write> Write for Named<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.output.write(bytes).map_err(|error| self.name(error))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.output.flush().map_err(|error| self.name(error))
    }
}

/// Standard output.
pub(crate) type Stdout = Named<StdoutLock<'static>>;

impl Stdout {
    /// For a command that prints much.
    pub(crate) fn buffered() -> BufWriter<Stdout> {
        BufWriter::new(Stdout::lines())
    }

    /// Written out line by line.
    pub(crate) fn lines() -> Stdout {
        Named {
            output: io::stdout().lock(),
            name: "standard output".into(),
        }
    }
}

/// Closes standard output, which may be when a network filesystem tells that it has no
/// room. Nothing is printed after it.
pub(crate) fn close_stdout() -> io::Result<()> {
    Stdout::lines().flush()?;
    nix::unistd::close(libc::STDOUT_FILENO).map_err(|errno| of_stdout(errno.into()))
}

/// An error of writing to standard output, named.
pub(crate) fn of_stdout(error: io::Error) -> io::Error {
    Stdout::lines().name(error)
}

/// What went wrong with single files or images: each has a line on standard error, and
/// the command goes on with the others.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// The worst of them.
    code: Option<ExitCode>,
}

impl Report {
    pub(crate) fn error(&mut self, text: &str) {
        error(text);
        self.exit_with(ExitCode::Failed);
    }

    /// The same as another one.
    pub(crate) fn add(&mut self, other: Report) {
        if let Some(code) = other.code {
            self.exit_with(code);
        }
    }

    /// An image is not as it should be, which the output says.
    pub(crate) fn complained(&mut self) {
        self.exit_with(ExitCode::Failed);
    }

    /// That of an image counts more than that of a file.
    fn exit_with(&mut self, code: ExitCode) {
        if self.code.is_none_or(|worst| (worst as u8) < code as u8) {
            self.code = Some(code);
        }
    }

    /// What was done with an image, or `None` and a line, if the command can go on with
    /// another one.
    ///
    /// # Errors
    ///
    /// A command line that makes no sense, a signal, an output that nobody reads.
    pub(crate) fn settle<T>(&mut self, done: Result<T, Failure>) -> Result<Option<T>, Failure> {
        let ends = |failed: &Failure| {
            let is_image = failed.code == ExitCode::Image;
            !is_image && (failed.code != ExitCode::Failed || failed.error.is::<io::Error>())
        };
        match done {
            Ok(done) => Ok(Some(done)),
            Err(failed) if ends(&failed) => Err(failed),
            Err(failed) => {
                failure(&failed);
                self.exit_with(failed.code);
                Ok(None)
            }
        }
    }

    /// The value of a result, or a line.
    pub(crate) fn accept<T>(
        &mut self,
        path: impl Display,
        result: drupe_tree::Result<T>,
    ) -> Option<T> {
        let problem = |error: Error| self.error(&error.at(path.to_string()).to_string());
        result.map_err(problem).ok()
    }

    /// Visits a tree in an image, with a line for each file that could not be done.
    pub(crate) fn walk(
        &mut self,
        walk: Walk<'_>,
        signals: &Signals,
        visitor: &mut impl Visitor<Error = Failure>,
    ) -> Result<(), Failure> {
        let outcome = walk.run(visitor, signals.interrupt(), &Lines)?;
        if outcome.errors > 0 {
            self.exit_with(ExitCode::Failed);
        }
        Ok(())
    }

    pub(crate) fn code(&self) -> ExitCode {
        self.code.unwrap_or(ExitCode::Success)
    }
}

/// A line for each error of a walk.
struct Lines;

impl Progress for Lines {
    fn error(&self, problem: &Error) {
        error(&problem.to_string());
    }
}

/// What lines on standard error begin with, besides the program's name: the
/// place in a script.
static PLACE: Mutex<String> = Mutex::new(String::new());

/// Sets what lines on standard error begin with: "FILE:LINE: ", or nothing.
pub(crate) fn set_place(place: String) {
    *PLACE.lock().unwrap_or_else(PoisonError::into_inner) = place;
}

/// A line on standard error.
pub(crate) fn error(text: &str) {
    let place = PLACE.lock().unwrap_or_else(PoisonError::into_inner);
    // There is nobody else to tell.
    let _ = writeln!(io::stderr(), "drupe: {place}{text}");
}

/// What ended a command, and what the user can do about it, on lines of their own.
pub(crate) fn failure(failure: &Failure) {
    error(&format!("{:#}", failure.error));
    if let Some(text) = &failure.hint {
        hint(text);
    }
}

/// What the user can do, on standard error.
pub(crate) fn hint(text: &str) {
    let _ = writeln!(io::stderr(), "hint: {text}");
}

/// A warning on standard error, unless it is not wanted.
pub(crate) fn warning(options: &Global, text: &str) {
    if !options.quiet {
        error(&format!("warning: {text}"));
    }
}

/// Whether an error is that of an output nobody reads any more.
pub(crate) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_only_for_terminals() {
        let name = OsStr::from_bytes(b"a\x1b[2J");
        assert_eq!(*Names { escape: false }.show(name), *b"a\x1b[2J");
        assert_eq!(*Names { escape: true }.show(name), *b"a\\u{1b}[2J");
    }
}
