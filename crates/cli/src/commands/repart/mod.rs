//! `drupe repart`: partitions and their filesystems from `repart.d` definitions.
//!
//! 1. The definitions are read (`drupe_repart`), the image is opened or made
//!    ([`image`]), and a plan is made and shown.
//! 2. For each new partition, its tool makes the filesystem in a file without a name
//!    ([`mkfs`]); what the tool has written is moved into the image, and the kernel
//!    fills the filesystem there ([`fill`]).
//! 3. The partition table is written, and a new image gets its name: so a partition has
//!    its contents from the first moment that it is in a table.

mod fill;
mod image;
mod mkfs;

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use drupe_repart::{Definition, Disk, Planned, identity};
use serde::Serialize;
use uuid::{Builder, Uuid};

use crate::args::{EmptyMode, ImageSize, Repart, Seed};
use crate::context::Context;
use crate::describe::human;
use crate::epoch;
use crate::exit::{ExitCode, Failure};
use crate::json_list::JsonList;
use crate::output::{self, Stdout};
use image::Image;
use mkfs::Wanted;

/// Directories of definitions, beneath the root.
const DEFAULTS: [&str; 4] = [
    "etc/repart.d",
    "run/repart.d",
    "usr/local/lib/repart.d",
    "usr/lib/repart.d",
];

pub(crate) fn run(context: &mut Context<'_>, command: &Repart) -> Result<ExitCode, Failure> {
    if context.options.read_only && !command.dry_run {
        return Err(Failure::usage("repart can't write with --read-only"));
    }
    context.heed_signals()?;
    let definitions = definitions(command)?;
    let contents = contents(command, &definitions)?;
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
    let unusable = |error: drupe_repart::Error| {
        let error = anyhow!(error).context(command.image.display().to_string());
        Failure::new(ExitCode::Image, error)
    };
    let disk = if command.dry_run {
        let mut preview = Preview::of(&image, size)?;
        table(&mut preview.file, command, seed)?
    } else {
        image.grow(size)?;
        table(&mut image.file, command, seed)?
    };
    let planned = drupe_repart::plan(&definitions, &contents, &disk, seed).map_err(unusable)?;
    show(context, &definitions, &planned)?;
    if command.dry_run {
        if !context.options.quiet {
            output::hint("nothing was changed; --dry-run=no does it");
        }
        return Ok(ExitCode::Success);
    }
    let mut code = ExitCode::Success;
    for one in planned.iter().filter(|one| one.old_size.is_none()) {
        let definition = one.definition.map(|number| &definitions[number]);
        let definition = definition.expect("what is new has a definition");
        context.check()?;
        let made = make(context, command, &image, definition, one);
        if made.map_err(|failure| name(failure, definition))? != ExitCode::Success {
            code = ExitCode::Failed;
        }
    }
    let partitions: Vec<_> = planned.into_iter().map(|one| one.partition).collect();
    disk.write(&mut image.file, &partitions).map_err(unusable)?;
    image.commit()?;
    Ok(code)
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
        let is_unknown = |format: &&String| !mkfs::is_known(format);
        let unsupported = match definition.format.as_ref().filter(is_unknown) {
            Some(format) => format!("Format={format} is not supported"),
            None if definition.encrypt => "Encrypt= is not supported yet".to_owned(),
            None if !definition.subvolumes.is_empty() || definition.default_subvolume.is_some() => {
                "Subvolumes= and DefaultSubvolume= are not supported yet".to_owned()
            }
            None if !definition.exclude_files.is_empty() => {
                "ExcludeFiles= is not supported yet".to_owned()
            }
            None => continue,
        };
        return Err(anyhow!("{}: {unsupported}", definition.file).into());
    }
    Ok(definitions)
}

/// Bytes that `CopyBlocks=` brings, for each definition.
fn contents(command: &Repart, definitions: &[Definition]) -> Result<Vec<Option<u64>>, Failure> {
    let size = |definition: &Definition| {
        let Some(source) = &definition.copy_blocks else {
            return Ok(None);
        };
        let source = beneath(command.root.as_deref(), source);
        let size = File::open(&source).and_then(|mut file| {
            // Of a block device too.
            std::io::Seek::seek(&mut file, std::io::SeekFrom::End(0))
        });
        let size = size.with_context(|| format!("{}: {}", definition.file, source.display()))?;
        match size == 0 || !size.is_multiple_of(512) {
            true => Err(anyhow!(
                "{}: {} has {size} bytes; CopyBlocks= needs a multiple of 512, and not 0",
                definition.file,
                source.display()
            )),
            false => Ok(Some(size)),
        }
    };
    Ok(definitions.iter().map(size).collect::<Result<_, _>>()?)
}

/// A source beneath the root, which an absolute path of a definition does not leave.
fn beneath(root: Option<&Path>, path: &Path) -> PathBuf {
    match root {
        None => path.to_owned(),
        Some(root) => root.join(path.strip_prefix("/").unwrap_or(path)),
    }
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

/// A file of the size that the image would have, for what only looks.
struct Preview {
    file: Box<dyn ReadSeek>,
}

trait ReadSeek: std::io::Read + std::io::Seek {}
impl<T: std::io::Read + std::io::Seek> ReadSeek for T {}

impl Preview {
    fn of(image: &Image, size: u64) -> Result<Preview, Failure> {
        let file = image
            .file
            .try_clone()
            .context("cannot duplicate a descriptor")?;
        let now = file.metadata().context("cannot look at the image")?.len();
        Ok(Preview {
            file: Box::new(Larger {
                file,
                size: now.max(size),
                at: 0,
            }),
        })
    }
}

/// A file as if it were larger, with zeroes at its end.
struct Larger {
    file: File,
    size: u64,
    at: u64,
}

impl std::io::Read for Larger {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let left = self.size.saturating_sub(self.at).min(buffer.len() as u64) as usize;
        let read = std::os::unix::fs::FileExt::read_at(&self.file, &mut buffer[..left], self.at)?;
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

impl std::io::Seek for Larger {
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

/// The partition table that there is, or a new one, as `--empty` says.
fn table(
    file: &mut (impl std::io::Read + std::io::Seek + ?Sized),
    command: &Repart,
    seed: Uuid,
) -> Result<Disk, Failure> {
    let mut file = file;
    let unusable = |error: anyhow::Error| {
        Failure::new(
            ExitCode::Image,
            error.context(command.image.display().to_string()),
        )
    };
    let found = match command.empty {
        EmptyMode::Force | EmptyMode::Create => None,
        _ => Disk::read(&mut file).map_err(|error| unusable(error.into()))?,
    };
    match (found, command.empty) {
        (Some(_), EmptyMode::Require) => {
            let failure = unusable(anyhow!("it has a partition table"));
            Err(failure.with_hint("--empty=allow adds partitions to it"))
        }
        (None, EmptyMode::Refuse) => {
            let failure = unusable(anyhow!("it has no GUID partition table"));
            Err(failure.with_hint("--empty=require makes one; --empty=create makes the image"))
        }
        (Some(disk), _) => Ok(disk),
        (None, _) => {
            Disk::new(&mut file, identity::of_disk(seed)).map_err(|error| unusable(error.into()))
        }
    }
}

/// Makes what is in a new partition.
fn make(
    context: &Context<'_>,
    command: &Repart,
    image: &Image,
    definition: &Definition,
    planned: &Planned,
) -> Result<ExitCode, Failure> {
    let partition = &planned.partition;
    let range = partition.start..partition.start + partition.size;
    let into = |error| anyhow!("cannot write to {}: {error}", command.image.display());
    image.clear(range.clone()).map_err(into)?;
    if let Some(source) = &definition.copy_blocks {
        let source = beneath(command.root.as_deref(), source);
        let file = File::open(&source).with_context(|| source.display().to_string())?;
        image.take(&file, partition.start).map_err(into)?;
    }
    let Some(format) = &definition.format else {
        return Ok(ExitCode::Success);
    };
    let wanted = Wanted {
        format,
        label: &partition.label,
        uuid: identity::of_filesystem(partition.uuid),
        size: partition.size,
        epoch: epoch::get()?.and_then(|time| u64::try_from(time.seconds).ok()),
    };
    let made = mkfs::make(&wanted, image.dir())?;
    context.check()?;
    image.take(&made, partition.start).map_err(into)?;
    fill::fill(context, command, image, definition, range)
}

/// A partition; the JSON output is an array of these. Sizes are in bytes.
#[derive(Serialize)]
struct Json<'a> {
    #[serde(rename = "type")]
    kind: String,
    label: &'a str,
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
    let rows: Vec<_> = planned
        .iter()
        .map(|one| {
            let partition = &one.partition;
            let kind = drupe_repart::PartitionType::of(partition.kind);
            Json {
                kind: kind.name.unwrap_or_else(|| partition.kind.to_string()),
                label: &partition.label,
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
    if let Some(mut list) = JsonList::new(&context.options) {
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
