//! [`write_stream`]: a stream becomes a file of an image.

use std::path::PathBuf;

use super::event::{Attributes, Data, Event};
use super::host::HostFile;
use super::image::ImageDir;
use super::job::Job;
use super::keep::Keep;
use super::plan::{Existing, Target};
use super::traits::{SourceFile, World};
use super::write::Writer;
use super::{CopyOptions, Outcome};
use crate::error::{Error, Result};
use crate::location::ImageLocation;
use crate::{Interrupt, Progress, Umask};

/// Copies standard input into the file `dest`, which keeps its contents, and its owners
/// and permissions, until the new ones are complete; a new file has permissions rw for
/// all, less the umask. A symbolic link is followed.
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
    const NAME: &str = "standard input";
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
    let source = HostFile::stdin(interrupt).and_then(|file| Ok((file.stat()?, file)));
    let (mut stat, source) = source.map_err(|error| error.at(NAME))?;
    // Whatever is read, a file is made.
    stat.mode = libc::S_IFREG | 0o666;
    let event = Event::File {
        name: name.unwrap_or_default(),
        attributes: Attributes {
            stat,
            xattrs: Vec::new(),
        },
        data: Data::Stream(source, NAME.to_owned()),
    };
    let keep = Keep {
        archive: false,
        umask: umask.bits,
        overrides: &options.overrides,
    };
    let mut job = Job::new(mount, keep, &options.replacing, interrupt, progress);
    let writer = Writer::new(&mut job, dir, &shown, World::Host);
    let written = writer
        .map_err(|error| error.at(label))
        .and_then(|writer| writer.run([vec![event]]));
    job.finish(written, true)
}
