//! `drupe build`: makes the tree that a manifest describes.
//!
//! It is a command of its own, not an option of `cp`: here the manifest says what there
//! is, and the directory only has the contents.

use std::io::{self, Read};
use std::path::Path;

use anyhow::Context as _;
use drupe_tree::{BuildOptions, Umask};

use crate::args::Build;
use crate::context::Context;
use crate::epoch;
use crate::exit::{ExitCode, Failure};

pub(crate) fn run(context: &mut Context<'_>, command: &Build) -> Result<ExitCode, Failure> {
    let dest = context.target(&command.path)?;
    let name = command.manifest.display().to_string();
    let mut manifest = Vec::new();
    let read = match command.manifest == Path::new("-") {
        true => {
            context.own_stdin()?;
            io::stdin().read_to_end(&mut manifest)
        }
        false => drupe_tree::open_input(&command.manifest)
            .and_then(|mut file| file.read_to_end(&mut manifest)),
    };
    read.with_context(|| format!("cannot read {name}"))?;
    context.open_for_writing(&dest.volume.image)?;
    let dest = context.locate_image(dest)?;
    let options = BuildOptions {
        format: command.format.map(Into::into),
        contents: command.source.clone(),
        epoch: epoch::get()?,
    };
    context.work(false, |work| {
        let umask = Umask::take();
        drupe_tree::build(
            &manifest,
            &name,
            &dest,
            &options,
            &umask,
            work.interrupt,
            work.progress,
        )
    })
}
