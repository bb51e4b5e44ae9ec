//! `drupe repart`: partitions and their filesystems from `repart.d` definitions.
//!
//! 1. The definitions are read (`drupe_repart`), the image is opened or made
//!    ([`image`]), and a plan is made and shown.
//! 2. For each new partition, its tool ([`tools`]) makes the filesystem in a file without
//!    a name ([`mkfs`], [`scratch`]); what the tool has written is moved into the image,
//!    and the kernel fills the filesystem there ([`fill`]). If the partition is encrypted,
//!    the header of a LUKS volume is moved there, and the kernel writes the filesystem
//!    into the opened volume ([`luks`]).
//! 3. The partition table is written, and a new image gets its name: so a partition has
//!    its contents from the first moment that it is in a table.

mod exclude;
mod fill;
mod image;
mod luks;
mod mkfs;
mod scratch;
mod sources;
mod tools;

use std::ffi::OsStr;
use std::fs::File;
use std::io::Write;

use anyhow::{Context as _, anyhow};
use drupe_repart::{Definition, Disk, LUKS2_HEADER, Planned, identity};
use serde::Serialize;
use uuid::{Builder, Uuid};

use crate::args::{EmptyMode, ImageSize, Repart, Seed};
use crate::context::Context;
use crate::describe::human;
use crate::epoch;
use crate::exit::{ExitCode, Failure};
use crate::json_list::JsonList;
use crate::output::{self, Names, Stdout};
use fill::Encrypted;
use image::Image;
use luks::Key;
use mkfs::Wanted;

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
    let contents = contents(command, &definitions)?;
    for definition in &definitions {
        sources::check(root, definition)?;
    }
    let seed = seed(command)?;
    let mut image = Image::open(&command.image, command.empty, command.dry_run)?;
    let size = match command.size {
        Some(ImageSize::Bytes(bytes)) => bytes,
        Some(ImageSize::Auto) => drupe_repart::least_size(&definitions, &contents),
        None if command.empty == EmptyMode::Create => {
            return Err(Failure::usage("--empty=create needs --size"));
        }
        None => 0,
    };
    let unusable = |error: drupe_repart::Error| unusable(command, error.into());
    let size = size.max(image.size());
    let mut disk = table(&image, command, size, seed)?;
    disk.grow(size).map_err(unusable)?;
    let planned = drupe_repart::plan(&definitions, &contents, &disk, seed).map_err(unusable)?;
    match show(context, &definitions, &planned) {
        // Nobody looks, but there is something to be done.
        Err(failure) if !command.dry_run && output::is_broken_pipe(&failure.error) => {}
        shown => shown?,
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
    let mut code = ExitCode::Success;
    for one in planned.iter().filter(|one| one.old_size.is_none()) {
        let definition = one.definition.map(|number| &definitions[number]);
        let definition = definition.expect("what is new has a definition");
        context.check()?;
        let made = make(context, command, &image, definition, one, key.as_ref());
        if made.map_err(|failure| name(failure, definition))? != ExitCode::Success {
            code = ExitCode::Failed;
        }
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
    if options
        .image_format
        .is_some_and(|format| format != drupe::Format::Raw)
    {
        return Err(Failure::usage("repart takes raw images only"));
    }
    Ok(())
}

fn unusable(command: &Repart, error: anyhow::Error) -> Failure {
    let error = error.context(command.image.display().to_string());
    Failure::new(ExitCode::Image, error)
}

/// The failure with the file of the definition that it is about.
fn name(failure: Failure, definition: &Definition) -> Failure {
    Failure {
        error: failure.error.context(definition.file.clone()),
        ..failure
    }
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
        if let Some(format) = format.take_if(|format| !mkfs::is_known(format)) {
            let unsupported = format!("{}: Format={format} is not supported", definition.file);
            return Err(anyhow!(unsupported).into());
        }
    }
    Ok(definitions)
}

/// Bytes that `CopyBlocks=` brings, for each definition.
fn contents(command: &Repart, definitions: &[Definition]) -> Result<Vec<Option<u64>>, Failure> {
    let size = |definition| {
        let blocks = sources::blocks(command.root.as_deref(), definition)?;
        Ok(blocks.map(|(_, size)| size))
    };
    let sizes: Result<_, anyhow::Error> = definitions.iter().map(size).collect();
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

/// Makes what is in a new partition.
fn make(
    context: &Context<'_>,
    command: &Repart,
    image: &Image,
    definition: &Definition,
    planned: &Planned,
    key: Option<&Key>,
) -> Result<ExitCode, Failure> {
    let partition = &planned.partition;
    let key = key.filter(|_| definition.encrypt);
    let check = || context.check();
    image.clear(partition.range())?;
    let room = match key {
        Some(_) => partition.size.saturating_sub(LUKS2_HEADER),
        None => partition.size,
    };
    let contents = match (
        sources::blocks(command.root.as_deref(), definition)?,
        &definition.format,
    ) {
        (Some((_, size)), _) if size > room => {
            return Err(anyhow!("the file of CopyBlocks= has grown").into());
        }
        (Some(blocks), _) => Some(blocks),
        (None, Some(format)) => {
            let wanted = Wanted {
                format,
                label: &partition.label,
                uuid: identity::of_filesystem(partition.uuid),
                size: room,
                epoch: epoch::get()?.and_then(|time| u64::try_from(time.seconds).ok()),
                writes_zeroes: key.is_some(),
            };
            Some((mkfs::make(&wanted, image.dir(), &check)?, room))
        }
        (None, None) => None,
    };
    let encrypted = match (key, &contents) {
        (Some(key), contents) => {
            let (label, uuid) = (&partition.label, identity::of_luks(partition.uuid));
            let header = luks::format(image.dir(), partition.size, label, uuid, key, &check)?;
            image.take(&header, partition.size, partition.start, &check)?;
            let contents = contents.as_ref().map(|(file, len)| (file, *len));
            Some(Encrypted { key, contents })
        }
        (None, Some((file, len))) => {
            image.take(file, *len, partition.start, &check)?;
            None
        }
        (None, None) => None,
    };
    let range = partition.range();
    fill::fill(context, command, image, definition, range, encrypted)
}

/// A partition; the JSON output is an array of these. Sizes are in bytes.
#[derive(Serialize)]
struct Json<'a> {
    #[serde(rename = "type")]
    kind: String,
    label: String,
    uuid: String,
    file: Option<&'a str>,
    number: u32,
    offset: u64,
    size: u64,
    old_size: Option<u64>,
    padding: u64,
    activity: &'static str,
}

fn show(
    context: &Context<'_>,
    definitions: &[Definition],
    planned: &[Planned],
) -> Result<(), Failure> {
    let list = JsonList::new(&context.options);
    // Of a table that somebody else has made.
    let names = Names::for_stdout();
    let shown = |label: &str| match list {
        Some(_) => label.to_owned(),
        None => String::from_utf8_lossy(&names.show(OsStr::new(label))).into_owned(),
    };
    let rows: Vec<_> = planned
        .iter()
        .map(|one| {
            let partition = &one.partition;
            let kind = drupe_repart::PartitionType::of(partition.kind);
            Json {
                kind: kind.name.unwrap_or_else(|| partition.kind.to_string()),
                label: shown(&partition.label),
                uuid: partition.uuid.to_string(),
                file: one.definition.map(|number| &*definitions[number].file),
                number: partition.number,
                offset: partition.start,
                size: partition.size,
                old_size: one.old_size,
                padding: one.padding,
                activity: match one.old_size {
                    None => "create",
                    Some(old) if old == partition.size => "unchanged",
                    Some(_) => "resize",
                },
            }
        })
        .collect();
    let mut out = Stdout::lines();
    if let Some(mut list) = list {
        for row in &rows {
            list.push(&mut out, row)?;
        }
        list.finish(&mut out)?;
        return Ok(());
    }
    if context.options.quiet {
        return Ok(());
    }
    let width = |of: &dyn Fn(&Json<'_>) -> usize, head: &str| {
        rows.iter().map(of).max().unwrap_or(0).max(head.len())
    };
    let kind = width(&|row| row.kind.chars().count(), "TYPE");
    let label = width(&|row| row.label.chars().count(), "LABEL");
    let file = width(&|row| row.file.unwrap_or("-").chars().count(), "FILE");
    writeln!(
        out,
        "{:>3} {:kind$} {:label$} {:36} {:file$} {:>9} {:>9} ACTIVITY",
        "NR", "TYPE", "LABEL", "UUID", "FILE", "SIZE", "PADDING"
    )?;
    for row in &rows {
        writeln!(
            out,
            "{:>3} {:kind$} {:label$} {:36} {:file$} {:>9} {:>9} {}",
            row.number,
            row.kind,
            row.label,
            row.uuid,
            row.file.unwrap_or("-"),
            human(row.size),
            human(row.padding),
            row.activity
        )?;
    }
    Ok(())
}
