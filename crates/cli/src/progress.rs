//! The progress bar of a long copy, on a terminal only.

use std::io::{self, IsTerminal, Write};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::args::Global;
use crate::output;

/// Says how far a copy is. Without a terminal, or with `--quiet`, says nothing.
pub(crate) struct Progress {
    bar: ProgressBar,
    warnings: bool,
    /// Names of files are shown.
    names: bool,
    files: AtomicU64,
}

impl Progress {
    /// `bar`: there may be a bar.
    pub(crate) fn new(options: &Global, bar: bool) -> Progress {
        let shown = bar && !options.quiet && io::stderr().is_terminal();
        let bar = match shown {
            true => ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(5)),
            false => ProgressBar::hidden(),
        };
        let style =
            ProgressStyle::with_template("{spinner} {bytes} ({bytes_per_sec})  {elapsed}  {msg}");
        if let Ok(style) = style {
            bar.set_style(style);
        }
        if shown {
            // Also while one call takes long; a copy of a moment shows nothing.
            bar.enable_steady_tick(Duration::from_millis(200));
        }
        Progress {
            bar,
            warnings: !options.quiet,
            names: false,
            files: AtomicU64::new(0),
        }
    }

    /// Shows names as they come.
    pub(crate) fn verbose(self, names: bool) -> Progress {
        Progress { names, ..self }
    }

    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

impl drupe_tree::Progress for Progress {
    fn wants_total(&self) -> bool {
        !self.bar.is_hidden()
    }

    /// From a spinner to a bar.
    fn add_total(&self, bytes: u64) {
        let style = ProgressStyle::with_template(
            "{bar:30} {bytes} of {total_bytes} ({bytes_per_sec}, {eta} to go)  {msg}",
        );
        if let Ok(style) = style {
            self.bar.set_style(style);
        }
        let total = self.bar.length().unwrap_or(0) + bytes;
        self.bar.set_length(total);
    }

    fn bytes(&self, count: u64) {
        self.bar.inc(count);
    }

    fn file(&self) {
        let files = self.files.fetch_add(1, Relaxed) + 1;
        if !self.bar.is_hidden() && files.is_multiple_of(16) {
            self.bar.set_message(format!("{files} files"));
        }
    }

    fn wants_names(&self) -> bool {
        self.names
    }

    fn name(&self, path: &str) {
        if self.names {
            self.bar.suspend(|| {
                let _ = writeln!(io::stderr(), "{path}");
            });
        }
    }

    /// A line that is always shown.
    fn error(&self, error: &drupe_tree::Error) {
        self.bar.suspend(|| output::error(&error.to_string()));
    }

    /// A line that `--quiet` suppresses.
    fn warning(&self, text: &str) {
        if self.warnings {
            let text = format!("warning: {text}");
            self.bar.suspend(|| output::error(&text));
        }
    }
}
