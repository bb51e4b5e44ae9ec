//! Single steps of `drupe repart`, for fingers: `drupe create`, `mkfs` and `part`.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::anyhow;
use drupe::Format;
use drupe_repart::{Bounds, Definition, PartitionType};

use super::image::Image;
use super::mkfs::{self, Wanted};
use super::table::{seed, table};
use super::{fill, show};
use crate::args::{
    Create, EmptyMode, ImageFormat, Mkfs, Part, PartAction, Repart, Seed, TableKind,
};
use crate::context::Context;
use crate::epoch;
use crate::exit::{ExitCode, Failure};
use crate::location::Volume;
use crate::output;
use crate::session::{Session, refuse_attached};

/// `drupe create`: an image of zeroes.
pub(crate) fn create(context: &mut Context<'_>, command: &Create) -> Result<ExitCode, Failure> {
    context.heed_signals()?;
    let by_name = command.image.extension().is_some_and(|it| it == "qcow2");
    let format = match command.format {
        Some(ImageFormat::Raw) => Format::Raw,
        Some(ImageFormat::Qcow2) => Format::Qcow2,
        None if by_name => Format::Qcow2,
        None => Format::Raw,
    };
    let mut image = Image::open(&command.image, EmptyMode::Create, false, format)?;
    image.grow(command.size)?;
    image.commit()?;
    Ok(ExitCode::Success)
}

/// `drupe mkfs`: an empty filesystem on an image, or on a partition of one.
pub(crate) fn mkfs(context: &mut Context<'_>, command: &Mkfs) -> Result<ExitCode, Failure> {
    context.heed_signals()?;
    if !mkfs::is_known(&command.kind) {
        let failure = Failure::usage(format!("cannot make a filesystem of type {}", command.kind));
        return Err(failure.with_hint(
            "ext2, ext3, ext4, vfat, xfs, btrfs, f2fs, exfat and swap are known; squashfs and \
             erofs are made with their files, by drupe repart",
        ));
    }
    let volume = Volume::parse(&command.image);
    let image = open_to_change(context, &volume.image)?;
    let unusable = |error: anyhow::Error| {
        let name = Path::new(&command.image).display().to_string();
        Failure::new(ExitCode::Image, error.context(name))
    };
    let (range, found) = {
        let session = Session::new(&context.options, None)?;
        let disk = session
            .kernel()?
            .add_disk(fill::part_of(&image, 0..image.size())?)?;
        let partition = match volume.part.as_deref().map(str::parse::<u32>) {
            None | Some(Ok(0)) => disk.whole(),
            Some(Ok(number)) => disk
                .partition(number)
                .map_err(|error| unusable(error.into()))?,
            Some(Err(_)) => {
                return Err(unusable(anyhow!(
                    "only a partition, by its number, can be formatted"
                )));
            }
        };
        let is_whole = partition.number().is_none();
        let range = partition.start()..partition.start() + partition.size();
        let found = match partition.probe()? {
            Some(found) => Some(format!("it holds {}", found.kind)),
            None if is_whole && !disk.partitions()?.is_empty() => {
                Some("it has a partition table".to_owned())
            }
            None => None,
        };
        drop(partition);
        disk.remove()?;
        session.close()?;
        (range, found)
    };
    if let Some(found) = found.filter(|_| !command.force) {
        return Err(unusable(anyhow!(found)).with_hint("--force loses all that is there"));
    }
    let wanted = Wanted {
        format: &command.kind,
        label: command.label.as_deref().unwrap_or_default(),
        uuid: match command.uuid {
            Some(uuid) => uuid,
            None => seed(Seed::Random)?,
        },
        size: range.end - range.start,
        epoch: epoch::get()?.and_then(|time| u64::try_from(time.seconds).ok()),
        writes_zeroes: false,
    };
    let check = || context.check();
    let made = mkfs::make(&wanted, image.dir(), &check)?;
    image.clear(range.clone())?;
    image.take(&made, wanted.size, range.start, &check)?;
    image.commit()?;
    Ok(ExitCode::Success)
}

/// `drupe part`: the partitions of an image.
pub(crate) fn part(context: &mut Context<'_>, command: &Part) -> Result<ExitCode, Failure> {
    context.heed_signals()?;
    let unusable = |error: drupe_repart::Error| {
        let error = anyhow::Error::from(error).context(command.image.display().to_string());
        Failure::new(ExitCode::Image, error)
    };
    if let (PartAction::List | PartAction::Add, Some(_)) = (command.action, command.number) {
        return Err(Failure::usage("a number is for delete only"));
    }
    let repart = Repart {
        definitions: Vec::new(),
        empty: match command.action {
            PartAction::Add => EmptyMode::Allow,
            _ => EmptyMode::Refuse,
        },
        table: TableKind::Gpt,
        size: None,
        seed: Seed::Random,
        dry_run: command.action == PartAction::List,
        root: None,
        image: command.image.clone(),
    };
    let image = match command.action {
        PartAction::List => Image::open(&command.image, EmptyMode::Refuse, true, Format::Raw)?,
        _ => open_to_change(context, &command.image)?,
    };
    let seed = seed(Seed::Random)?;
    let table = table(&image, &repart, image.size(), seed);
    let mut disk = table.map_err(|failure| match command.action {
        PartAction::Add => failure.with_hint("drupe repart --empty=force makes a new table"),
        _ => failure.with_hint("drupe part IMAGE add makes one"),
    })?;
    let mut definitions = Vec::new();
    match command.action {
        PartAction::List => {}
        PartAction::Add => {
            disk.grow(image.size()).map_err(unusable)?;
            definitions = added(command, &disk.partitions)?;
        }
        PartAction::Delete => {
            let Some(number) = command.number else {
                return Err(Failure::usage(
                    "say which partition: drupe part IMAGE delete NUMBER",
                ));
            };
            if disk.remove(number).is_none() {
                let error = anyhow!("there is no partition {number}");
                let error = error.context(command.image.display().to_string());
                return Err(Failure::new(ExitCode::Image, error));
            }
        }
    }
    let none = vec![None; definitions.len()];
    let planned = drupe_repart::plan(&definitions, &none, &disk, seed).map_err(unusable)?;
    if command.action != PartAction::List {
        for one in planned.iter().filter(|one| one.old_size.is_none()) {
            image.clear(one.partition.range())?;
        }
        context.check()?;
        let partitions: Vec<_> = planned.iter().map(|one| one.partition.clone()).collect();
        let sync = || image.file().sync_data();
        disk.write(&mut image.file(), &partitions, sync)
            .map_err(unusable)?;
        image.commit()?;
    }
    match show::show(context, &definitions, &planned, &BTreeMap::new(), None) {
        Err(failure) if output::is_broken_pipe(&failure.error) => {}
        shown => shown?,
    }
    Ok(ExitCode::Success)
}

/// The definition of a new partition, behind one for each that there is of its type, which
/// lets that as it is.
fn added(command: &Part, existing: &[drupe_repart::Partition]) -> Result<Vec<Definition>, Failure> {
    let text = command.kind.as_deref().unwrap_or("linux-generic");
    let kind = PartitionType::parse(text).ok_or_else(|| {
        let failure = Failure::usage(format!("no partition type is called {text}"));
        failure.with_hint("give a UUID, or an identifier such as root, esp, swap or home")
    })?;
    let same = existing.iter().filter(|one| one.kind == kind.uuid).count();
    let mut new = Definition::new("-", kind);
    new.size = Bounds {
        min: command.size,
        max: command.size,
    };
    new.label = command.label.clone();
    if new
        .label
        .as_ref()
        .is_some_and(|it| it.encode_utf16().count() > 36)
    {
        return Err(Failure::usage(
            "the label of a partition has at most 36 characters",
        ));
    }
    new.uuid = command.uuid;
    let kept = Definition {
        size: Bounds {
            min: Some(0),
            max: Some(0),
        },
        uuid: None,
        label: None,
        ..new.clone()
    };
    let mut definitions = vec![kept; same];
    definitions.push(new);
    Ok(definitions)
}

/// Opens an image that exists.
fn open_to_change(context: &Context<'_>, path: &Path) -> Result<Image, Failure> {
    if context.options.read_only {
        let message = format!("{} can't be written with --read-only", path.display());
        return Err(Failure::usage(message));
    }
    if path.exists() {
        refuse_attached(&context.options, path)?;
    }
    Image::open(path, EmptyMode::Allow, false, Format::Raw)
}
