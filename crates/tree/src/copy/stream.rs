//! [`write_stream`]: writes standard input to a file of an image. Also copies files into
//! pipes and open descriptors.

use std::path::{Path, PathBuf};

use super::event::{Attributes, Data, Event};
use super::host::HostFile;
use super::image::{ImageDir, ImageFile};
use super::job::Job;
use super::keep::Keep;
use super::plan::{Existing, Target};
use super::recycle;
use super::traits::{SourceFile, TargetFile, World};
use super::write::Writer;
use super::{CopyOptions, Outcome};
use crate::error::{Error, Result};
use crate::location::{ImageLocation, Location};
use crate::{Interrupt, Progress, Umask};

/// Bytes that are read at once.
const PIECE: usize = 256 << 10;

/// Copies standard input to the file `dest`. An existing file keeps its contents until
/// the new ones are complete, and its owners and permissions. A new file gets permissions
/// rw for all, less the umask. A symbolic link is followed.
///
/// # Errors
///
/// As of [`copy`](super::copy); and if `dest` is a directory.
pub fn write_stream(
    dest: &ImageLocation,
    options: &CopyOptions,
    umask: &Umask,
    interrupt: &Interrupt,
    progress: &dyn Progress,
) -> Result<Outcome> {
    let source = HostFile::stdin(interrupt);
    let name = "standard input".to_owned();
    write_from((source, name), dest, options, umask, interrupt, progress)
}

/// The same from a file of the host.
///
/// # Errors
///
/// As of [`write_stream`].
pub fn write_file(
    source: &Path,
    dest: &ImageLocation,
    options: &CopyOptions,
    umask: &Umask,
    interrupt: &Interrupt,
    progress: &dyn Progress,
) -> Result<Outcome> {
    let name = source.display().to_string();
    let source = HostFile::open(source, interrupt);
    write_from((source, name), dest, options, umask, interrupt, progress)
}

fn write_from(
    (source, source_name): (Result<HostFile>, String),
    dest: &ImageLocation,
    options: &CopyOptions,
    umask: &Umask,
    interrupt: &Interrupt,
    progress: &dyn Progress,
) -> Result<Outcome> {
    let (mount, label) = (&dest.mount, dest.shown());
    let existing = Existing::in_image(mount, &dest.path);
    let existing = existing.map_err(|error| Error::from(error).at(&label))?;
    if matches!(existing, Existing::Dir) {
        return Err(Error::new("write", "it is a directory").at(label));
    }
    let Target { base, name } = Target::new(&dest.path, &label, existing, 1, false)?;
    let shown = ImageLocation {
        path: base.clone(),
        ..dest.clone()
    };
    let shown = PathBuf::from(shown.shown());
    let dir = ImageDir::open(mount, &base);
    let dir = dir.map_err(|error| error.at(shown.display().to_string()))?;
    let source = source.and_then(|file| Ok((file.stat()?, file)));
    let (mut stat, source) = source.map_err(|error| error.at(source_name.clone()))?;
    // Whatever is read, a file is made.
    stat.mode = libc::S_IFREG | 0o666;
    let event = Event::File {
        name: name.unwrap_or_default(),
        attributes: Attributes {
            stat,
            xattrs: Vec::new(),
        },
        data: Data::Stream(source, source_name),
    };
    let keep = Keep {
        archive: false,
        umask: umask.bits,
        overrides: &options.overrides,
    };
    let mut job = Job::new(mount, keep, &options.replacing, interrupt, progress);
    let writer = Writer::new(&mut job, dir, &shown, World::Host, recycle::channel().0);
    let written = writer
        .map_err(|error| error.at(label))
        .and_then(|writer| writer.run([vec![event]]));
    job.finish(written, true)
}

/// Copies a file of an image into a pipe or an open descriptor, as cat(1) does.
pub(super) fn into_nameless(
    options: &CopyOptions,
    sources: &[Location],
    into: &HostFile,
    label: &str,
    job: &mut Job<'_>,
) -> Result<()> {
    if options.recursive || options.archive || sources.len() > 1 {
        let cause = "it is a pipe or an open descriptor, which takes one file";
        return Err(Error::new("copy to", cause).at(label));
    }
    let mut piece = vec![0; PIECE];
    for source in sources {
        let Location::Image(source) = source else {
            continue;
        };
        let read = |error: Error| error.at(source.shown());
        let file = ImageFile::open(&source.mount, &source.path).map_err(read)?;
        loop {
            job.interrupt.check("copy")?;
            let len = file.read(&mut piece).map_err(read)?;
            if len == 0 {
                break;
            }
            match into.write_all(&piece[..len]) {
                Err(_) if job.interrupt.requested() => return Err(Error::interrupted("copy")),
                written => written.map_err(|error| error.at(label))?,
            }
            job.progress.bytes(len as u64);
        }
        job.progress.file();
    }
    Ok(())
}
