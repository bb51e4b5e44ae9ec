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
mod sources;
mod tools;
mod verity;

use std::collections::BTreeMap;
use std::fs::File;

use anyhow::{Context as _, anyhow};
use drupe::Format;
use drupe_repart::{Definition, Disk, Planned, identity};
use uuid::{Builder, Uuid};

use crate::args::{EmptyMode, ImageSize, Repart, Seed};
use crate::context::Context;
use crate::exit::{ExitCode, Failure};
use crate::output;
use image::Image;
use make::Maker;
use prepare::{Named, Prepared};
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
    let root = command.root.as_deref();
    let definitions = definitions(command)?;
    for definition in &definitions {
        sources::check(root, definition)?;
    }
    let seed = seed(command)?;
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
    let show = |planned: &[Planned], roots: &BTreeMap<usize, RootHash>| {
        match show::show(context, &definitions, planned, roots) {
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

fn seed(command: &Repart) -> Result<Uuid, Failure> {
    match command.seed {
        Seed::Uuid(uuid) => Ok(uuid),
        Seed::Random => {
            let mut bytes = [0; 16];
            rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())
                .context("no random numbers")?;
            Ok(Builder::from_random_bytes(bytes).into_uuid())
        }
    }
}

/// A file as if it were larger, with zeroes at its end.
struct Larger<'a> {
    file: &'a File,
    size: u64,
    at: u64,
}

impl std::io::Read for Larger<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let left = self.size.saturating_sub(self.at).min(buffer.len() as u64) as usize;
        let read = std::os::unix::fs::FileExt::read_at(self.file, &mut buffer[..left], self.at)?;
        let read = match read {
            0 => {
                buffer[..left].fill(0);
                left
            }
            read => read,
        };
        self.at += read as u64;
        Ok(read)
    }
}

impl std::io::Seek for Larger<'_> {
    fn seek(&mut self, to: std::io::SeekFrom) -> std::io::Result<u64> {
        let at = match to {
            std::io::SeekFrom::Start(at) => Some(at),
            std::io::SeekFrom::End(by) => self.size.checked_add_signed(by),
            std::io::SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = at.ok_or(std::io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

/// The partition table that there is, or a new one for `size` bytes, as `--empty` says.
fn table(image: &Image, command: &Repart, size: u64, seed: Uuid) -> Result<Disk, Failure> {
    let unusable = |error| unusable(command, error);
    let mut file = image.file();
    let found = match command.empty {
        EmptyMode::Force | EmptyMode::Create => None,
        _ => Disk::read(&mut file).map_err(|error| unusable(error.into()))?,
    };
    let mut larger = Larger { file, size, at: 0 };
    let mut new = || {
        let uuid = identity::of_disk(seed);
        Disk::new(&mut larger, uuid).map_err(|error| unusable(error.into()))
    };
    match (found, command.empty) {
        (Some(_), EmptyMode::Require) => {
            let failure = unusable(anyhow!("it has a partition table"));
            return Err(failure.with_hint("--empty=allow adds partitions to it"));
        }
        (Some(disk), _) => return Ok(disk),
        (None, EmptyMode::Force | EmptyMode::Create) => return new(),
        (None, EmptyMode::Refuse | EmptyMode::Allow | EmptyMode::Require) => {}
    }
    // Something else may be on it, which a table would overwrite.
    let mut copy = file.try_clone().context("cannot duplicate a descriptor")?;
    let kind = drupe_tree::disk_image::kind(&mut copy);
    match (kind.map_err(|error| unusable(error.into()))?, command.empty) {
        (Some(kind), _) => {
            let failure = unusable(anyhow!(
                "it holds {kind}, and no GUID partition table for sectors of 512 bytes"
            ));
            Err(failure.with_hint("--empty=force makes one, and loses all that is on it"))
        }
        (None, EmptyMode::Refuse) => {
            let failure = unusable(anyhow!("it has no GUID partition table"));
            Err(failure.with_hint("--empty=require makes one"))
        }
        (None, _) => new(),
    }
}
