//! `drupe repart`: partitions and their filesystems from `repart.d` definitions.
//!
//! 1. The definitions are read (`drupe_repart`), the image is opened or made
//!    ([`image`]), and a plan is made and shown.
//!    Filesystems whose size is that of their files are made before ([`prepare`],
//!    [`read_only`]).
//! 2. For each new partition ([`make`]), its tool ([`tools`]) makes the filesystem in a
//!    file without a name ([`mkfs`], [`scratch`]); what the tool has written is moved into
//!    the image, and the kernel fills the filesystem there ([`fill`]). If the partition is
//!    encrypted, the header of a LUKS volume is moved there, and the kernel writes the
//!    filesystem into the opened volume ([`luks`]). If hashes of it are wanted, it is
//!    filled before it is moved ([`verity`]).
//! 3. The partition table is written, and a new image gets its name: so a partition has
//!    its contents from the first moment that it is in a table.

mod exclude;
mod fill;
mod image;
mod luks;
mod make;
mod mkfs;
mod prepare;
mod read_only;
mod scratch;
mod show;
mod single;
mod sources;
mod table;
mod tools;
mod verity;

use std::collections::BTreeMap;

use anyhow::anyhow;
use drupe::Format;
use drupe_repart::{Definition, Planned};
use uuid::Uuid;

use crate::args::{EmptyMode, ImageSize, Repart};
use crate::context::Context;
use crate::exit::{ExitCode, Failure};
use crate::output;
use crate::session::refuse_attached;
use image::Image;
use make::Maker;
use prepare::{Named, Prepared};
pub(crate) use single::{create, mkfs as make_filesystem, part};
use table::{seed, table};
use verity::RootHash;

/// Bytes of the least disk that has a partition table.
const LEAST_DISK: u64 = 16 << 20;
/// Directories of definitions, beneath the root.
const DEFAULTS: [&str; 4] = [
    "etc/repart.d",
    "run/repart.d",
    "usr/local/lib/repart.d",
    "usr/lib/repart.d",
];

pub(crate) fn run(context: &mut Context<'_>, command: &Repart) -> Result<ExitCode, Failure> {
    check_options(context, command)?;
    context.heed_signals()?;
    if command.empty != EmptyMode::Create && !command.dry_run {
        refuse_attached(&context.options, &command.image)?;
    }
    let root = command.root.as_deref();
    let definitions = definitions(command)?;
    for definition in &definitions {
        sources::check(root, definition)?;
    }
    let seed = seed(command.seed)?;
    let format = format(context, command)?;
    let mut image = Image::open(&command.image, command.empty, command.dry_run, format)?;
    let unusable = |error: drupe_repart::Error| unusable(command, error.into());
    let size = match command.size {
        Some(ImageSize::Bytes(bytes)) => Some(bytes),
        Some(ImageSize::Auto) => None,
        None if command.empty == EmptyMode::Create => {
            return Err(Failure::usage("--empty=create needs --size"));
        }
        None => Some(0),
    };
    // For the names alone, a table of any size does.
    let any_size = size.unwrap_or(0).max(image.size()).max(LEAST_DISK);
    let disk = table(&image, command, any_size, seed)?;
    let names = drupe_repart::names(&definitions, &disk, seed);
    let prepared = prepare(context, command, &image, &definitions, &names)?;
    let contents = contents(command, &definitions, &prepared)?;
    let size = size.unwrap_or_else(|| drupe_repart::least_size(&definitions, &contents));
    let size = size.max(image.size());
    let mut disk = table(&image, command, size, seed)?;
    disk.grow(size).map_err(unusable)?;
    let planned = drupe_repart::plan(&definitions, &contents, &disk, seed);
    let mut planned = planned.map_err(unusable)?;
    let mbr = disk.mbr_id();
    let show = |planned: &[Planned], roots: &BTreeMap<usize, RootHash>| {
        match show::show(context, &definitions, planned, roots, mbr) {
            // Nobody looks, but there is something to be done.
            Err(failure) if !command.dry_run && output::is_broken_pipe(&failure.error) => Ok(()),
            shown => shown,
        }
    };
    // Root hashes, and UUIDs that follow from them, are known when all is made.
    let has_hashes = definitions.iter().any(|it| it.verity.is_some()) && !command.dry_run;
    if !has_hashes {
        show(&planned, &BTreeMap::new())?;
    }
    if command.dry_run {
        if !context.options.quiet {
            output::hint("nothing was changed; --dry-run=no does it");
        }
        return Ok(ExitCode::Success);
    }
    let encrypts = |one: &Planned| {
        let definition = one.definition.map(|number| &definitions[number]);
        one.old_size.is_none() && definition.is_some_and(|it| it.encrypt)
    };
    let key = match planned.iter().any(encrypts) {
        true => Some(luks::key(context)?),
        false => None,
    };
    image.grow(size)?;
    let mut maker = Maker {
        context,
        command,
        image: &image,
        definitions: &definitions,
        key,
        seed,
        prepared,
        hashes: BTreeMap::new(),
        roots: BTreeMap::new(),
    };
    let code = maker.all(&mut planned)?;
    let roots = std::mem::take(&mut maker.roots);
    drop(maker);
    if has_hashes {
        show(&planned, &roots)?;
    }
    context.check()?;
    let has_grown = |one: &Planned| one.old_size.is_some_and(|old| old < one.partition.size);
    let has_grown = planned.iter().any(has_grown);
    let partitions: Vec<_> = planned.into_iter().map(|one| one.partition).collect();
    let sync = || image.file().sync_data();
    disk.write(&mut image.file(), &partitions, sync)
        .map_err(unusable)?;
    image.commit()?;
    if has_grown && !context.options.quiet {
        output::hint(
            "partitions have grown, not the filesystems in them; that is for systemd-growfs in \
             the guest, or the filesystem's own tool",
        );
    }
    Ok(code)
}

/// Refuses options that say something that this command does not do.
fn check_options(context: &Context<'_>, command: &Repart) -> Result<(), Failure> {
    let options = &context.options;
    if options.read_only && !command.dry_run {
        return Err(Failure::usage("repart can't write with --read-only"));
    }
    if options.block_size.is_some_and(|size| size != 512) {
        return Err(Failure::usage(
            "repart makes partition tables for sectors of 512 bytes only",
        ));
    }
    Ok(())
}

/// The format of the image: that of the options, or by the name of a new one.
fn format(context: &Context<'_>, command: &Repart) -> Result<Format, Failure> {
    let is_new = command.empty == EmptyMode::Create;
    let is_qcow2 = command.image.extension().is_some_and(|it| it == "qcow2");
    match context.options.image_format {
        None if is_new && is_qcow2 => Ok(Format::Qcow2),
        None | Some(Format::Raw) => Ok(Format::Raw),
        Some(Format::Qcow2) if is_new => Ok(Format::Qcow2),
        Some(_) => Err(Failure::usage(
            "repart takes raw images, and makes raw and qcow2",
        )),
    }
}

fn unusable(command: &Repart, error: anyhow::Error) -> Failure {
    let error = error.context(command.image.display().to_string());
    Failure::new(ExitCode::Image, error)
}

fn definitions(command: &Repart) -> Result<Vec<Definition>, Failure> {
    let directories = match (&command.definitions[..], &command.root) {
        ([], None) => {
            return Err(Failure::usage(
                "say where the definitions are: --definitions DIR, or --root DIR",
            ));
        }
        ([], Some(root)) => DEFAULTS
            .map(|dir| root.join(dir))
            .into_iter()
            .filter(|dir| dir.is_dir())
            .collect(),
        (named, _) => named.to_vec(),
    };
    let definitions = drupe_repart::read(&directories)?;
    if definitions.is_empty() {
        let shown: Vec<_> = directories
            .iter()
            .map(|dir| dir.display().to_string())
            .collect();
        return Err(anyhow!("no definitions (*.conf) in {}", shown.join(", ")).into());
    }
    for definition in &definitions {
        let mut format = definition.format.as_ref();
        let is_known = |format: &str| mkfs::is_known(format) || definition.is_read_only_format();
        if let Some(format) = format.take_if(|format| !is_known(format)) {
            let unsupported = format!("{}: Format={format} is not supported", definition.file);
            return Err(anyhow!(unsupported).into());
        }
    }
    Ok(definitions)
}

/// Makes the filesystems whose sizes say how large their partitions are.
fn prepare(
    context: &Context<'_>,
    command: &Repart,
    image: &Image,
    definitions: &[Definition],
    names: &[Option<(String, Uuid)>],
) -> Result<Vec<Option<Prepared>>, Failure> {
    let mut all = Vec::new();
    for (definition, name) in definitions.iter().zip(names) {
        let made = match name {
            Some((label, uuid)) => {
                let named = Named {
                    label,
                    uuid: *uuid,
                    dir: image.dir(),
                };
                let made = prepare::prepare(context, command, definition, named);
                made.map_err(|failure| Failure {
                    error: failure.error.context(definition.file.clone()),
                    ..failure
                })?
            }
            None => None,
        };
        all.push(made);
    }
    Ok(all)
}

/// Bytes that are there already, for each definition: those of `CopyBlocks=`, or of a
/// filesystem that was made.
fn contents(
    command: &Repart,
    definitions: &[Definition],
    prepared: &[Option<Prepared>],
) -> Result<Vec<Option<u64>>, Failure> {
    let size = |(definition, prepared): (&Definition, &Option<Prepared>)| {
        if let Some(prepared) = prepared {
            return Ok(Some(prepared.size));
        }
        let blocks = sources::blocks(command.root.as_deref(), definition)?;
        Ok(blocks.map(|(_, size)| size))
    };
    let sizes: Result<_, anyhow::Error> = definitions.iter().zip(prepared).map(size).collect();
    Ok(sizes?)
}
