//! [`Volumes`]: finds all partitions, encrypted volumes, logical volumes and arrays on
//! some disks.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use drupe_abi::Errno;
use drupe_ondisk::Error as VolumeError;
use drupe_ondisk::luks::Luks;
use drupe_ondisk::lvm::PhysicalVolume;
use drupe_ondisk::md::Member;
use drupe_ondisk::probe::Probe;
use zeroize::Zeroizing;

use super::{lvm, md};
use crate::disk::AttachedDisk;
use crate::error::{Cause, Error, Result};
use crate::kernel::{Kernel, KernelInner};
use crate::partition::Partition;

/// The deepest stack of volumes. It ends a loop.
const MAX_DEPTH: usize = 16;

/// A callback that returns passphrases of LUKS volumes. Called with the volume and the
/// number of wrong passphrases so far; `None` gives up.
pub type Passphrases<'a> = dyn FnMut(&Volume, usize) -> Option<Zeroizing<Vec<u8>>> + 'a;

/// The disks and all partitions and volumes on them. The disks come first; each volume
/// comes after the devices that it is made of. From [`Kernel::volumes`].
#[derive(Debug)]
pub struct Volumes(Vec<Volume>);

/// A disk, a partition or a volume of [`Volumes`].
pub struct Volume {
    id: String,
    kind: VolumeKind,
    partition: Partition,
    found: Option<Probe>,
    parents: Vec<usize>,
    disk: usize,
    depth: usize,
    trouble: Option<Error>,
}

impl fmt::Debug for Volume {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Volume")
            .field("id", &self.id)
            .field("kind", &self.kind)
            .field("trouble", &self.trouble)
            .finish_non_exhaustive()
    }
}

/// The kind of a [`Volume`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum VolumeKind {
    /// A whole disk.
    Disk,
    /// A partition of a disk, or of an array.
    Partition,
    /// The decrypted content of a LUKS volume.
    Luks,
    /// A logical volume of LVM.
    Logical,
    /// An md array.
    Array,
}

impl Volumes {
    /// All volumes, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Volume> {
        self.0.iter()
    }

    /// The volume at an index, such as those of [`Volume::parents`].
    pub fn get(&self, index: usize) -> Option<&Volume> {
        self.0.get(index)
    }

    /// The index of a volume by its name. `disk` is the index of a disk. Names: "0" for
    /// the whole disk, "2" for a partition, "VG/LV", "md/NAME", each also followed by
    /// "/luks" for its decrypted content. Logical volumes and arrays are found on any
    /// disk.
    pub fn find(&self, disk: usize, id: &str) -> Option<usize> {
        let here = |volume: &Volume| volume.disk == disk && volume.id == id;
        let shared = |volume: &Volume| {
            matches!(volume.kind, VolumeKind::Logical | VolumeKind::Array) && volume.id == id
        };
        let position = self.0.iter().position(here);
        position.or_else(|| self.0.iter().position(shared))
    }

    /// The volume at an index, and all volumes on top of it.
    pub fn within(&self, index: usize) -> Vec<&Volume> {
        let mut inside = vec![false; self.0.len()];
        for (n, volume) in self.0.iter().enumerate() {
            inside[n] = n == index || volume.parents.iter().any(|&parent| inside[parent]);
        }
        let pairs = self.0.iter().zip(&inside);
        pairs
            .filter(|(_, inside)| **inside)
            .map(|(volume, _)| volume)
            .collect()
    }
}

impl Volume {
    /// Its name; see [`Volumes::find`].
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its kind.
    pub fn kind(&self) -> VolumeKind {
        self.kind
    }

    /// The block device, to be mounted.
    pub fn partition(&self) -> &Partition {
        &self.partition
    }

    /// Its content: a filesystem, a LUKS header and so on. `None`: unknown.
    pub fn found(&self) -> Option<&Probe> {
        self.found.as_ref()
    }

    /// The devices that it is made of, as indices into the [`Volumes`].
    pub fn parents(&self) -> &[usize] {
        &self.parents
    }

    /// The index of its disk; of the first one if it is on several.
    pub fn disk(&self) -> usize {
        self.disk
    }

    /// Why the volume on it could not be used: it is locked, a disk is missing, a header
    /// is damaged. `None`: no error.
    pub fn trouble(&self) -> Option<&Error> {
        self.trouble.as_ref()
    }
}

impl Kernel {
    /// Finds all volumes on `disks`: unlocks LUKS volumes, assembles arrays, activates
    /// logical volumes. Each is removed with the last handle to it.
    ///
    /// `passphrase` is called for each LUKS volume, and again after a wrong passphrase,
    /// until it returns `None`.
    ///
    /// # Errors
    ///
    /// Those of reading partition tables and signatures, and EINVAL for a disk of another
    /// kernel. Errors of a single volume are in its [`Volume::trouble`].
    pub fn volumes(
        &self,
        disks: &[AttachedDisk],
        passphrase: &mut Passphrases<'_>,
    ) -> Result<Volumes> {
        self.scan(disks, None, passphrase)
    }

    /// [`Kernel::volumes`] that ends soon after `given_up` is set, also while it derives
    /// the key of a LUKS volume. That goes on in a thread of its own, with its memory.
    ///
    /// # Errors
    ///
    /// Those of [`Kernel::volumes`]; [`VolumeError::GivenUp`](drupe_ondisk::Error::GivenUp).
    pub fn volumes_until(
        &self,
        disks: &[AttachedDisk],
        given_up: &AtomicBool,
        passphrase: &mut Passphrases<'_>,
    ) -> Result<Volumes> {
        self.scan(disks, Some(given_up), passphrase)
    }

    fn scan(
        &self,
        disks: &[AttachedDisk],
        given_up: Option<&AtomicBool>,
        passphrase: &mut Passphrases<'_>,
    ) -> Result<Volumes> {
        let mut scan = Scan {
            kernel: &self.inner,
            given_up,
            passphrase,
            volumes: Vec::new(),
            members: Vec::new(),
            physical: Vec::new(),
        };
        for (disk, attached) in disks.iter().enumerate() {
            if !attached.is_of(self) {
                let cause = Errno::INVAL;
                return Err(Error::at("find volumes on", attached.name(), cause));
            }
            let whole = attached.whole();
            let index = scan.add("0".into(), VolumeKind::Disk, whole, Vec::new(), disk)?;
            // A member's superblock may be at its end: its partitions are the
            // array's then.
            if scan.kind_found(index) == Some("linux_raid_member") {
                continue;
            }
            for partition in attached.partitions()? {
                let id = partition.number().unwrap_or_default().to_string();
                scan.add(id, VolumeKind::Partition, partition, vec![index], disk)?;
            }
        }
        scan.run()
    }
}

/// The state of a scan.
struct Scan<'a> {
    kernel: &'a Arc<KernelInner>,
    /// Nobody waits for the result any more.
    given_up: Option<&'a AtomicBool>,
    passphrase: &'a mut Passphrases<'a>,
    volumes: Vec<Volume>,
    /// Members of arrays that are not assembled yet, by the index of their volume.
    members: Vec<(usize, Member)>,
    /// Physical volumes of groups that are not activated yet.
    physical: Vec<(usize, PhysicalVolume)>,
}

impl Scan<'_> {
    fn add(
        &mut self,
        id: String,
        kind: VolumeKind,
        partition: Partition,
        parents: Vec<usize>,
        disk: usize,
    ) -> Result<usize> {
        let depth = parents.iter().map(|&parent| self.volumes[parent].depth + 1);
        let (found, trouble) = match partition.probe() {
            Ok(found) => (found, None),
            // A snapshot whose store is full, for example: the others can be used.
            Err(error) if !parents.is_empty() => (None, Some(error)),
            Err(error) => return Err(error),
        };
        self.volumes.push(Volume {
            id,
            kind,
            found,
            partition,
            depth: depth.max().unwrap_or(0),
            parents,
            disk,
            trouble,
        });
        Ok(self.volumes.len() - 1)
    }

    /// Adds a volume that was made of others.
    fn add_made(
        &mut self,
        id: String,
        kind: VolumeKind,
        partition: Partition,
        parents: Vec<usize>,
    ) -> Result<usize> {
        let disks = parents.iter().map(|&parent| self.volumes[parent].disk);
        let disk = disks.min().unwrap_or(0);
        self.add(id, kind, partition, parents, disk)
    }

    fn kind_found(&self, index: usize) -> Option<&'static str> {
        self.volumes[index].found.as_ref().map(|found| found.kind)
    }

    fn trouble(&mut self, index: usize, cause: impl Into<Cause>) {
        let volume = &mut self.volumes[index];
        let error = Error::at("open", volume.partition.name(), cause);
        volume.trouble = Some(error);
    }

    /// Scans until no new volumes are found.
    fn run(mut self) -> Result<Volumes> {
        let mut looked_at = 0;
        loop {
            while looked_at < self.volumes.len() {
                self.look_at(looked_at)?;
                looked_at += 1;
            }
            // Arrays first: there may be physical volumes on them.
            self.assemble()?;
            if looked_at == self.volumes.len() {
                self.activate()?;
            }
            if looked_at == self.volumes.len() {
                return Ok(Volumes(self.volumes));
            }
        }
    }

    fn look_at(&mut self, index: usize) -> Result<()> {
        if self.volumes[index].depth > MAX_DEPTH {
            let what = "so many volumes on top of each other".to_owned();
            self.trouble(index, VolumeError::Unsupported(what));
            return Ok(());
        }
        let kind = self.kind_found(index);
        let partition = self.volumes[index].partition.clone();
        let reader = || partition.0.reader().map_err(Cause::from);
        match kind {
            Some("crypto_LUKS") => return self.unlock(index, &partition),
            Some("linux_raid_member") => {
                match reader().and_then(|mut reader| Ok(Member::read(&mut reader)?)) {
                    Ok(member) => self.members.push((index, member)),
                    Err(cause) => self.trouble(index, cause),
                }
            }
            Some("LVM2_member") => {
                match reader().and_then(|mut reader| Ok(PhysicalVolume::read(&mut reader)?)) {
                    Ok(physical) => self.physical.push((index, physical)),
                    Err(cause) => self.trouble(index, cause),
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn unlock(&mut self, index: usize, partition: &Partition) -> Result<()> {
        // No passphrase opens a damaged one.
        let reader = partition.0.reader().map_err(Cause::from);
        if let Err(cause) = reader.and_then(|mut reader| Ok(Luks::read(&mut reader)?)) {
            self.trouble(index, cause);
            return Ok(());
        }
        for attempt in 0.. {
            let Some(passphrase) = (self.passphrase)(&self.volumes[index], attempt) else {
                let cause = match attempt {
                    0 => Cause::Locked,
                    _ => VolumeError::WrongPassphrase.into(),
                };
                self.trouble(index, cause);
                break;
            };
            match partition.unlock_until(&passphrase, self.given_up) {
                Ok(unlocked) => {
                    let id = format!("{}/luks", self.volumes[index].id);
                    self.add_made(id, VolumeKind::Luks, unlocked, vec![index])?;
                    break;
                }
                Err(error) => match error.cause() {
                    Cause::Volume(VolumeError::WrongPassphrase) => {}
                    Cause::Volume(VolumeError::GivenUp) => return Err(error),
                    _ => {
                        self.volumes[index].trouble = Some(error);
                        break;
                    }
                },
            }
        }
        Ok(())
    }

    /// Assembles arrays.
    fn assemble(&mut self) -> Result<()> {
        let mut waiting = std::mem::take(&mut self.members);
        while let Some((_, first)) = waiting.first() {
            let array = first.array;
            let mut members;
            (members, waiting) = waiting
                .into_iter()
                .partition(|(_, member)| member.array == array);
            // The kernel takes the first one's word; the newest knows best.
            members.sort_by_key(|(_, member)| std::cmp::Reverse(member.events));
            let (newest, indices) = match &members[..] {
                [(_, newest), ..] => (newest.clone(), members.iter().map(|&(index, _)| index)),
                [] => continue,
            };
            let indices: Vec<usize> = indices.collect();
            let parts = indices
                .iter()
                .map(|&index| self.volumes[index].partition.clone());
            match md::assemble(self.kernel, newest.version, parts.collect()) {
                Ok(mapped) => {
                    let name = match newest.name() {
                        "" => format!("md/{}", uuid::Uuid::from_bytes(array)),
                        name => format!("md/{name}"),
                    };
                    let array = mapped.into_partition();
                    let parts = array.partitions()?;
                    let index = self.add_made(name.clone(), VolumeKind::Array, array, indices)?;
                    for part in parts {
                        let id = format!("{name}p{}", part.number().unwrap_or_default());
                        self.add_made(id, VolumeKind::Partition, part, vec![index])?;
                    }
                }
                Err(error) => {
                    let here = indices.len();
                    let cause = match (&error, (here as u32) < newest.disks) {
                        (drupe_machine::Error::Errno(_), true) => {
                            let all = newest.disks;
                            let what = format!(
                                "part of the array: {here} of {all} members are here, the rest"
                            );
                            VolumeError::Missing(what).into()
                        }
                        _ => Cause::from(error),
                    };
                    self.trouble(indices[0], cause);
                }
            }
        }
        Ok(())
    }

    /// Activates the logical volumes of all groups.
    fn activate(&mut self) -> Result<()> {
        let mut waiting = std::mem::take(&mut self.physical);
        // The newest description of each group, wherever it was.
        let mut groups: Vec<_> = waiting
            .iter_mut()
            .filter_map(|(_, physical)| physical.group.take())
            .collect();
        groups.sort_by_key(|group| std::cmp::Reverse(group.seqno));
        let mut done: Vec<String> = Vec::new();
        for group in groups {
            if done.contains(&group.id) {
                continue;
            }
            done.push(group.id.clone());
            let mine = |id: &str| waiting.iter().find(|(_, physical)| physical.id == id);
            let indices: Vec<usize> = group
                .physical_volumes()
                .filter_map(|id| mine(id).map(|&(index, _)| index))
                .collect();
            let physical = |id: &str| {
                let (index, _) = mine(id)?;
                Some(self.volumes[*index].partition.clone())
            };
            let (volumes, trouble) = lvm::activate(self.kernel, &group, &physical);
            for (name, partition) in volumes {
                let id = format!("{}/{name}", group.name);
                self.add_made(id, VolumeKind::Logical, partition, indices.clone())?;
            }
            if let (Some(cause), Some(&first)) = (trouble, indices.first()) {
                self.trouble(first, cause);
            }
        }
        Ok(())
    }
}
