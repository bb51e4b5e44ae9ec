//! [`Session`]: the kernel of one command, and what it has mounted.

use std::collections::{HashMap, HashSet};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::anyhow;
use drupe::{
    AttachedDisk, Cause, Disk, ImageError, Kernel, Mount, MountOptions, Partition, Volumes,
};

use crate::args::Global;
use crate::epoch::{self, Still};
use crate::exit::{ExitCode, Failure};
use crate::interrupt::Signals;
use crate::location::Volume;
use crate::output;
use crate::passphrase::Passphrase;

/// Bytes of a kernel's memory: enough for images of any size.
const MEMORY: usize = 64 << 20;

/// A kernel, the disks added to it and their mounts.
pub(crate) struct Session<'a> {
    options: &'a Global,
    /// The images that are opened for writing.
    writable: HashSet<ImageId>,
    // In the order of dropping, though they would hold each other anyway.
    mounts: HashMap<(ImageId, String), Mount>,
    /// All that is on an image and the images that go with it.
    volumes: HashMap<ImageId, Volumes>,
    disks: HashMap<ImageId, AttachedDisk>,
    /// What the images of `disks` are called.
    names: HashMap<ImageId, PathBuf>,
    /// Network disks that are to be used, by their addresses.
    connected: HashMap<String, Disk>,
    signals: Signals,
    /// Images whose damage the user has been told of.
    damaged: HashSet<ImageId>,
    kernel: Kernel,
}

/// What an image is, whatever name it goes by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum ImageId {
    /// A file of the host, by device and inode.
    File(u64, u64),
    /// A network disk, by its address.
    Uri(String),
}

/// The address of a network disk, if that is what is named.
fn uri(image: &Path) -> Option<&str> {
    image.to_str().filter(|text| drupe::is_uri(text))
}

impl ImageId {
    fn of(path: &Path) -> Result<ImageId, Failure> {
        if let Some(uri) = uri(path) {
            return Ok(ImageId::Uri(uri.to_owned()));
        }
        let metadata = path
            .metadata()
            .map_err(|error| failure(path, host_error(&error)))?;
        if metadata.is_dir() {
            return Err(failure(path, "is a directory, not a disk image".into()));
        }
        Ok(ImageId::File(metadata.dev(), metadata.ino()))
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

/// The hint of an image in which nothing can be mounted.
const INFO: &str = "`drupe info` shows what there is";

/// What an error of this library means for the user of the command.
fn explain(image: &Path, error: &drupe::Error) -> Failure {
    let cause = error.cause();
    let message = match cause {
        Cause::JournalReplay { fstype } => format!(
            "the {fstype} journal must be replayed first: it was not unmounted cleanly, \
             and reading does not change an image"
        ),
        Cause::Locked => "is encrypted".to_owned(),
        Cause::Image(ImageError::NotAllowed { role, name }) if *role == "extent" => {
            format!("it looks like a vmdk whose {role} {name:?} is another file")
        }
        Cause::Image(ImageError::NotAllowed { role, name }) => {
            format!("its {role} {name:?} is another file")
        }
        Cause::Image(ImageError::ReadOnly { what }) => format!("{what} is a read-only format"),
        Cause::NoPartition { .. }
        | Cause::Host(_)
        | Cause::Image(_)
        | Cause::CutShort(_)
        | Cause::MissingDevice { .. }
        | Cause::NoDriver(_)
        | Cause::Volume(_) => cause.to_string(),
        _ if is_read_only_filesystem(cause) => "its filesystem is read-only".to_owned(),
        Cause::NoFilesystem(Some(found)) => format!("holds {found}, not a filesystem"),
        Cause::NoFilesystem(None) => {
            "holds no partition table and no filesystem that this kernel knows".to_owned()
        }
        Cause::Dead(report) => format!("the kernel died: {}", report.message),
        _ => error.to_string(),
    };
    let failure = failure(image, message);
    match hint(cause) {
        Some(hint) => failure.with_hint(hint),
        None => failure,
    }
}

/// What the user can do about an error.
fn hint(cause: &Cause) -> Option<&'static str> {
    Some(match cause {
        Cause::JournalReplay { .. } => "use --replay to replay it in memory",
        Cause::MissingDevice { .. } => "give the other images with --with",
        Cause::Locked => {
            "give the passphrase with --key-file FILE or DRUPE_PASSPHRASE, or at a terminal"
        }
        Cause::Volume(drupe::VolumeError::ReadOnly(_)) => "use --replay",
        Cause::Volume(drupe::VolumeError::Damaged { what: "GPT", .. }) => {
            "testdisk can look for its partitions"
        }
        Cause::Image(ImageError::NotAllowed { role, .. }) if *role == "extent" => {
            "if you trust the image, use --image-format vmdk (for files beside it) or \
             --backing (for files anywhere); --image-format raw takes it for a disk"
        }
        Cause::Image(ImageError::NotAllowed { .. }) => "if you trust the image, use --backing",
        Cause::Image(ImageError::ReadOnly { .. }) => {
            "convert it with qemu-img, to qcow2 for example; --replay replays its journal \
             in memory"
        }
        Cause::NoFilesystem(None) => "is it a disk image?",
        Cause::Dead(_) => "--kernel-log shows why",
        cause if is_read_only_filesystem(cause) => "use --read-only",
        _ => return None,
    })
}

/// What read-only filesystems of a kind that could be writable say.
fn is_read_only_filesystem(cause: &Cause) -> bool {
    match cause {
        Cause::Mount { errno, .. } | Cause::Errno(errno) => {
            matches!(*errno, drupe::Errno::ACCESS | drupe::Errno::ROFS)
        }
        _ => false,
    }
}

/// Refuses to write to an image that the host has attached to a loop device: a confined
/// process could not tell any more.
pub(crate) fn refuse_attached(image: &Path) -> Result<(), Failure> {
    match drupe::attached_loop(image) {
        None => Ok(()),
        Some(device) => {
            let what = format!("is attached to {device}, which the host may have mounted");
            Err(failure(image, what).with_hint(format!("detach it with losetup -d {device}")))
        }
    }
}

/// Opens an image as the options say. A server that does not answer is not waited for
/// when a signal has come.
pub(crate) fn open(
    global: &Global,
    image: &Path,
    writable: bool,
    signals: &Signals,
) -> Result<Disk, Failure> {
    let mut options = Disk::options()
        .given_up(signals.interrupt().flag())
        .backing(global.backing)
        .read_only(!writable)
        .copy_on_write(!writable && global.replay);
    if let Some(format) = global.image_format {
        options = options.format(format);
    }
    if let Some(bytes) = global.block_size {
        options = options.block_size(bytes);
    }
    let opened = match uri(image) {
        Some(uri) => options.open_uri(uri),
        None => options.open(image),
    };
    opened.map_err(|error| explain(image, &error))
}

impl<'a> Session<'a> {
    /// Boots a kernel. Only `writable` will be opened for writing.
    pub(crate) fn new(options: &'a Global, writable: Option<&Path>) -> Result<Self, Failure> {
        for other in &options.with {
            // One that nothing is looked for in is a mistake too.
            ImageId::of(other)?;
        }
        let mut kernel = Kernel::builder().memory(options.memory.unwrap_or(MEMORY));
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
            volumes: HashMap::new(),
            disks: HashMap::new(),
            names: HashMap::new(),
            connected: HashMap::new(),
            signals: Signals::default(),
            damaged: HashSet::new(),
            kernel,
        };
        if let Some(image) = writable {
            session.write_to(image)?;
        }
        Ok(session)
    }

    /// Network disks to use instead of connecting.
    pub(crate) fn take_connected(&mut self, disks: HashMap<String, Disk>) {
        self.connected.extend(disks);
    }

    /// What tells of signals, from now on.
    pub(crate) fn set_signals(&mut self, signals: &Signals) {
        self.signals = signals.clone();
    }

    /// From now on an image is opened for writing. If it is open already, that
    /// is undone: there must be no other handles to it.
    pub(crate) fn write_to(&mut self, image: &Path) -> Result<(), Failure> {
        if self.options.read_only {
            let message = format!("{} can't be written with --read-only", image.display());
            return Err(Failure::usage(message));
        }
        let id = ImageId::of(image)?;
        if !self.writable.insert(id.clone()) {
            return Ok(());
        }
        self.volumes.clear();
        for (_, mount) in self.mounts.extract_if(|(on, _), _| *on == id) {
            mount.umount().map_err(|error| explain(image, &error))?;
        }
        match self.disks.remove(&id) {
            Some(disk) => disk.remove().map_err(|error| explain(image, &error)),
            None => Ok(()),
        }
    }

    /// Adds an image to the kernel, once.
    pub(crate) fn disk(&mut self, image: &Path) -> Result<AttachedDisk, Failure> {
        let id = ImageId::of(image)?;
        if let Some(disk) = self.disks.get(&id) {
            return Ok(disk.clone());
        }
        let writable = self.writable.contains(&id);
        let connected = uri(image).and_then(|uri| self.connected.remove(uri));
        let disk = match connected {
            Some(disk) => disk,
            None => open(self.options, image, writable, &self.signals)?,
        };
        let added = self.kernel.add_disk(disk);
        let disk = added.map_err(|error| explain(image, &error))?;
        if writable && let Some(cut) = cut_short(image, &disk)? {
            return Err(cut);
        }
        self.names.insert(id.clone(), image.to_owned());
        self.disks.insert(id, disk.clone());
        Ok(disk)
    }

    /// Mounts a volume, once.
    pub(crate) fn mount(&mut self, volume: &Volume) -> Result<Mount, Failure> {
        let image = &volume.image;
        let disk = self.disk(image)?;
        let id = ImageId::of(image)?;
        let partition = self.pick(&disk, volume)?;
        let key = (id.clone(), partition.name().to_owned());
        if let Some(mount) = self.mounts.get(&key) {
            return Ok(mount.clone());
        }
        let read_only = !self.writable.contains(&id);
        let mut options = MountOptions::new();
        for list in &self.options.mount_options {
            options = options.options(list);
        }
        let read_only = read_only || options.is_read_only();
        for name in self.other_devices(image, &id, &partition)? {
            options = options.device(&name);
        }
        let mount = partition
            .mount(options.read_only(read_only))
            .map_err(|error| explain(image, &error))?;
        self.mounts.insert(key, mount.clone());
        Ok(mount)
    }

    /// Names of the devices that a filesystem is on besides its own: whole images among
    /// those of `--with`.
    fn other_devices(
        &mut self,
        image: &Path,
        id: &ImageId,
        partition: &Partition,
    ) -> Result<Vec<String>, Failure> {
        let probed = |partition: &Partition| {
            let found = partition.probe().map_err(|error| explain(image, &error))?;
            Ok::<_, Failure>(found.filter(|found| found.kind == "btrfs"))
        };
        let mut names = Vec::new();
        if self.options.with.is_empty() || probed(partition)?.is_none() {
            return Ok(names);
        }
        for other in &self.options.with {
            if self.writable.contains(id) {
                self.writable.insert(ImageId::of(other)?);
            }
            let whole = self.disk(other)?.whole();
            if probed(&whole)?.is_some() {
                names.push(whole.name().to_owned());
            }
        }
        Ok(names)
    }

    /// The images that go with any other.
    pub(crate) fn with(&self) -> &[PathBuf] {
        &self.options.with
    }

    /// All that is on an image, in the order of its making; `ask`: a terminal
    /// may be asked for passphrases.
    pub(crate) fn volumes(&mut self, image: &Path, ask: bool) -> Result<&Volumes, Failure> {
        let id = ImageId::of(image)?;
        if !self.volumes.contains_key(&id) {
            let mut disks = vec![self.disk(image)?];
            for other in &self.options.with {
                if self.writable.contains(&id) {
                    self.writable.insert(ImageId::of(other)?);
                }
                disks.push(self.disk(other)?);
            }
            let passphrase = Passphrase::new(self.options, ask)?;
            let mut get = |volume: &drupe::Volume, attempt| {
                let others = self.options.with.iter().map(|path| &**path);
                let image = std::iter::once(image).chain(others).nth(volume.disk());
                passphrase.get(image?, volume, attempt)
            };
            let found = self.kernel.volumes(&disks, &mut get);
            let found = found.map_err(|error| explain(image, &error))?;
            self.volumes.insert(id.clone(), found);
        }
        Ok(&self.volumes[&id])
    }

    /// Says what of a disk's partition table is damaged, once.
    pub(crate) fn warn_of_damage(
        &mut self,
        image: &Path,
        disk: &AttachedDisk,
    ) -> Result<(), Failure> {
        let damage = disk.table_damage();
        let damage = damage.map_err(|error| explain(image, &error))?;
        if let Some(damage) = damage
            && self.damaged.insert(ImageId::of(image)?)
        {
            let image = image.display();
            let text = format!("{image}: {damage}; sgdisk -e {image} restores it");
            output::warning(self.options, &text);
        }
        Ok(())
    }

    /// Which part of a disk is meant. The kernel may know nothing of partitions on
    /// a disk that was cut short.
    fn pick(&mut self, disk: &AttachedDisk, volume: &Volume) -> Result<Partition, Failure> {
        let plain = pick_plain(disk, volume);
        let plain = plain.or_else(|failure| match cut_short(&volume.image, disk)? {
            Some(cut) => Err(cut),
            None => Err(failure),
        });
        let plain = plain?;
        let whole = |found: &Partition| found.number().is_none();
        if !plain.as_ref().is_some_and(whole) {
            self.warn_of_damage(&volume.image, disk)?;
        }
        if let Some(found) = plain {
            return Ok(found);
        }
        let volumes = self.volumes(&volume.image, true)?;
        pick_volume(volumes, volume)
    }

    /// Device and inode of the images that are in use.
    pub(crate) fn image_files(&self) -> Vec<(u64, u64)> {
        let images = self.disks.keys().chain(&self.writable);
        let files = images.filter_map(|image| match image {
            ImageId::File(dev, ino) => Some((*dev, *ino)),
            ImageId::Uri(_) => None,
        });
        files.collect()
    }

    pub(crate) fn kernel(&self) -> &Kernel {
        &self.kernel
    }

    /// Unmounts everything, so that errors of writing show. All other handles
    /// must be gone.
    pub(crate) fn close(self) -> Result<(), Failure> {
        let mut failed = None;
        for ((image, _), mount) in self.mounts {
            let image = self.names.get(&image).map(PathBuf::as_path);
            let image = image.unwrap_or(Path::new("image")).display().to_string();
            let incomplete = || format!("{image}: the image may be incomplete");
            // The host's own word; what the filesystem makes of it says less.
            let refused = mount.write_error();
            let unmounted = mount.umount();
            let error = match (refused, unmounted) {
                (None, Ok(())) => continue,
                (Some(errno), _) => anyhow!("the host cannot write it: {}", Cause::Errno(errno)),
                (None, Err(error)) => error.into(),
            };
            failed = failed.or(Some(error.context(incomplete())));
        }
        if let Some(error) = failed {
            return Err(Failure::new(ExitCode::Image, error));
        }
        drop(self.volumes);
        for disk in self.disks.into_values() {
            disk.remove()?;
        }
        Ok(self.kernel.halt()?)
    }
}

/// What of a disk is not all there.
pub(crate) fn cut_short(image: &Path, disk: &AttachedDisk) -> Result<Option<Failure>, Failure> {
    let cut = disk.cut_short().map_err(|error| explain(image, &error))?;
    Ok(cut.map(|cut| failure(image, cut.to_string())))
}

/// What is on all of a disk, if this kernel has no driver for it.
pub(crate) fn no_driver(image: &Path, disk: &AttachedDisk) -> Result<Option<Failure>, Failure> {
    let explained = |error: drupe::Error| explain(image, &error);
    // What looks like a signature beside a partition table is none.
    if !disk.partitions().map_err(explained)?.is_empty() {
        return Ok(None);
    }
    let found = disk.whole().probe().map_err(explained)?;
    let found = found.and_then(|found| found.no_driver);
    Ok(found.map(|found| failure(image, found.to_string())))
}

/// The part that is meant, if it is a partition or the whole with a filesystem
/// on it, or with nothing known. `None`: there are volumes to be looked into.
fn pick_plain(disk: &AttachedDisk, volume: &Volume) -> Result<Option<Partition>, Failure> {
    let image = &volume.image;
    let explained = |error: drupe::Error| explain(image, &error);
    let named = match volume.part.as_deref().map(str::parse) {
        Some(Ok(0)) => Some(disk.whole()),
        Some(Ok(number)) => Some(disk.partition(number).map_err(explained)?),
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
fn pick_volume(volumes: &Volumes, wanted: &Volume) -> Result<Partition, Failure> {
    let image = &wanted.image;
    let part = wanted.part.as_deref().unwrap_or("0");
    let Some(index) = volumes.find(0, part) else {
        let known: Vec<_> = volumes.iter().map(drupe::Volume::id).collect();
        let trouble = volumes.iter().find_map(drupe::Volume::trouble);
        let why = trouble.map_or(String::new(), |error| format!(" ({})", error.cause()));
        let known = known.join(", ");
        let message = format!("has no volume {part}{why}; there are: {known}");
        return Err(failure(image, message));
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
