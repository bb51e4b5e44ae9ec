//! `drupe tar` and `drupe untar`: archives of directories in images.

use std::io::{self, IsTerminal, Read};
use std::path::Path;

use anyhow::Context as _;
use drupe_tree::{ArchiveOptions, Compression, ExtractOptions, ImageLocation, OutputFile, Umask};

use crate::args::{Tar, Untar};
use crate::context::{Context, Work};
use crate::epoch;
use crate::exit::{ExitCode, Failure};

pub(crate) fn create(context: &mut Context<'_>, command: &Tar) -> Result<ExitCode, Failure> {
    let source = context.path(&command.path)?;
    let compression = match (command.compression(), &command.file) {
        (Some(compression), _) => compression,
        (None, Some(file)) => Compression::of_name(file.as_os_str()).map_err(|suffix| {
            let message = format!(
                "{}: archives are not compressed as {suffix} says: use .gz, .zst or .xz, or \
                 --compress",
                file.display()
            );
            Failure::usage(message)
        })?,
        (None, None) => Compression::None,
    };
    let options = ArchiveOptions {
        compression,
        numeric_owner: command.numeric_owner,
        exclude: command.exclude.clone(),
        members: command.members.clone(),
        epoch: epoch::get()?,
    };
    let Some(path) = command
        .file
        .as_ref()
        .filter(|file| **file != Path::new("-"))
    else {
        if io::stdout().is_terminal() {
            return Err(Failure::usage(
                "an archive is nothing for a terminal: give -f FILE, or redirect the output",
            ));
        }
        let source = context.locate_image(source)?;
        return context.work(command.verbose, |work| {
            archive(
                &source,
                &options,
                io::stdout().lock(),
                "standard output",
                work,
            )
            .map(|outcome| outcome.unwrap_or(drupe_tree::Outcome { errors: 1 }))
        });
    };
    context.signals.install()?;
    let output = context.output.take();
    let source = context.locate_image(source)?;
    let output = match output {
        Some(output) => output,
        None => {
            let images = context.session.image_files();
            OutputFile::create(path, command.force, &images, context.signals.interrupt())?
        }
    };
    let name = path.display().to_string();
    context.work(command.verbose, |work| {
        match archive(&source, &options, output.stream(), &name, work)? {
            Some(outcome) => {
                output.commit()?;
                Ok(outcome)
            }
            // There is nothing to put into it.
            None => Ok(drupe_tree::Outcome { errors: 1 }),
        }
    })
}

fn archive(
    source: &ImageLocation,
    options: &ArchiveOptions,
    output: impl io::Write,
    name: &str,
    work: &Work<'_>,
) -> drupe_tree::Result<Option<drupe_tree::Outcome>> {
    drupe_tree::archive(source, options, output, name, work.interrupt, work.progress)
}

pub(crate) fn extract(context: &mut Context<'_>, command: &Untar) -> Result<ExitCode, Failure> {
    let dest = context.target(&command.path)?;
    let from = command
        .file
        .as_ref()
        .filter(|file| **file != Path::new("-"));
    if from.is_none() {
        context.own_stdin()?;
        if io::stdin().is_terminal() {
            return Err(Failure::usage(
                "an archive is not typed: give -f FILE, or redirect standard input",
            ));
        }
    }
    let file = from.map(|path| {
        let file = drupe_tree::open_input(path);
        file.with_context(|| format!("cannot open {}", path.display()))
    });
    let file = file.transpose()?;
    let name = from.map_or("standard input".to_owned(), |path| {
        path.display().to_string()
    });
    context.open_for_writing(&dest.volume.image)?;
    let dest = context.locate_image(dest)?;
    let options = ExtractOptions {
        names: command.names,
        strip_components: command.strip_components,
        exclude: command.exclude.clone(),
        keep_directory_symlink: command.keep_directory_symlink,
        whiteouts: command.whiteouts,
        epoch: epoch::get()?,
    };
    let interrupt = context.signals.interrupt();
    let archive: Box<dyn Read> = match file {
        Some(file) => Box::new(interrupt.waiting(file)),
        None => Box::new(interrupt.waiting(io::stdin().lock())),
    };
    context.work(command.verbose, |work| {
        let umask = Umask::take();
        drupe_tree::extract(
            archive,
            &name,
            &dest,
            &options,
            &umask,
            work.interrupt,
            work.progress,
        )
    })
}
