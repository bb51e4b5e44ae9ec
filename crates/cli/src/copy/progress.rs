//! The progress bar of a long copy, on a terminal only.

use std::io::{self, IsTerminal};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::args::Global;
use crate::output;

/// Says how far a copy is. Without a terminal, or with `--quiet`, says nothing.
pub(crate) struct Progress {
    bar: ProgressBar,
    warnings: bool,
    files: u64,
}

impl Progress {
    pub(crate) fn new(options: &Global) -> Progress {
        let shown = !options.quiet && io::stderr().is_terminal();
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
            files: 0,
        }
    }

    /// So much more is to come: from a spinner to a bar.
    pub(crate) fn add_total(&self, bytes: u64) {
        let style = ProgressStyle::with_template(
            "{bar:30} {bytes} of {total_bytes} ({bytes_per_sec}, {eta} to go)  {msg}",
        );
        if let Ok(style) = style {
            self.bar.set_style(style);
        }
        let total = self.bar.length().unwrap_or(0) + bytes;
        self.bar.set_length(total);
    }

    pub(crate) fn is_shown(&self) -> bool {
        !self.bar.is_hidden()
    }

    pub(crate) fn bytes(&self, count: u64) {
        self.bar.inc(count);
    }

    pub(crate) fn file(&mut self) {
        self.files += 1;
        if self.is_shown() && self.files.is_multiple_of(16) {
            self.bar.set_message(format!("{} files", self.files));
        }
    }

    /// A line that is always shown.
    pub(crate) fn error(&self, text: &str) {
        self.bar.suspend(|| output::error(text));
    }

    /// A line that `--quiet` suppresses.
    pub(crate) fn warning(&self, text: &str) {
        if self.warnings {
            let text = format!("warning: {text}");
            self.bar.suspend(|| output::error(&text));
        }
    }

    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
