//! [`Session`]: the kernel of one command, and what it has mounted.

use std::collections::{HashMap, HashSet};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::{Context, anyhow};
use drupe::{AttachedDisk, Cause, Disk, Kernel, Mount, MountOptions, Partition};

use crate::args::Global;
use crate::epoch::{self, Still};
use crate::exit::{ExitCode, Failure};
use crate::location::Volume;

/// A kernel, the disks added to it and their mounts.
pub(crate) struct Session<'a> {
    options: &'a Global,
    /// The images that are opened for writing.
    writable: HashSet<FileId>,
    // In the order of dropping, though they would hold each other anyway.
    mounts: HashMap<(FileId, Option<u32>), Mount>,
    disks: HashMap<FileId, AttachedDisk>,
    kernel: Kernel,
}

/// A file of the host, whatever name it goes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct FileId {
    dev: u64,
    ino: u64,
}

impl FileId {
    fn of(path: &Path) -> Result<FileId, Failure> {
        let metadata = path
            .metadata()
            .map_err(|error| failure(path, host_error(&error)))?;
        if metadata.is_dir() {
            return Err(failure(path, "is a directory, not a disk image".into()));
        }
        Ok(FileId {
            dev: metadata.dev(),
            ino: metadata.ino(),
        })
    }
}

/// "No such file or directory (ENOENT)" and the like.
fn host_error(error: &std::io::Error) -> String {
    match drupe::Errno::from_io_error(error) {
        Some(errno) => Cause::Errno(errno).to_string(),
        None => error.to_string(),
    }
}

fn failure(image: &Path, message: String) -> Failure {
    Failure::new(ExitCode::Image, anyhow!("{}: {message}", image.display()))
}

/// What an error of this library means for the user of the command.
fn explain(image: &Path, error: &drupe::Error) -> Failure {
    let message = match error.cause() {
        Cause::JournalReplay { fstype } => format!(
            "the {fstype} journal must be replayed first: it was not unmounted cleanly, \
             and reading does not change an image; use --replay to replay it in memory"
        ),
        cause @ (Cause::NoPartition { .. } | Cause::Host(_)) => cause.to_string(),
        Cause::NoFilesystem(Some(found)) => format!("holds {found}, not a filesystem"),
        Cause::NoFilesystem(None) => "holds no partition table and no filesystem \
                                      that this kernel knows: is it a disk image?"
            .into(),
        Cause::Dead(report) => format!(
            "the kernel died: {}; --kernel-log shows why",
            report.message
        ),
        _ => error.to_string(),
    };
    failure(image, message)
}

impl<'a> Session<'a> {
    /// Boots a kernel. Only `writable` will be opened for writing.
    pub(crate) fn new(options: &'a Global, writable: Option<&Path>) -> Result<Self, Failure> {
        let mut kernel = Kernel::builder().memory(options.memory);
        if let Some(epoch) = epoch::get()? {
            kernel = kernel.host(Still::new(epoch)?);
        }
        if options.kernel_log {
            kernel = kernel.kernel_log(|text| {
                // Whoever closed our standard error does not want it.
                let _ = std::io::Write::write_all(&mut std::io::stderr(), text);
            });
        }
        let kernel = kernel
            .boot()
            .map_err(|error| Failure::new(ExitCode::Failed, error))?;
        let mut session = Session {
            options,
            writable: HashSet::new(),
            mounts: HashMap::new(),
            disks: HashMap::new(),
            kernel,
        };
        if let Some(image) = writable {
            session.write_to(image)?;
        }
        Ok(session)
    }

    /// From now on an image is opened for writing. If it is open already, that
    /// is undone: there must be no other handles to it.
    pub(crate) fn write_to(&mut self, image: &Path) -> Result<(), Failure> {
        if self.options.read_only {
            let message = format!("{} can't be written with --read-only", image.display());
            return Err(Failure::usage(message));
        }
        let id = FileId::of(image)?;
        if !self.writable.insert(id) {
            return Ok(());
        }
        let mounted: Vec<_> = self
            .mounts
            .keys()
            .filter(|(on, _)| *on == id)
            .copied()
            .collect();
        for mount in mounted.iter().filter_map(|key| self.mounts.remove(key)) {
            mount.umount().map_err(|error| explain(image, &error))?;
        }
        match self.disks.remove(&id) {
            Some(disk) => disk.remove().map_err(|error| explain(image, &error)),
            None => Ok(()),
        }
    }

    /// Adds an image to the kernel, once.
    pub(crate) fn disk(&mut self, image: &Path) -> Result<AttachedDisk, Failure> {
        let id = FileId::of(image)?;
        if let Some(disk) = self.disks.get(&id) {
            return Ok(disk.clone());
        }
        let mut options = Disk::options();
        if !self.writable.contains(&id) {
            options.read_only(true).copy_on_write(self.options.replay);
        }
        let disk = options
            .open(image)
            .and_then(|disk| self.kernel.add_disk(disk))
            .map_err(|error| explain(image, &error))?;
        self.disks.insert(id, disk.clone());
        Ok(disk)
    }

    /// Mounts a volume, once.
    pub(crate) fn mount(&mut self, volume: &Volume) -> Result<Mount, Failure> {
        let image = &volume.image;
        let disk = self.disk(image)?;
        let id = FileId::of(image)?;
        let partition = pick(&disk, volume)?;
        let key = (id, partition.number());
        if let Some(mount) = self.mounts.get(&key) {
            return Ok(mount.clone());
        }
        let read_only = !self.writable.contains(&id);
        let options = MountOptions::new().read_only(read_only);
        let mount = partition
            .mount(options)
            .map_err(|error| explain(image, &error))?;
        self.mounts.insert(key, mount.clone());
        Ok(mount)
    }

    /// The kernel's own memory, for copying through.
    pub(crate) fn kernel(&self) -> &Kernel {
        &self.kernel
    }

    /// Unmounts everything, so that errors of writing show. All other handles
    /// must be gone.
    pub(crate) fn close(self) -> Result<(), Failure> {
        for mount in self.mounts.into_values() {
            mount
                .umount()
                .context("the image may be incomplete")
                .map_err(|error| Failure::new(ExitCode::Image, error))?;
        }
        for disk in self.disks.into_values() {
            disk.remove()?;
        }
        Ok(self.kernel.halt()?)
    }
}

/// Which part of a disk is meant.
fn pick(disk: &AttachedDisk, volume: &Volume) -> Result<Partition, Failure> {
    let image = &volume.image;
    let explained = |error: drupe::Error| explain(image, &error);
    match volume.partition {
        Some(0) => return Ok(disk.whole()),
        Some(number) => return disk.partition(number).map_err(explained),
        None => {}
    }
    // A filesystem without partitions, or an ISO image that has both.
    let whole = disk.whole();
    let partitions = disk.partitions().map_err(explained)?;
    let found = whole.probe().map_err(explained)?;
    if partitions.is_empty() || found.is_some_and(|found| found.driver.is_some()) {
        return Ok(whole);
    }
    let mut mountable = Vec::new();
    for partition in partitions {
        let found = partition.probe().map_err(explained)?;
        if found.is_some_and(|found| found.driver.is_some()) {
            mountable.push(partition);
        }
    }
    match &mountable[..] {
        [only] => Ok(only.clone()),
        [] => Err(failure(
            image,
            "no partition holds a filesystem; drupe info shows what there is".into(),
        )),
        several => {
            let choices: Vec<String> = several
                .iter()
                .filter_map(Partition::number)
                .map(|number| format!("{}@{number}", image.display()))
                .collect();
            let choices = choices.join(", ");
            let message = format!("has several partitions; say which: {choices}");
            Err(failure(image, message))
        }
    }
}
