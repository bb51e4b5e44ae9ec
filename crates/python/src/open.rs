//! `open`: from an image to a mounted filesystem: which part of it is meant, what it is
//! made of, how it is mounted.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use drupe::{AttachedDisk, MountOptions, Partition, Volume, Volumes};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;

use crate::disk::{Disk, Mode, Options, Source};
use crate::error::Failure;
use crate::gate::{Caller, long};
use crate::kernel::Kernel;
use crate::mount::Mount;
use crate::partition::mount_options;
use crate::volumes::{Passphrase, trouble};

/// Which part of an image is meant.
pub(crate) enum Part {
    /// Whichever has a filesystem.
    Any,
    /// A partition; 0: all of it.
    Number(u32),
    /// A volume by the name that `info` has, or what a label or a UUID is.
    Named(String),
}

impl FromPyObject<'_, '_> for Part {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, '_, PyAny>) -> PyResult<Part> {
        if object.is_none() {
            return Ok(Part::Any);
        }
        if let Ok(number) = object.extract() {
            return Ok(Part::Number(number));
        }
        match object.extract::<String>() {
            Ok(name) => Ok(match name.parse() {
                Ok(number) => Part::Number(number),
                Err(_) => Part::Named(name),
            }),
            Err(_) => Err(PyTypeError::new_err(
                "partition is the number of one, or the name of a volume, a label or a UUID",
            )),
        }
    }
}

/// What `open` gives to Python.
type Opened = (Mount, Kernel, Vec<Disk>);

type Made = (drupe::Mount, drupe::Kernel, Vec<AttachedDisk>);

/// Mounts a filesystem of an image; boots a kernel for it unless there is one.
#[pyfunction]
#[pyo3(signature = (source, partition, mode, *, kernel, fstype, options, format, backing,
                    block_size, passphrase, extra))]
#[allow(clippy::too_many_arguments)]
pub(crate) fn open(
    py: Python<'_>,
    source: &Bound<'_, PyAny>,
    partition: Part,
    mode: Mode,
    kernel: Option<&Kernel>,
    fstype: Option<String>,
    options: String,
    format: Option<String>,
    backing: bool,
    block_size: Option<u32>,
    passphrase: &Bound<'_, PyAny>,
    extra: Vec<Bound<'_, PyAny>>,
) -> PyResult<Opened> {
    let how = Options {
        mode,
        format,
        backing,
        block_size,
    };
    let mut sources = vec![Source::of(source, &how)?];
    for other in &extra {
        sources.push(Source::of(other, &how)?);
    }
    let passphrase = Passphrase::of(passphrase)?;
    let kernel = kernel.map(Kernel::get).transpose()?;
    let read_only = mode == Mode::Read;
    let given_up = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&given_up);
    let cancel = move || flag.store(true, Ordering::Relaxed);
    let (mount, kernel, disks) = long(py, cancel, move |caller| {
        // Opened first: without images, there is no need for a kernel.
        let disks = sources
            .into_iter()
            .map(|source| source.open(&how, &given_up));
        let disks: Vec<_> = disks.collect::<Result<_, _>>()?;
        let kernel = match kernel {
            Some(kernel) => drupe::Kernel::clone(&kernel),
            None => drupe::Kernel::boot()?,
        };
        caller.calls(&kernel);
        let disks = disks.into_iter().map(|disk| kernel.add_disk(disk));
        let disks: Vec<_> = disks.collect::<Result<_, _>>()?;
        let found = pick(caller, &kernel, &disks, &partition, &passphrase)?;
        let others = other_devices(&disks, &found)?;
        let mut how = mount_options(read_only, fstype.as_deref(), &options, &others);
        if read_only {
            how = how.read_only(true);
        }
        let mount = mount(&found, how)?;
        Ok::<Made, Failure>((mount, kernel, disks))
    })?;
    let disks = disks.into_iter().map(Disk::new).collect();
    Ok((Mount::new(mount), Kernel::new(kernel), disks))
}

fn mount(partition: &Partition, how: MountOptions) -> Result<drupe::Mount, Failure> {
    Ok(partition.mount(how)?)
}

/// Volumes are made of what has this signature.
fn is_container(kind: &str) -> bool {
    matches!(kind, "crypto_LUKS" | "LVM2_member" | "linux_raid_member")
}

/// Which block device of the first disk is meant.
fn pick<T: Send + 'static>(
    caller: &Caller<T>,
    kernel: &drupe::Kernel,
    disks: &[AttachedDisk],
    part: &Part,
    passphrase: &Passphrase,
) -> Result<Partition, Failure> {
    if let Some(found) = pick_plain(&disks[0], part)? {
        return Ok(found);
    }
    let mut ask = |volume: &Volume, wrong| passphrase.get(caller, volume.id(), wrong);
    let volumes = kernel.volumes(disks, &mut ask)?;
    pick_volume(&volumes, part)
}

/// A partition or the whole, with a filesystem on it or nothing known. `None`: there are
/// volumes to be looked into.
fn pick_plain(disk: &AttachedDisk, part: &Part) -> Result<Option<Partition>, Failure> {
    let whole = disk.whole();
    let candidates = match part {
        Part::Named(_) => return Ok(None),
        Part::Number(0) => vec![whole],
        Part::Number(number) => vec![disk.partition(*number)?],
        Part::Any => {
            let found = whole.probe()?;
            match found.is_some_and(|found| found.driver.is_some()) {
                // A filesystem without partitions, or an ISO image that has both.
                true => vec![whole],
                false => {
                    let mut all = disk.partitions()?;
                    if all.is_empty() {
                        all.push(whole);
                    }
                    all
                }
            }
        }
    };
    let mut mountable = Vec::new();
    for candidate in &candidates {
        match candidate.probe()? {
            Some(found) if is_container(found.kind) => return Ok(None),
            Some(found) if found.driver.is_some() => mountable.push(candidate),
            _ => {}
        }
    }
    match (&mountable[..], &candidates[..]) {
        // Mounting says best what is wrong with it.
        ([only], _) => Ok(Some((*only).clone())),
        ([], [only]) => Ok(Some(only.clone())),
        ([], _) => {
            let text = "no partition holds a filesystem; drupe.info() shows what there is";
            Err(Failure::new("NoFilesystem", libc::EMEDIUMTYPE, text))
        }
        (several, _) => {
            let numbers = several.iter().filter_map(|partition| partition.number());
            Err(ambiguous(numbers.map(|number| number.to_string())))
        }
    }
}

fn ambiguous(parts: impl Iterator<Item = String>) -> Failure {
    let parts: Vec<String> = parts.collect();
    let text = format!(
        "there are several filesystems; say which with partition=: {}",
        parts.join(", ")
    );
    Failure::new("NoPartition", libc::ENXIO, text)
}

/// Whether a volume is called so, by a label or a UUID.
fn is_called(volume: &Volume, name: &str) -> Result<bool, Failure> {
    let is = |text: &Option<String>| text.as_deref() == Some(name);
    if volume
        .found()
        .is_some_and(|found| is(&found.label) || is(&found.uuid))
    {
        return Ok(true);
    }
    let entry = volume.partition().info()?;
    Ok(entry.is_some_and(|entry| is(&entry.name) || is(&entry.uuid)))
}

/// The volume of that name, or the only one with a filesystem that is made of it.
fn pick_volume(volumes: &Volumes, part: &Part) -> Result<Partition, Failure> {
    let name = match part {
        Part::Any => "0".to_owned(),
        Part::Number(number) => number.to_string(),
        Part::Named(name) => name.clone(),
    };
    let mut index = volumes.find(0, &name);
    if index.is_none() {
        for (number, volume) in volumes.iter().enumerate() {
            if is_called(volume, &name)? {
                index = Some(number);
                break;
            }
        }
    }
    let Some(index) = index else {
        if let Some(failure) = volumes.iter().find_map(trouble) {
            return Err(failure);
        }
        let known: Vec<_> = volumes.iter().map(Volume::id).collect();
        let text = format!(
            "there is no volume {name:?}; there are: {}",
            known.join(", ")
        );
        return Err(Failure::new("NoPartition", libc::ENXIO, text));
    };
    let within = volumes.within(index);
    let mountable: Vec<_> = within
        .iter()
        .filter(|volume| volume.found().is_some_and(|found| found.driver.is_some()))
        .collect();
    match (
        &mountable[..],
        within.iter().find_map(|volume| trouble(volume)),
    ) {
        ([only], _) => Ok(only.partition().clone()),
        ([], Some(failure)) => Err(failure),
        ([], None) => {
            let text = "no volume holds a filesystem; drupe.info() shows what there is";
            Err(Failure::new("NoFilesystem", libc::EMEDIUMTYPE, text))
        }
        (several, _) => Err(ambiguous(
            several.iter().map(|volume| volume.id().to_owned()),
        )),
    }
}

/// The names of the devices that a btrfs is on besides its own: whole disks.
fn other_devices(disks: &[AttachedDisk], found: &Partition) -> Result<Vec<String>, Failure> {
    let mut others = Vec::new();
    let Some(own) = found.probe()?.filter(|own| own.kind == "btrfs") else {
        return Ok(others);
    };
    for disk in &disks[1..] {
        let other = disk.whole().probe()?;
        // Those of one filesystem have its UUID.
        if other.is_some_and(|other| other.kind == "btrfs" && other.uuid == own.uuid) {
            others.push(disk.whole().name().to_owned());
        }
    }
    Ok(others)
}
