//! [`Terminal`]: prints the build's progress to the user's terminal, past cargo.

use std::fmt::Display;
use std::fs::File;
use std::io::Write;

use drupe_kbuild::Progress;

/// Per cent between two lines of progress.
const STEP: usize = 5;

/// The terminal of the user who runs cargo, if there is one. Cargo shows nothing of what
/// a build script prints until it ends, and this one may take minutes.
pub(crate) struct Terminal {
    file: Option<File>,
    /// The last line, so that none is printed twice.
    last: String,
}

impl Terminal {
    pub(crate) fn open() -> Terminal {
        let file = File::options().write(true).open("/dev/tty").ok();
        Terminal {
            file,
            last: String::new(),
        }
    }

    pub(crate) fn show(&mut self, progress: Progress<'_>) {
        match progress {
            Progress::Waiting => self.say("waiting for another build to finish"),
            Progress::Hashing(path) => self.say(format_args!("hashing {}", path.display())),
            Progress::Extracting { archive, .. } => {
                self.say(format_args!("unpacking {} (once)", archive.display()));
            }
            Progress::Configuring => self.say("configuring"),
            Progress::Compiling {
                done,
                expected: Some(expected),
                ..
            } => {
                let percent = done * 100 / expected.max(1) / STEP * STEP;
                self.say(format_args!(
                    "compiling (once): {percent} % of {expected} files"
                ));
            }
            Progress::Compiling { .. } => self.say("compiling what changed"),
            Progress::Linking => self.say("linking"),
            _ => {}
        }
    }

    fn say(&mut self, what: impl Display) {
        let line = format!("drupe's kernel: {what}");
        if line == self.last {
            return;
        }
        // Over cargo's own progress line, which it draws again below. A
        // terminal that has gone away is no reason to fail.
        if let Some(file) = &mut self.file {
            let _ = writeln!(file, "\r\x1b[K{line}");
        }
        self.last = line;
    }
}
