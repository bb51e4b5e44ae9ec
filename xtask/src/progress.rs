//! [`Line`]: shows the progress of a kernel build on one line of the terminal, or else a
//! line for each step.

use std::mem::{Discriminant, discriminant};
use std::time::Duration;

use drupe_kbuild::Progress;
use indicatif::{ProgressBar, ProgressStyle};

/// Shows the progress of a build.
pub(crate) struct Line {
    bar: ProgressBar,
    /// The step that was shown last.
    step: Option<Discriminant<Progress<'static>>>,
}

impl Line {
    pub(crate) fn new() -> Line {
        let bar = ProgressBar::no_length();
        bar.enable_steady_tick(Duration::from_millis(200));
        Line { bar, step: None }
    }

    pub(crate) fn show(&mut self, progress: Progress<'_>) {
        let text = describe(progress);
        let step = discriminant(&forget(progress));
        if self.step.replace(step) != Some(step) {
            let counted = matches!(
                progress,
                Progress::Compiling {
                    expected: Some(_),
                    ..
                }
            );
            self.bar.set_style(style(counted));
            if self.bar.is_hidden() {
                eprintln!("{text}");
            }
        }
        if let Progress::Compiling { done, expected, .. } = progress {
            self.bar.set_position(done as u64);
            if let Some(expected) = expected {
                self.bar.set_length(expected as u64);
            }
        }
        self.bar.set_message(text);
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// The kind of a step, without borrowed fields.
fn forget(progress: Progress<'_>) -> Progress<'static> {
    let nowhere = std::path::Path::new("");
    match progress {
        Progress::Hashing(_) => Progress::Hashing(nowhere),
        Progress::Extracting { mib, .. } => Progress::Extracting {
            archive: nowhere,
            mib,
        },
        Progress::Configuring => Progress::Configuring,
        Progress::Compiling { done, expected, .. } => Progress::Compiling {
            done,
            expected,
            object: "",
        },
        Progress::Linking => Progress::Linking,
        Progress::Comparing(_) => Progress::Comparing(nowhere),
        // The one that is left, and whatever else there will be.
        _ => Progress::Waiting,
    }
}

fn style(counted: bool) -> ProgressStyle {
    let template = if counted {
        "{elapsed_precise} {bar:30} {pos}/{len} {wide_msg}"
    } else {
        "{elapsed_precise} {spinner} {wide_msg}"
    };
    // A literal that the tests have seen to be right.
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

fn describe(progress: Progress<'_>) -> String {
    match progress {
        Progress::Waiting => "waiting for another build to finish".to_owned(),
        Progress::Hashing(path) => format!("hashing {}", path.display()),
        Progress::Extracting { archive, mib: 0 } => format!("unpacking {}", archive.display()),
        Progress::Extracting { archive, mib } => {
            format!("unpacking {}: {mib} MiB", archive.display())
        }
        Progress::Configuring => "configuring the kernel".to_owned(),
        Progress::Compiling { object, .. } => format!("compiling the kernel: {object}"),
        Progress::Linking => "linking the kernel".to_owned(),
        Progress::Comparing(path) => format!("comparing {} with its source", path.display()),
        _ => "building the kernel".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_templates_parse() {
        for template in [
            "{elapsed_precise} {bar:30} {pos}/{len} {wide_msg}",
            "{elapsed_precise} {spinner} {wide_msg}",
        ] {
            ProgressStyle::with_template(template).unwrap();
        }
    }
}
