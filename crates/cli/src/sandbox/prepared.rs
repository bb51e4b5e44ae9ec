//! [`Prepared`]: the files and connections that are opened before the process is
//! confined.

use std::collections::HashMap;
use std::fs::Metadata;
use std::path::{Path, PathBuf};

use anyhow::anyhow;
use drupe::Disk;
use std::os::unix::fs::MetadataExt;

use super::uses::Uses;
use crate::args::{Command, Global};
use crate::exit::{ExitCode, Failure};
use crate::interrupt::Signals;
use crate::session;
use drupe_tree::OutputFile;

/// What is open already, for the command to take.
#[derive(Default)]
pub(crate) struct Prepared {
    pub(crate) signals: Signals,
    /// The file that the command writes.
    pub(crate) output: Option<OutputFile>,
    /// Network disks, by their addresses.
    pub(crate) disks: HashMap<String, Disk>,
    /// Images that cannot be used, and why: the command may go on with others.
    pub(crate) refused: Vec<(PathBuf, Failure)>,
}

impl Prepared {
    pub(super) fn new(
        options: &Global,
        command: &Command,
        uses: &Uses,
    ) -> Result<Prepared, Failure> {
        let mut prepared = Prepared::default();
        for image in uses.written_images() {
            if let Err(failure) = session::refuse_attached(options, image) {
                prepared.refused.push((image.to_owned(), failure));
            }
        }
        refuse_images_written_into(uses)?;
        for (uri, write) in &uses.network {
            let image = Path::new(uri);
            let disk = session::open(
                options,
                image,
                *write && !options.read_only,
                &prepared.signals,
            );
            match disk {
                Ok(disk) => drop(prepared.disks.insert(uri.clone(), disk)),
                Err(failure) if failure.code == ExitCode::Image => {
                    prepared.refused.push((uri.into(), failure));
                }
                Err(failure) => return Err(failure),
            }
        }
        if let (Some(path), Command::Tar(command)) = (&uses.output, command) {
            let images = uses.images().filter_map(|image| image.metadata().ok());
            let images: Vec<_> = images.map(|image| (image.dev(), image.ino())).collect();
            // It is removed when a signal comes.
            prepared.signals.install()?;
            prepared.output = Some(OutputFile::create(
                path,
                command.force,
                &images,
                prepared.signals.interrupt(),
            )?);
        }
        Ok(prepared)
    }
}

/// Refuses open descriptors to write to, standard output one of them, that are of an image
/// that the command reads, or of one that the host has attached to a loop device. By their
/// paths, files are replaced, not written into.
fn refuse_images_written_into(uses: &Uses) -> Result<(), Failure> {
    let id = |metadata: Metadata| (metadata.dev(), metadata.ino());
    let images = uses.images().filter_map(|image| image.metadata().ok());
    let images: Vec<_> = images.filter(|found| !found.is_dir()).map(id).collect();
    let named = uses.write.iter().chain(&uses.output);
    let named = named.filter(|path| drupe_tree::is_descriptor(path));
    let stdout = (Path::new("/proc/self/fd/1"), "standard output");
    let named = named.map(|path| (path.as_path(), "the destination"));
    for (path, what) in named.chain([stdout]) {
        let Some(found) = path.metadata().ok().filter(Metadata::is_file) else {
            continue;
        };
        let refused = |cause: String| {
            let text = anyhow!("{what} {cause}");
            Err(Failure::new(ExitCode::Failed, text))
        };
        if images.contains(&id(found)) {
            return refused("is the image itself".into());
        }
        if let Some(device) = drupe::attached_loop(path) {
            return refused(format!(
                "is an image that is attached to {device}, which the host may have mounted"
            ));
        }
    }
    Ok(())
}
