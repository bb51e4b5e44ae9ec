//! [`build`]: makes the tree that a manifest describes.
//!
//! The manifest has names and attributes, a directory of the host the contents. [`mtree`]
//! and [`composefs`] parse into a [`tree::Tree`], which is a source of a copy
//! ([`source`]), so that the rest is as with `cp -a`.

mod composefs;
mod digest;
mod mtree;
mod source;
mod tree;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::copy::image::ImageDir;
use crate::copy::job::Job;
use crate::copy::keep::{Keep, Overrides};
use crate::copy::replace::Replacing;
use crate::copy::traits::SourceDir as _;
use crate::copy::walk::{Root, RootFile};
use crate::copy::{CopyOptions, transfer};
use crate::error::{Error, Result};
use crate::location::ImageLocation;
use crate::time::Time;
use crate::users::Names;
use crate::{Interrupt, Outcome, Progress, Umask};
use source::ManifestDir;

/// Formats of manifests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// mtree(5).
    Mtree,
    /// The dump format of composefs-info(1).
    Composefs,
}

/// Options of building from a manifest.
#[derive(Debug, Clone, Default)]
pub struct BuildOptions {
    /// The manifest's format; `None`: guessed from its first line.
    pub format: Option<Format>,
    /// The directory of the host with the contents. Neither paths nor symbolic links lead
    /// out of it.
    pub contents: PathBuf,
    /// The latest time that is kept (`SOURCE_DATE_EPOCH`): later times become this one.
    pub epoch: Option<Time>,
}

/// The inputs for parsing a manifest.
struct Known {
    users: Names,
    groups: Names,
}

/// Makes the tree that a manifest describes in the directory `dest`. Errors call the
/// manifest `name`.
///
/// Errors of single files are reported to `progress` and counted in the [`Outcome`]; the
/// build goes on. A file whose contents do not have the manifest's digests is not made.
///
/// # Errors
///
/// A malformed manifest, with the number of the line; else as for
/// [`copy`](crate::copy()).
pub fn build(
    manifest: &[u8],
    name: &str,
    dest: &ImageLocation,
    options: &BuildOptions,
    umask: &Umask,
    interrupt: &Interrupt,
    progress: &dyn Progress,
) -> Result<Outcome> {
    let known = Known {
        users: Names::users(&dest.mount)?,
        groups: Names::groups(&dest.mount)?,
    };
    let format = options.format.unwrap_or_else(|| guess(manifest));
    let parsed = match format {
        Format::Mtree => mtree::parse(manifest, &known),
        Format::Composefs => composefs::parse(manifest),
    };
    let tree =
        parsed.map_err(|(line, error)| Error::new("read", error).at(format!("{name}:{line}")))?;
    let source = ManifestDir::root(Arc::new(tree), &options.contents, interrupt);
    let source = source.map_err(|error| error.at(options.contents.display().to_string()))?;
    let overrides = Overrides {
        epoch: options.epoch,
        ..Overrides::default()
    };
    let keep = Keep {
        archive: true,
        umask: umask.bits,
        overrides: &overrides,
    };
    let replacing = Replacing::default();
    let mut job = Job::new(&dest.mount, keep, &replacing, interrupt, progress);
    let base = ImageDir::open(&dest.mount, &dest.path);
    let base = base.map_err(|error| error.at(dest.shown()))?;
    let label = format!("{name}: ");
    let shown = dest.shown();
    let everything = CopyOptions::default();
    let done = transfer(
        &everything,
        &mut job,
        &label,
        roots(&source)?,
        base,
        Path::new(&shown),
    );
    job.finish(done, true)
}

/// The sources for a tree. The directory `dest` keeps its attributes unless the manifest
/// has some for it.
fn roots(source: &ManifestDir) -> Result<Vec<Root<ManifestDir>>> {
    if source.tree.is_root_given {
        return Ok(vec![Root {
            file: RootFile::Dir(source.clone()),
            target: OsString::new(),
            shown: "/".into(),
        }]);
    }
    let entries = source.entries()?.into_iter();
    let roots = entries.map(|(name, _)| Root {
        file: RootFile::Entry(source.clone(), name.clone()),
        shown: Path::new("/").join(&name),
        target: name,
    });
    Ok(roots.collect())
}

/// Guesses the format: a dump of composefs has only lines of absolute paths with numbers
/// behind them.
fn guess(text: &[u8]) -> Format {
    let first = text
        .split(|&byte| byte == b'\n')
        .find(|line| !line.is_empty());
    let first = first.unwrap_or_default();
    let is_number = |field: Option<&[u8]>| {
        field.is_some_and(|field| !field.is_empty() && field.iter().all(u8::is_ascii_digit))
    };
    let mut fields = first.split(|&byte| byte == b' ');
    match fields.next() {
        Some([b'/', ..]) if is_number(fields.next()) => Format::Composefs,
        _ => Format::Mtree,
    }
}

/// Parses a manifest.
#[cfg(feature = "fuzzing")]
pub(crate) fn fuzz(manifest: &[u8], format: Format) {
    let known = Known {
        users: Names::default(),
        groups: Names::default(),
    };
    let _ = match format {
        Format::Mtree => mtree::parse(manifest, &known),
        Format::Composefs => composefs::parse(manifest),
    };
}
