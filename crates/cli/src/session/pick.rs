//! Finds the partition or volume of an image that an argument means.

use std::path::Path;

use drupe::{AttachedDisk, Partition, Volumes};

use super::{INFO, cut_short, explain, failure};
use crate::exit::Failure;
use crate::location::Volume;

/// The part that is meant, if it is a partition or the whole with a filesystem
/// on it, or with nothing known. `None`: there are volumes to be looked into.
pub(super) fn pick_plain(
    disk: &AttachedDisk,
    volume: &Volume,
) -> Result<Option<Partition>, Failure> {
    let image = &volume.image;
    let explained = |error: drupe::Error| explain(image, &error);
    let named = match volume.part.as_deref().map(str::parse) {
        Some(Ok(0)) => Some(disk.whole()),
        Some(Ok(number)) => {
            let explained = |error| explain(Path::new(&volume.name()), &error);
            Some(disk.partition(number).map_err(explained)?)
        }
        // The name of a volume.
        Some(Err(_)) => return Ok(None),
        None => None,
    };
    let whole = disk.whole();
    let candidates = match named {
        Some(named) => vec![named],
        // A filesystem without partitions, or an ISO image that has both.
        None if is_filesystem(&whole).map_err(explained)? => vec![whole],
        None => {
            let mut all = disk.partitions().map_err(explained)?;
            if all.is_empty() {
                all.push(whole);
            }
            all
        }
    };
    let mut mountable = Vec::new();
    for candidate in &candidates {
        let found = candidate.probe().map_err(explained)?;
        match found {
            Some(found) if is_container(found.kind) => return Ok(None),
            Some(found) if found.driver.is_some() => mountable.push(candidate),
            _ => {}
        }
    }
    match (&mountable[..], &candidates[..]) {
        // Mounting says best what is wrong with it.
        ([only], _) => Ok(Some((*only).clone())),
        ([], [only]) => match cut_short(image, disk)? {
            Some(cut) => Err(cut),
            None => Ok(Some(only.clone())),
        },
        ([], _) => Err(failure(image, "no partition holds a filesystem".into()).with_hint(INFO)),
        (several, _) => {
            let numbers = several.iter().filter_map(|partition| partition.number());
            Err(ambiguous(image, numbers.map(|number| number.to_string())))
        }
    }
}

/// Volumes are made of what has this signature.
pub(crate) fn is_container(kind: &str) -> bool {
    matches!(kind, "crypto_LUKS" | "LVM2_member" | "linux_raid_member")
}

fn is_filesystem(partition: &Partition) -> drupe::Result<bool> {
    let found = partition.probe()?;
    Ok(found.is_some_and(|found| found.driver.is_some()))
}

fn ambiguous(image: &Path, parts: impl Iterator<Item = String>) -> Failure {
    let choices: Vec<String> = parts
        .map(|part| format!("{}@{part}", image.display()))
        .collect();
    let choices = choices.join(", ");
    failure(image, "holds several filesystems".to_owned())
        .with_hint(format!("say which: {choices}"))
}

/// The volume that is meant: the one of that name, or the only one with a
/// filesystem that is made of it.
pub(super) fn pick_volume(volumes: &Volumes, wanted: &Volume) -> Result<Partition, Failure> {
    let image = &wanted.image;
    let part = wanted.part.as_deref().unwrap_or("0");
    let Some(index) = volumes.find(0, part) else {
        let known: Vec<_> = volumes.iter().map(described).collect();
        let trouble = volumes.iter().find_map(drupe::Volume::trouble);
        let why = trouble.map_or(String::new(), |error| format!(" ({})", error.cause()));
        let known = known.join(", ");
        let message = format!("has no partition or volume {part:?}{why}; there are: {known}");
        let failure = failure(image, message);
        let mut called = volumes.iter().filter(|volume| is_called(volume, part));
        return Err(match (called.next(), called.next()) {
            (Some(only), None) => {
                let (image, id) = (image.display(), only.id());
                failure.with_hint(format!("{part:?} is the name or label of {image}@{id}"))
            }
            _ => match colon(volumes, part) {
                Some(written) => failure.with_hint(format!(
                    "a path in it is written {}@{written}",
                    image.display()
                )),
                None => failure,
            },
        });
    };
    let within = volumes.within(index);
    let mountable: Vec<_> = within
        .iter()
        .filter(|volume| volume.found().is_some_and(|found| found.driver.is_some()))
        .collect();
    match (
        &mountable[..],
        within.iter().find_map(|volume| volume.trouble()),
    ) {
        ([only], _) => Ok(only.partition().clone()),
        ([], Some(trouble)) => Err(explain(image, trouble)),
        ([], None) => Err(failure(image, "no volume holds a filesystem".into()).with_hint(INFO)),
        (several, _) => Err(ambiguous(
            image,
            several.iter().map(|volume| volume.id().to_owned()),
        )),
    }
}

/// A volume and a path in it, of a name that has a slash in place of the colon: "2/etc".
fn colon(volumes: &Volumes, part: &str) -> Option<String> {
    let mut slashes = part.rmatch_indices('/');
    slashes.find_map(|(at, _)| {
        let (id, path) = part.split_at(at);
        volumes.find(0, id).map(|_| format!("{id}:{path}"))
    })
}

/// The name that a partition has in its table.
fn name_in_table(volume: &drupe::Volume) -> Option<String> {
    let info = volume.partition().info().ok()??;
    info.name.filter(|name| !name.is_empty())
}

/// The label of its filesystem.
fn label(volume: &drupe::Volume) -> Option<&str> {
    let label = volume.found()?.label.as_deref()?;
    (!label.is_empty()).then_some(label)
}

fn is_called(volume: &drupe::Volume, part: &str) -> bool {
    label(volume) == Some(part) || name_in_table(volume).as_deref() == Some(part)
}

/// What a volume is called, and what it holds: `2 (name "root", ext4 "slash")`.
fn described(volume: &drupe::Volume) -> String {
    let name = name_in_table(volume).map(|name| format!("name {name:?}"));
    let found = volume.found().map(|found| match label(volume) {
        Some(label) => format!("{} {label:?}", found.kind),
        None => found.kind.to_owned(),
    });
    let about: Vec<String> = name.into_iter().chain(found).collect();
    match &about[..] {
        [] => volume.id().to_owned(),
        about => format!("{} ({})", volume.id(), about.join(", ")),
    }
}
