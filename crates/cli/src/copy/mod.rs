//! `drupe cp`: copies files into an image, out of one, or between two.
//!
//! ```text
//!   walk (a thread)                    write (the caller)
//!   reads a SourceDir ── batches of ──▶ makes in a TargetDir
//!   and small files       Events        and copies large files
//! ```
//!
//! [`plan`] decides what goes where; [`host`] and [`image`] are what [`side`]
//! asks of either end; [`data`] copies large files through the kernel's own
//! memory; [`keep`] sets attributes.

mod data;
pub(crate) mod event;
pub(crate) mod host;
pub(crate) mod image;
pub(crate) mod keep;
mod plan;
pub(crate) mod progress;
pub(crate) mod replace;
pub(crate) mod side;
pub(crate) mod walk;
mod write;

use std::path::{Path, PathBuf};
use std::sync::mpsc;

use anyhow::anyhow;
use drupe::Mount;

use crate::args::Cp;
use crate::context::Context;
use crate::epoch;
use crate::exit::{ExitCode, Failure};
use crate::location::{ImagePath, Location};
use crate::paths;
use crate::problem::{self, Failed, Problem};
use crate::session::Session;
use crate::umask::Umask;
use event::{Attributes, Data, Event};
use host::{HostDir, HostFile};
pub(crate) use image::stat;
use image::{ImageDir, ImageFile};
use keep::{Keep, Refused, Wanted};
use plan::{Existing, Target};
use progress::Progress;
use replace::{Policy, Replacing};
use side::{SourceDir, SourceFile, TargetDir, World};
use walk::{Top, Walker, What};
pub(crate) use write::allocate;
use write::{Job, Stop, Writer};

/// Files of this size and more are not read as a whole.
const LARGE: u64 = 1 << 20;

/// Batches of events on their way: enough for both sides to keep busy.
pub(crate) const QUEUE: usize = 4;

pub(crate) fn run(context: &mut Context<'_>, command: &Cp) -> Result<ExitCode, Failure> {
    let mut paths: Vec<Location> = command
        .paths
        .iter()
        .map(|path| context.location(path))
        .collect();
    let Some(dest) = paths.pop() else {
        return Err(Failure::usage("nothing to copy"));
    };
    if matches!(dest, Location::Host(_))
        && paths.iter().any(|path| matches!(path, Location::Host(_)))
    {
        return Err(Failure::usage(
            "a source and the destination are both files of the host; \
             a path in an image is written IMAGE:/PATH",
        ));
    }
    if let Location::Image(image) = &dest {
        context.open_for_writing(&image.volume.image)?;
    }
    let (uid, gid) = match (&command.chown, &dest) {
        (None, _) => (None, None),
        (Some(owners), Location::Image(path)) => {
            owners.resolve(&context.session.mount(&path.volume)?)?
        }
        (Some(_), Location::Host(_)) => {
            return Err(Failure::usage("--chown is for copies into an image"));
        }
    };
    let wanted = Wanted {
        uid,
        gid,
        mode: command.mode.clone(),
        modified: command.mtime,
        epoch: epoch::get()?,
    };
    let into_image = matches!(dest, Location::Image(_));
    let replacing = command.replacing()?;
    if replacing.policy == Policy::Ask {
        context.own_stdin()?;
    }
    with_job(
        context,
        command.archive,
        &wanted,
        &replacing,
        into_image,
        |session, job| match &dest {
            Location::Host(path) => to_host(session, command, &paths, path, job),
            Location::Image(path) => to_image(session, command, &paths, path, job),
        },
    )
}

/// Copies, and says how it went.
pub(crate) fn with_job(
    context: &mut Context<'_>,
    archive: bool,
    wanted: &Wanted,
    replacing: &Replacing,
    into_image: bool,
    work: impl FnOnce(&mut Session<'_>, &mut Job<'_>) -> Copied,
) -> Result<ExitCode, Failure> {
    context.interrupt.install()?;
    let kernel = context.session.kernel().clone();
    let interrupt = context.interrupt.clone();
    // Modes are ours to compute, on both sides.
    let umask = Umask::take();
    let mut job = Job {
        kernel: &kernel,
        keep: Keep {
            archive,
            umask: umask.bits,
            wanted,
        },
        replacing,
        interrupt: &interrupt,
        progress: Progress::new(&context.options),
        buffers: Vec::new(),
        failed: false,
        refused: Refused::default(),
    };
    let copied = work(&mut context.session, &mut job);
    job.progress.finish();
    // On the host, an ordinary user's copies are that user's: cp -a does not
    // mention it either.
    if into_image || rustix::process::geteuid().is_root() {
        warn_of_refusals(&job.refused, &job.progress);
    }
    match copied? {
        Some(Stop::Interrupted) => {
            context.check()?;
            Ok(ExitCode::Interrupted)
        }
        Some(Stop::Problem(problem)) => {
            Err(anyhow!("{problem}; what was copied before it is complete").into())
        }
        None => Ok(match job.failed {
            true => ExitCode::Failed,
            false => ExitCode::Success,
        }),
    }
}

pub(crate) fn warn_of_refusals(refused: &Refused, progress: &Progress) {
    let &Refused {
        owners,
        modes,
        xattrs,
        ..
    } = refused;
    for (count, what) in [
        (owners, "owners"),
        (modes, "permissions"),
        (xattrs, "extended attributes"),
    ] {
        if count > 0 {
            let text = format!("the target refused {what} {count} times");
            progress.warning(&text);
        }
    }
}

/// A copy that came to its end, early or not.
pub(crate) type Copied = Result<Option<Stop>, Failure>;

/// The destination, found.
struct Dest<'a> {
    target: Target,
    /// The target's directory, as problems name it.
    shown: PathBuf,
    /// What it is on, if it is in an image.
    mount: Option<&'a Mount>,
}

fn to_host(
    session: &mut Session<'_>,
    command: &Cp,
    sources: &[Location],
    path: &Path,
    job: &mut Job<'_>,
) -> Copied {
    let label = path.display().to_string();
    let existing = Existing::on_host(path);
    let existing = existing.map_err(|error| anyhow!("{label}: {error}"))?;
    let target = Target::new(
        path,
        &label,
        existing,
        sources.len(),
        command.is_recursive(),
    )?;
    let dest = Dest {
        shown: target.base.clone(),
        target,
        mount: None,
    };
    let open = || HostDir::open(&dest.target.base);
    each_source(session, command, sources, &dest, open, job)
}

fn to_image(
    session: &mut Session<'_>,
    command: &Cp,
    sources: &[Location],
    path: &ImagePath,
    job: &mut Job<'_>,
) -> Copied {
    let mount = session.mount(&path.volume)?;
    let existing = Existing::in_image(&mount, &path.path);
    let existing = existing.map_err(|error| anyhow!("{}: {error}", path.volume.label()))?;
    let label = path.label();
    let target = Target::new(
        &path.path,
        &label,
        existing,
        sources.len(),
        command.is_recursive(),
    )?;
    let shown = ImagePath {
        volume: path.volume.clone(),
        path: target.base.clone(),
    };
    let dest = Dest {
        shown: shown.label().into(),
        target,
        mount: Some(&mount),
    };
    let open = || ImageDir::open(&mount, &dest.target.base);
    each_source(session, command, sources, &dest, open, job)
}

/// Copies the sources, those that follow each other on one side together, so
/// that hard links between them are kept.
fn each_source<T: TargetDir>(
    session: &mut Session<'_>,
    command: &Cp,
    sources: &[Location],
    dest: &Dest<'_>,
    open: impl Fn() -> problem::Result<T>,
    job: &mut Job<'_>,
) -> Copied {
    let together = |a: &Location, b: &Location| match (a, b) {
        (Location::Host(_), Location::Host(_)) => true,
        (Location::Image(a), Location::Image(b)) => a.volume == b.volume,
        _ => false,
    };
    for group in sources.chunk_by(together) {
        let base = open().map_err(|failed| failed.at(dest.shown.display().to_string()))?;
        let stop = match &group[0] {
            Location::Host(_) => {
                let tops = group.iter().filter_map(|source| match source {
                    Location::Host(path) => job.accept(host_top(command, path, dest)),
                    Location::Image(_) => None,
                });
                let tops = tops.collect();
                transfer(job, "", tops, base, &dest.shown)?
            }
            Location::Image(first) => {
                let mount = session.mount(&first.volume)?;
                let label = format!("{}:", first.volume.label());
                let tops = group.iter().filter_map(|source| match source {
                    Location::Image(path) => job.accept(image_top(command, &mount, path, dest)),
                    Location::Host(_) => None,
                });
                let tops = tops.collect();
                transfer(job, &label, tops, base, &dest.shown)?
            }
        };
        if stop.is_some() {
            return Ok(stop);
        }
    }
    Ok(None)
}

/// A source on the host. Without `-r` a symbolic link is followed.
fn host_top(command: &Cp, path: &Path, dest: &Dest<'_>) -> Result<Top<HostDir>, Problem> {
    let open = || {
        Ok(match paths::base_name(path) {
            _ if !command.is_recursive() => What::File(HostFile::open(path)?),
            Some(name) if !paths::ends_with_slash(path) => {
                What::Entry(HostDir::open(paths::parent(path))?, name)
            }
            _ => What::Dir(HostDir::open(path)?),
        })
    };
    let what = open().map_err(|failed: Failed| failed.at(path.display().to_string()))?;
    Ok(Top {
        what,
        target: dest.target.name_for(path),
        shown: path.to_owned(),
    })
}

/// A source in an image, by the same rules.
fn image_top(
    command: &Cp,
    mount: &Mount,
    source: &ImagePath,
    dest: &Dest<'_>,
) -> Result<Top<ImageDir>, Problem> {
    let path = &source.path;
    let target = dest.target.name_for(path);
    let open = || {
        let what = match paths::base_name(path) {
            _ if !command.is_recursive() => What::File(ImageFile::open(mount, path)?),
            Some(name) if !paths::ends_with_slash(path) => {
                What::Entry(ImageDir::open(mount, paths::parent(path))?, name)
            }
            _ => What::Dir(ImageDir::open(mount, path)?),
        };
        let names = |mount: &Mount| {
            mount
                .partition()
                .map(|partition| partition.name().to_owned())
        };
        if dest.mount.is_some_and(|other| names(other) == names(mount)) {
            let from = mount.canonicalize(path)?;
            let to = mount.canonicalize(&dest.target.base)?.join(&target);
            if to.starts_with(&from) {
                return Err(Failed::new(
                    "copy",
                    "it would be copied onto or into itself",
                ));
            }
        }
        Ok(what)
    };
    let what = open().map_err(|failed: Failed| failed.at(source.label()))?;
    Ok(Top {
        what,
        target,
        shown: path.clone(),
    })
}

/// Copies a stream to a path in an image, which is open for writing. What has that path
/// keeps its contents until the new file is complete.
pub(crate) fn stream_to_image(
    context: &mut Context<'_>,
    path: &ImagePath,
    source: HostFile,
    wanted: &Wanted,
) -> Result<ExitCode, Failure> {
    let replacing = Replacing::default();
    with_job(context, false, wanted, &replacing, true, |session, job| {
        let mount = session.mount(&path.volume)?;
        let existing = Existing::in_image(&mount, &path.path);
        let existing = existing.map_err(|error| anyhow!("{}: {error}", path.volume.label()))?;
        let label = path.label();
        if matches!(existing, Existing::Dir) {
            return Err(anyhow!("{label} is a directory").into());
        }
        let Target { base, name } = Target::new(&path.path, &label, existing, 1, false)?;
        let shown = ImagePath {
            volume: path.volume.clone(),
            path: base.clone(),
        };
        let shown = PathBuf::from(shown.label());
        let dir = ImageDir::open(&mount, &base);
        let dir = dir.map_err(|failed| failed.at(shown.display().to_string()))?;
        let mut attributes = Attributes {
            stat: source
                .stat()
                .map_err(|failed| failed.at("standard input"))?,
            xattrs: Vec::new(),
        };
        // Whatever is read, a file is made.
        attributes.stat.mode = libc::S_IFREG | 0o666;
        let event = Event::File {
            name: name.unwrap_or_default(),
            attributes,
            data: Data::Stream(source, "standard input".to_owned()),
        };
        let writer = Writer::new(job, dir, &shown, World::Host);
        let writer = writer.map_err(|failed| failed.at(label))?;
        Ok(writer.run([vec![event]]).err())
    })
}

/// Walks the sources on a thread of its own and writes them on this one.
pub(crate) fn transfer<S: SourceDir, T: TargetDir>(
    job: &mut Job<'_>,
    label: &str,
    tops: Vec<Top<S>>,
    base: T,
    shown: &Path,
) -> Copied {
    if job.progress.is_shown() {
        job.progress.add_total(walk::measure(&tops));
    }
    let archive = job.keep.archive;
    let writer = Writer::new(job, base, shown, S::WORLD);
    let writer = writer.map_err(|failed| failed.at(shown.display().to_string()))?;
    std::thread::scope(|scope| {
        let (sender, receiver) = mpsc::sync_channel(QUEUE);
        scope.spawn(move || {
            // Gone: the writer has stopped, and says why.
            let _ = Walker::new(archive, label, sender).run(tops);
        });
        // Dropping the receiver lets a walker that is ahead go.
        Ok(writer.run(receiver).err())
    })
}
