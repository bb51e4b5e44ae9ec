//! Copies trees into an image, out of one, or between two.
//!
//! ```text
//!   walk (a thread)                    write (the caller)
//!   reads a SourceDir ── batches of ──▶ makes in a TargetDir
//!   and small files       Events        and copies large files
//! ```
//!
//! [`plan`] finds the destination of each source; [`mod@host`] and [`image`] implement the
//! [`traits`] of both sides; [`data`] copies large files through the drupe kernel's
//! memory; [`keep`] sets attributes; [`replace`] keeps an existing file until its
//! replacement is complete.

mod clamped;
mod data;
pub(crate) mod event;
pub(crate) mod host;
pub(crate) mod image;
pub(crate) mod job;
pub(crate) mod keep;
mod plan;
pub(crate) mod recycle;
pub(crate) mod replace;
mod stream;
pub(crate) mod traits;
pub(crate) mod walk;
mod write;

use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread::Builder;

use drupe::Mount;

use crate::error::{Error, Result, host};
use crate::location::{ImageLocation, Location};
use crate::paths;
use crate::progress::Progress;
use crate::umask::Umask;
use crate::{Interrupt, Outcome};
use host::{HostDir, HostFile};
use image::{ImageDir, ImageFile};
use job::Job;
pub(crate) use job::allocate;
use keep::{Keep, Overrides};
use plan::{Existing, Target};
use replace::Replacing;
pub use stream::{write_file, write_stream};
use traits::{SourceDir, TargetDir};
use walk::{Root, RootFile, Walker};
use write::Writer;

/// Files of this size and more are not read as a whole.
const LARGE: u64 = 1 << 20;

/// How many batches of events may be queued, so that both sides keep busy.
pub(crate) const QUEUE: usize = 4;

/// Options of a copy; see cp(1).
#[derive(Debug, Clone, Default)]
pub struct CopyOptions {
    /// Copies directories with their contents. Symbolic links are copied as links.
    pub recursive: bool,
    /// As `recursive`, and keeps owners, permissions, times, hard links, extended
    /// attributes and ACLs. Otherwise only permissions are kept, less the umask.
    pub archive: bool,
    /// Attributes that replace the source's.
    pub overrides: Overrides,
    /// What to do with existing files.
    pub replacing: Replacing,
    /// Leaves these files out, with everything below them: paths in the target, from the
    /// destination.
    pub left_out: Vec<PathBuf>,
    /// Leaves out everything below these directories, but not the directories. An empty
    /// path is the destination.
    pub emptied: Vec<PathBuf>,
}

impl CopyOptions {
    fn is_recursive(&self) -> bool {
        self.recursive || self.archive
    }

    /// Whether a file is left out, by its path in the target.
    fn leaves_out(&self, path: &Path) -> bool {
        let is_in = |list: &[PathBuf], path: &Path| list.iter().any(|one| one == path);
        let above = path.parent().filter(|_| !path.as_os_str().is_empty());
        is_in(&self.left_out, path) || above.is_some_and(|above| is_in(&self.emptied, above))
    }
}

/// Copies files and directories, by the rules of cp(1): into the directory `dest`, or,
/// if there is only one source, to the new name `dest`. At least one end is in an image.
///
/// An existing file keeps its contents until its replacement is complete. That is made in
/// the same directory as `.drupe-0`, or with the first free number, and renamed.
///
/// Errors of single files are reported to `progress` and counted in the [`Outcome`]; the
/// copy goes on.
///
/// # Errors
///
/// Errors that end the copy: a full target, a missing destination, or `interrupt`
/// ([`Error::is_interrupted`]). Files that were copied before are complete.
pub fn copy(
    sources: &[Location],
    dest: &Location,
    options: &CopyOptions,
    umask: &Umask,
    interrupt: &Interrupt,
    progress: &dyn Progress,
) -> Result<Outcome> {
    let images = sources.iter().chain([dest]);
    let mut mounts = images.filter_map(|location| match location {
        Location::Image(image) => Some(&image.mount),
        Location::Host(_) => None,
    });
    let Some(mount) = mounts.next() else {
        let cause = "a source and the destination are both files of the host";
        return Err(Error::new("copy", cause));
    };
    let keep = Keep {
        archive: options.archive,
        umask: umask.bits,
        overrides: &options.overrides,
    };
    let mut job = Job::new(mount, keep, &options.replacing, interrupt, progress);
    let copied = match dest {
        Location::Host(path) => to_host(options, sources, path, &mut job),
        Location::Image(image) => to_image(options, sources, image, &mut job),
    };
    // On the host, an ordinary user's copies are that user's: cp -a does not mention it
    // either.
    let tell = matches!(dest, Location::Image(_)) || rustix::process::geteuid().is_root();
    job.finish(copied, tell)
}

/// The opened destination.
struct Dest<'a> {
    target: Target,
    /// The name of the target's directory in errors.
    shown: PathBuf,
    /// Its mount, if it is in an image.
    mount: Option<&'a Mount>,
}

fn to_host(
    options: &CopyOptions,
    sources: &[Location],
    path: &Path,
    job: &mut Job<'_>,
) -> Result<()> {
    let label = path.display().to_string();
    let nameless = HostFile::open_nameless(path, job.interrupt);
    if let Some(nameless) = nameless.map_err(|error| error.at(&label))? {
        return stream::into_nameless(options, sources, &nameless, &label, job);
    }
    let existing = crate::error::host("find", Existing::on_host(path));
    let existing = existing.map_err(|error| error.at(&label))?;
    let recursive = options.is_recursive();
    let target = Target::new(path, &label, existing, sources.len(), recursive)?;
    let dest = Dest {
        shown: target.base.clone(),
        target,
        mount: None,
    };
    let interrupt = job.interrupt;
    let open = || HostDir::open(&dest.target.base, interrupt);
    each_source(options, sources, &dest, open, job)
}

fn to_image(
    options: &CopyOptions,
    sources: &[Location],
    to: &ImageLocation,
    job: &mut Job<'_>,
) -> Result<()> {
    let existing = Existing::in_image(&to.mount, &to.path);
    let existing = existing.map_err(|error| Error::from(error).at(to.shown()))?;
    let recursive = options.is_recursive();
    let target = Target::new(&to.path, &to.shown(), existing, sources.len(), recursive)?;
    let shown = ImageLocation {
        path: target.base.clone(),
        ..to.clone()
    };
    let dest = Dest {
        shown: shown.shown().into(),
        target,
        mount: Some(&to.mount),
    };
    let open = || ImageDir::open(&to.mount, &dest.target.base);
    each_source(options, sources, &dest, open, job)
}

/// Copies the sources. Consecutive sources on the same side are copied together, so that
/// hard links between them are kept.
fn each_source<T: TargetDir>(
    options: &CopyOptions,
    sources: &[Location],
    dest: &Dest<'_>,
    open: impl Fn() -> Result<T>,
    job: &mut Job<'_>,
) -> Result<()> {
    let together = |a: &Location, b: &Location| match (a, b) {
        (Location::Host(_), Location::Host(_)) => true,
        (Location::Image(a), Location::Image(b)) => a.label == b.label,
        _ => false,
    };
    for group in sources.chunk_by(together) {
        let base = open().map_err(|error| error.at(dest.shown.display().to_string()))?;
        match &group[0] {
            Location::Host(_) => {
                let interrupt = job.interrupt;
                let roots = group.iter().filter_map(|source| match source {
                    Location::Host(path) => job.accept(host_root(options, path, dest, interrupt)),
                    Location::Image(_) => None,
                });
                let roots = roots.collect();
                transfer(options, job, "", roots, base, &dest.shown)?;
            }
            Location::Image(first) => {
                let label = format!("{}:", first.label);
                let roots = group.iter().filter_map(|source| match source {
                    Location::Image(source) => job.accept(image_root(options, source, dest)),
                    Location::Host(_) => None,
                });
                let roots = roots.collect();
                transfer(options, job, &label, roots, base, &dest.shown)?;
            }
        }
    }
    Ok(())
}

/// A source on the host. Without `-r` a symbolic link is followed.
fn host_root(
    options: &CopyOptions,
    path: &Path,
    dest: &Dest<'_>,
    interrupt: &Interrupt,
) -> Result<Root<HostDir>> {
    let open = || {
        Ok(match paths::base_name(path) {
            _ if !options.is_recursive() => RootFile::File(HostFile::open(path, interrupt)?),
            Some(name) if !paths::ends_with_slash(path) => {
                RootFile::Entry(HostDir::open(paths::parent(path), interrupt)?, name)
            }
            _ => RootFile::Dir(HostDir::open(path, interrupt)?),
        })
    };
    let file = open().map_err(|error: Error| error.at(path.display().to_string()))?;
    Ok(Root {
        file,
        target: dest.target.name_for(path),
        shown: path.to_owned(),
    })
}

/// A source in an image, by the same rules.
fn image_root(
    options: &CopyOptions,
    source: &ImageLocation,
    dest: &Dest<'_>,
) -> Result<Root<ImageDir>> {
    let (mount, path) = (&source.mount, &source.path);
    let target = dest.target.name_for(path);
    let open = || {
        let file = match paths::base_name(path) {
            _ if !options.is_recursive() => RootFile::File(ImageFile::open(mount, path)?),
            Some(name) if !paths::ends_with_slash(path) => {
                RootFile::Entry(ImageDir::open(mount, paths::parent(path))?, name)
            }
            _ => RootFile::Dir(ImageDir::open(mount, path)?),
        };
        let names = |mount: &Mount| {
            mount
                .partition()
                .map(|partition| partition.name().to_owned())
        };
        if dest.mount.is_some_and(|other| names(other) == names(mount)) {
            let other = dest.mount.unwrap_or(mount);
            let from = mount.canonicalize(path)?;
            let to = other.canonicalize(&dest.target.base)?.join(&target);
            if is_within(other, &to, mount, &from)? {
                let cause = "it would be copied onto or into itself";
                return Err(Error::new("copy", cause));
            }
        }
        Ok(file)
    };
    let file = open().map_err(|error: Error| error.at(source.shown()))?;
    Ok(Root {
        file,
        target,
        shown: path.clone(),
    })
}

/// Whether `path` is `top` or beneath it: both of one filesystem, of which two mounts may
/// show different parts.
fn is_within(mount: &Mount, path: &Path, top_mount: &Mount, top: &Path) -> Result<bool> {
    let id = |mount: &Mount, path: &Path| {
        let found = mount.symlink_metadata(path)?;
        Ok::<_, drupe::Error>((found.dev(), found.ino()))
    };
    if id(mount, Path::new("/"))? == id(top_mount, Path::new("/"))? {
        return Ok(path.starts_with(top));
    }
    let top = id(top_mount, top)?;
    // What is not there yet is nothing.
    Ok(path
        .ancestors()
        .any(|path| id(mount, path).is_ok_and(|id| id == top)))
}

/// Walks the sources on a new thread, and writes on this one.
pub(crate) fn transfer<S: SourceDir, T: TargetDir>(
    options: &CopyOptions,
    job: &mut Job<'_>,
    label: &str,
    roots: Vec<Root<S>>,
    base: T,
    shown: &Path,
) -> Result<()> {
    if job.progress.wants_total() {
        job.progress.add_total(walk::measure(&roots));
    }
    let archive = job.keep.archive;
    let (giver, taker) = recycle::channel();
    let writer = Writer::new(job, base, shown, S::WORLD, giver);
    let writer = writer.map_err(|error| error.at(shown.display().to_string()))?;
    std::thread::scope(|scope| {
        let (sender, receiver) = mpsc::sync_channel(QUEUE);
        let walk = move || {
            // The receiver is gone: the writer has stopped, and says why.
            let walker = Walker::new(archive, label, sender, taker);
            let _ = walker
                .leaving_out(|path| options.leaves_out(path))
                .run(roots);
        };
        host("start thread", Builder::new().spawn_scoped(scope, walk))?;
        // Dropping the receiver lets a walker that is ahead go.
        writer.run(receiver)
    })
}
