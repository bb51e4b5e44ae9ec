//! [`Session`]: the kernel of one command, its disks and mounts.

mod explain;
mod open;
mod origin;
mod pick;
mod root;
mod trouble;

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use anyhow::anyhow;
use drupe::{AttachedDisk, Cause, Disk, Kernel, Mount, MountOptions, Partition, Volumes};

use self::explain::{INFO, explain};
use self::origin::Origin;
pub(crate) use self::pick::is_container;
use self::pick::{pick_plain, pick_volume};
pub(crate) use self::trouble::{cut_short, harm_of, no_driver, remedy};
use crate::args::Global;
use crate::epoch::{self, Still};
use crate::exit::{ExitCode, Failure};
use crate::interrupt::Signals;
use crate::location::{self, Volume};
use crate::output;
use crate::passphrase::Passphrase;
pub(crate) use open::{open, refuse_attached};

/// Bytes of a kernel's memory: enough for images of any size.
const MEMORY: usize = 64 << 20;

/// A kernel, the disks added to it and their mounts.
pub(crate) struct Session<'a> {
    options: &'a Global,
    /// The images that are opened for writing.
    writable: HashSet<ImageId>,
    // In the order of dropping, though they would hold each other anyway.
    mounts: HashMap<MountKey, Mount>,
    /// Roots that `--root` has put together: image, and name of the volume.
    assembled: HashSet<(PathBuf, OsString)>,
    /// Images that a filesystem of another one is on too, and where that is mounted.
    members: HashMap<ImageId, MountKey>,
    /// The mounts of volumes that are made of others.
    origins: Vec<(Origin, MountKey)>,
    /// All that is on an image and the images that go with it.
    volumes: HashMap<ImageId, Volumes>,
    disks: HashMap<ImageId, AttachedDisk>,
    /// What the images of `disks` are called.
    names: HashMap<ImageId, PathBuf>,
    /// Network disks that are to be used, by their addresses.
    connected: HashMap<String, Disk>,
    /// Images that were found to be unusable beforehand.
    refused: Vec<(PathBuf, Failure)>,
    signals: Signals,
    /// Images whose damage the user has been told of.
    damaged: HashSet<ImageId>,
    /// Booted when it is first needed.
    kernel: OnceLock<Kernel>,
}

/// What is mounted, and how. A filesystem that is mounted twice, with different options,
/// is one filesystem with two mounts, as on any Linux.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct MountKey {
    image: ImageId,
    /// The kernel's name of its device.
    device: String,
    /// The mount options of its own.
    options: Option<String>,
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
        let metadata = path.metadata().map_err(|error| {
            let failure = failure(path, host_error(&error));
            match location::with_colon(path) {
                Some(hint) => failure.with_hint(hint),
                None => failure,
            }
        })?;
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

/// Boots the kernel of a session.
fn boot(options: &Global) -> Result<Kernel, Failure> {
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
    kernel
        .boot()
        .map_err(|error| Failure::new(ExitCode::Failed, error))
}

impl<'a> Session<'a> {
    /// Boots no kernel yet. Only `writable` will be opened for writing.
    pub(crate) fn new(options: &'a Global, writable: Option<&Path>) -> Result<Self, Failure> {
        for other in &options.with {
            // One that nothing is looked for in is a mistake too.
            ImageId::of(other)?;
        }
        let mut session = Session {
            options,
            writable: HashSet::new(),
            mounts: HashMap::new(),
            assembled: HashSet::new(),
            members: HashMap::new(),
            origins: Vec::new(),
            volumes: HashMap::new(),
            disks: HashMap::new(),
            names: HashMap::new(),
            connected: HashMap::new(),
            refused: Vec::new(),
            signals: Signals::default(),
            damaged: HashSet::new(),
            kernel: OnceLock::new(),
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

    /// Images that cannot be used, and why.
    pub(crate) fn refuse(&mut self, images: Vec<(PathBuf, Failure)>) {
        self.refused.extend(images);
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
        self.reopen(image, &id)
    }

    /// Unmounts all that is on an image, and closes it. It is opened again when it is used.
    pub(crate) fn let_go(&mut self, image: &Path) -> Result<(), Failure> {
        let id = ImageId::of(image)?;
        self.reopen(image, &id)
    }

    fn reopen(&mut self, image: &Path, id: &ImageId) -> Result<(), Failure> {
        self.volumes.clear();
        self.assembled.clear();
        // What goes with it is written too; and any mount may use that.
        let mut reopened = vec![id.clone()];
        for other in &self.options.with {
            reopened.push(ImageId::of(other)?);
        }
        let alone = reopened.len() == 1;
        for (_, mount) in self.mounts.extract_if(|key, _| !alone || key.image == *id) {
            mount.umount().map_err(|error| explain(image, &error))?;
        }
        self.members.clear();
        for id in reopened {
            if let Some(disk) = self.disks.remove(&id) {
                disk.remove().map_err(|error| explain(image, &error))?;
            }
        }
        Ok(())
    }

    /// Adds an image to the kernel, once.
    pub(crate) fn disk(&mut self, image: &Path) -> Result<AttachedDisk, Failure> {
        let id = ImageId::of(image)?;
        if let Some(disk) = self.disks.get(&id) {
            return Ok(disk.clone());
        }
        let mut refused = self.refused.iter();
        let is_it = |other: &Path| ImageId::of(other).is_ok_and(|other| other == id);
        if let Some((_, failure)) = refused.find(|(other, _)| is_it(other)) {
            return Err(failure.again());
        }
        let writable = self.writable.contains(&id);
        let connected = uri(image).and_then(|uri| self.connected.remove(uri));
        let disk = match connected {
            Some(disk) => disk,
            None => open(self.options, image, writable, &self.signals)?,
        };
        let added = self.kernel()?.add_disk(disk);
        let disk = added.map_err(|error| explain(image, &error))?;
        if writable && let Some(cut) = cut_short(image, &disk)? {
            let has_parts = !disk
                .partitions()
                .map_err(|error| explain(image, &error))?
                .is_empty();
            return Err(match has_parts {
                true => cut.with_hint(
                    "what is all there can be read: mount it with --read-only, or copy it out",
                ),
                false => cut,
            });
        }
        self.names.insert(id.clone(), image.to_owned());
        self.disks.insert(id, disk.clone());
        Ok(disk)
    }

    /// The device that a volume is on.
    pub(crate) fn partition(&mut self, volume: &Volume) -> Result<Partition, Failure> {
        let disk = self.disk(&volume.image)?;
        self.pick(&disk, volume)
    }

    /// Mounts a volume, once; with `--root`, and what belongs to it.
    pub(crate) fn mount(&mut self, volume: &Volume) -> Result<Mount, Failure> {
        match self.options.root {
            true => self.assemble(volume),
            false => self.mount_alone(volume),
        }
    }

    fn mount_alone(&mut self, volume: &Volume) -> Result<Mount, Failure> {
        let image = &volume.image;
        let disk = self.disk(image)?;
        let id = ImageId::of(image)?;
        let partition = self.pick(&disk, volume)?;
        if volume.part.is_none()
            && let Some(key) = self.members.get(&id)
            && key.options == volume.options
            && let Some(mount) = self.mounts.get(key)
        {
            // A filesystem on several images, by the name of another one of them.
            return Ok(mount.clone());
        }
        let key = MountKey {
            image: id.clone(),
            device: partition.name().to_owned(),
            options: volume.options.clone(),
        };
        if let Some(mount) = self.mounts.get(&key) {
            return Ok(mount.clone());
        }
        let origin = self.origin(&id, image, &partition)?;
        if let Some(mount) = origin
            .as_ref()
            .and_then(|origin| self.mount_of(origin, &key))
        {
            return Ok(mount);
        }
        let read_only = !self.writable.contains(&id);
        let mut options = MountOptions::new();
        for list in self.options.mount_options.iter().chain(&volume.options) {
            options = options.options(list);
        }
        let read_only = read_only || options.is_read_only();
        let others = self.other_devices(image, &id, &partition)?;
        for (_, name) in &others {
            options = options.device(name);
        }
        let name = name_of(volume, &partition);
        let mount = partition
            .mount(options.read_only(read_only))
            .map_err(|error| {
                let failure = explain(Path::new(&name), &error);
                match error.cause() {
                    Cause::MissingDevice { .. } if self.is_with(&id) => failure.with_hint(
                        "it is one of those given with --with: name the image that it goes \
                         with, or give that one with --with too",
                    ),
                    _ => failure,
                }
            })?;
        for (other, _) in others {
            self.members.insert(other, key.clone());
        }
        if let Some(origin) = origin {
            self.origins.push((origin, key.clone()));
        }
        self.mounts.insert(key, mount.clone());
        Ok(mount)
    }

    /// What a volume of `image` is made of; `None`: it is a partition or a whole disk.
    fn origin(
        &self,
        id: &ImageId,
        image: &Path,
        volume: &Partition,
    ) -> Result<Option<Origin>, Failure> {
        let Some(volumes) = self.volumes.get(id) else {
            return Ok(None);
        };
        let images = self.together(image)?;
        let images: Result<Vec<_>, _> = images.iter().map(|path| ImageId::of(path)).collect();
        Ok(Origin::of(volumes, &images?, volume))
    }

    /// The mount of the same volume, however it was found.
    fn mount_of(&self, origin: &Origin, wanted: &MountKey) -> Option<Mount> {
        let is_same =
            |(other, key): &&(Origin, MountKey)| other.is(origin) && key.options == wanted.options;
        let mut same = self.origins.iter().filter(is_same);
        same.find_map(|(_, key)| self.mounts.get(key)).cloned()
    }

    /// Whether an image is one of those given with `--with`.
    fn is_with(&self, id: &ImageId) -> bool {
        let mut with = self.options.with.iter();
        with.any(|other| ImageId::of(other).is_ok_and(|other| other == *id))
    }

    /// The devices that a filesystem is on besides its own, by their names: whole images
    /// among those of `--with` and those that are open.
    fn other_devices(
        &mut self,
        image: &Path,
        id: &ImageId,
        partition: &Partition,
    ) -> Result<Vec<(ImageId, String)>, Failure> {
        let probed = |partition: &Partition| {
            let found = partition.probe().map_err(|error| explain(image, &error))?;
            Ok::<_, Failure>(found.filter(|found| found.kind == "btrfs"))
        };
        let mut others = Vec::new();
        if self.options.with.is_empty() {
            return Ok(others);
        }
        let Some(own) = probed(partition)? else {
            return Ok(others);
        };
        let open = self
            .names
            .iter()
            .filter(|(id, _)| self.disks.contains_key(id));
        let open: Vec<PathBuf> = open.map(|(_, path)| path.clone()).collect();
        for other in self.options.with.iter().chain(&open) {
            let other_id = ImageId::of(other)?;
            let known = others.iter().any(|(known, _)| *known == other_id);
            if known || other_id == *id {
                continue;
            }
            if self.writable.contains(id) {
                self.writable.insert(other_id.clone());
            }
            let whole = self.disk(other)?.whole();
            // Those of one filesystem have its UUID.
            if probed(&whole)?.is_some_and(|found| found.uuid == own.uuid) {
                others.push((other_id, whole.name().to_owned()));
            }
        }
        Ok(others)
    }

    /// An image and those that go with it, each once.
    pub(crate) fn together(&self, image: &Path) -> Result<Vec<PathBuf>, Failure> {
        let mut known = HashSet::new();
        let mut images = Vec::new();
        for path in std::iter::once(image).chain(self.options.with.iter().map(PathBuf::as_path)) {
            if known.insert(ImageId::of(path)?) {
                images.push(path.to_owned());
            }
        }
        Ok(images)
    }

    /// All that is on an image, in the order of its making; `ask`: a terminal
    /// may be asked for passphrases.
    pub(crate) fn volumes(&mut self, image: &Path, ask: bool) -> Result<&Volumes, Failure> {
        let id = ImageId::of(image)?;
        if !self.volumes.contains_key(&id) {
            let images = self.together(image)?;
            let mut disks = Vec::new();
            for other in &images {
                if self.writable.contains(&id) {
                    self.writable.insert(ImageId::of(other)?);
                }
                disks.push(self.disk(other)?);
            }
            let passphrase = Passphrase::new(self.options, ask)?;
            let mut get = |volume: &drupe::Volume, attempt| {
                passphrase.get(images.get(volume.disk())?, volume, attempt)
            };
            let given_up = self.signals.interrupt().flag();
            let found = self.kernel()?.volumes_until(&disks, &given_up, &mut get);
            let found = found.map_err(|error| match error.cause() {
                Cause::Volume(drupe::VolumeError::GivenUp) => Failure::interrupted(),
                _ => explain(image, &error),
            })?;
            self.signals.check()?;
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
            let text = match remedy(image, &damage) {
                Some(remedy) => format!("{}: {damage}; {remedy}", image.display()),
                None => format!("{}: {damage}", image.display()),
            };
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

    /// The disks, by what their images are called.
    pub(crate) fn disks(&self) -> Vec<(PathBuf, AttachedDisk)> {
        let disks = self.disks.iter().filter_map(|(id, disk)| {
            let name = self.names.get(id)?;
            Some((name.clone(), disk.clone()))
        });
        disks.collect()
    }

    pub(crate) fn kernel(&self) -> Result<&Kernel, Failure> {
        if let Some(kernel) = self.kernel.get() {
            return Ok(kernel);
        }
        let kernel = boot(self.options)?;
        Ok(self.kernel.get_or_init(|| kernel))
    }

    /// Unmounts everything, so that errors of writing show. All other handles
    /// must be gone.
    pub(crate) fn close(self) -> Result<(), Failure> {
        let mut failed = None;
        let disks = self.disks();
        for (key, mount) in self.mounts {
            let image = self.names.get(&key.image).map(PathBuf::as_path);
            let image = image.unwrap_or(Path::new("image")).display().to_string();
            let incomplete = || format!("{image}: the image may be incomplete");
            let unmounted = mount.umount();
            // The host's own word; what the filesystem makes of it says less.
            let refused = disks.iter().find_map(|(_, disk)| disk.write_error());
            let error = match (refused, unmounted) {
                (None, Ok(())) => continue,
                (Some(errno), _) => anyhow!("the host cannot write it: {}", Cause::Errno(errno)),
                (None, Err(error)) => error.into(),
            };
            failed = failed.or(Some(error.context(incomplete())));
        }
        // It says why what failed did.
        let harm = harm_of(&disks).map(|text| anyhow!(text));
        drop(disks);
        if let Some(error) = harm.or(failed) {
            return Err(Failure::new(ExitCode::Image, error));
        }
        drop(self.volumes);
        for disk in self.disks.into_values() {
            disk.remove()?;
        }
        match self.kernel.get() {
            Some(kernel) => Ok(kernel.halt()?),
            None => Ok(()),
        }
    }
}

/// The user's name of a partition or volume that was picked: with its number, also if
/// only the image was named.
fn name_of(volume: &Volume, partition: &Partition) -> OsString {
    let number = partition.number().map(|number| number.to_string());
    let part = volume.part.clone().or(number);
    let image = volume.image.clone();
    let options = volume.options.clone();
    Volume {
        image,
        part,
        options,
    }
    .name()
}
