//! Gets the kernel image from `drupe-kbuild`, built or from its cache, and puts
//! it where `src/embed.rs` embeds it from.

use std::env;
use std::fmt::Display;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use drupe_kbuild::{Digest, Flavour, Image, Kbuild, Progress};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Percents between two lines of progress.
const STEP: usize = 5;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error
                .to_string()
                .lines()
                .for_each(|line| println!("cargo::error={line}"));
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    for variable in [
        "DRUPE_IMAGE",
        "DRUPE_LINUX_SOURCE",
        "DRUPE_CACHE",
        "DRUPE_FLAVOUR",
    ] {
        println!("cargo::rerun-if-env-changed={variable}");
    }
    println!("cargo::rerun-if-changed=build.rs");
    let image = match Image::from_env()? {
        Some(image) => {
            rerun_if_changed(&image.image);
            image
        }
        None => {
            let overlay = variable("CARGO_MANIFEST_DIR")?
                .join("../../kernel")
                .canonicalize()?;
            rerun_if_changed(&overlay.join("arch/drupe"));
            build(&overlay)?
        }
    };
    let out = variable("OUT_DIR")?;
    fs::copy(&image.image, out.join("image.elf"))?;
    fs::write(out.join("image.id"), Digest::of_file(&image.image)?.bytes())?;
    Ok(())
}

fn build(overlay: &Path) -> Result<Image> {
    let kbuild = Kbuild::from_env(overlay, Flavour::from_env()?)?;
    let source = kbuild.source().path();
    if source.is_file() {
        rerun_if_changed(source);
    }
    // What cargo was told with --jobs.
    let jobs = env::var("NUM_JOBS").ok().and_then(|jobs| jobs.parse().ok());
    let kbuild = match jobs {
        Some(jobs) => kbuild.jobs(jobs),
        None => kbuild,
    };
    let mut terminal = Terminal::open();
    Ok(kbuild.image(&mut |progress| terminal.show(progress))?)
}

fn variable(name: &str) -> Result<PathBuf> {
    Ok(env::var_os(name)
        .ok_or_else(|| format!("{name} is not set; run this with cargo"))?
        .into())
}

fn rerun_if_changed(path: &Path) {
    println!("cargo::rerun-if-changed={}", path.display());
}

/// The terminal of whoever runs cargo, if there is one. Cargo shows nothing of
/// what a build script prints before it is over, and this one may take minutes.
struct Terminal {
    file: Option<File>,
    /// The last line, so that none is said twice.
    last: String,
}

impl Terminal {
    fn open() -> Terminal {
        let file = File::options().write(true).open("/dev/tty").ok();
        Terminal {
            file,
            last: String::new(),
        }
    }

    fn show(&mut self, progress: Progress<'_>) {
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
