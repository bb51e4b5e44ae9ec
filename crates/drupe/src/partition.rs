//! [`Partition`]: a partition, a whole disk or a volume, which can be mounted; its entry
//! in the partition table.

use std::fmt;
use std::sync::{Arc, PoisonError};

use drupe_ondisk::SECTOR;
use drupe_ondisk::probe::Probe;
use drupe_ondisk::table::{Damage, Entry, PartitionInfo, Table};

use crate::CutShort;
use crate::device::{Backing, Device};
use crate::disk::AttachedDisk;
use crate::error::{Cause, Error, Result};
use crate::kernel::KernelInner;
use crate::mount::{self, Mount, MountOptions};
use crate::sys::{self, AT_FDCWD};
use crate::sysfs;
use crate::window::Window;

/// A block device of a kernel: a partition, a whole disk, or a volume made of these.
/// Keeps its disk, or the devices of the volume.
#[derive(Clone)]
pub struct Partition(pub(crate) Device);

impl fmt::Debug for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Partition")
            .field("name", &self.0.name)
            .field("start", &self.0.start)
            .field("size", &self.0.size)
            .finish_non_exhaustive()
    }
}

impl AttachedDisk {
    /// The whole disk, for a filesystem without a partition table.
    pub fn whole(&self) -> Partition {
        Partition(Device::whole(
            Arc::clone(&self.inner) as _,
            self.name(),
            self.size(),
        ))
    }

    /// The partitions of the disk, sorted by number. If the first copy of a GPT or its
    /// protective MBR is damaged, the kernel does not read it, and the partitions of the
    /// backup are used ([`AttachedDisk::table_damage`]).
    ///
    /// # Errors
    ///
    /// [`Cause::Volume`]: both copies of a GPT are damaged.
    pub fn partitions(&self) -> Result<Vec<Partition>> {
        self.table_damage()?;
        self.whole().partitions()
    }

    /// The partition of this number, counted from 1 as in `/dev/vda1`.
    pub fn partition(&self, number: u32) -> Result<Partition> {
        let mut partitions = self.partitions()?;
        match partitions
            .iter()
            .position(|partition| partition.number() == Some(number))
        {
            Some(index) => Ok(partitions.swap_remove(index)),
            None => {
                let present = partitions.iter().filter_map(Partition::number).collect();
                let cause = Cause::NoPartition { number, present };
                Err(Error::new("partition", cause))
            }
        }
    }

    /// The damage of its partition table, if its partitions were read from the backup.
    ///
    /// # Errors
    ///
    /// As for [`AttachedDisk::partitions`].
    pub fn table_damage(&self) -> Result<Option<Damage>> {
        let known = &self.inner.damage;
        let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = &*known {
            return Ok(known.clone());
        }
        let failed = |cause: Cause| Error::at("read partition table", self.name(), cause);
        let damage = match self.missing_partitions().map_err(failed)? {
            Some((entries, damage)) => {
                self.add_partitions(&entries)?;
                Some(damage)
            }
            None => None,
        };
        Ok(known.insert(damage).clone())
    }

    /// The partitions of a damaged table, if the kernel has found none.
    fn missing_partitions(&self) -> Result<Option<(Vec<Entry>, Damage)>, Cause> {
        let whole = self.whole();
        if !scan(&whole.0)?.is_empty() {
            return Ok(None);
        }
        let mut reader = whole.0.reader()?;
        // A filesystem goes before a table that it may carry, or that is older.
        if drupe_ondisk::probe::probe(&mut reader)?.is_some() {
            return Ok(None);
        }
        let table = Table::read(&mut reader, self.block_size().into())?;
        Ok(table.and_then(|table| Some((table.entries, table.damage?))))
    }

    /// Makes devices of partitions, as partx(8) does.
    fn add_partitions(&self, entries: &[Entry]) -> Result<()> {
        let size = self.size();
        for entry in entries.iter().filter(|entry| entry.end <= size) {
            let add = || -> sys::Result<()> {
                let kernel = self.inner.kernel();
                let node = kernel.device(self.name())?;
                let disk = kernel.sys.openat(AT_FDCWD, &node, libc::O_RDONLY, 0)?;
                let len = entry.end - entry.start;
                kernel
                    .sys
                    .add_partition(disk.raw(), entry.number, entry.start, len)
            };
            let name = format!("{}{}", self.name(), entry.number);
            add().map_err(|e| Error::at("add partition", name, e))?;
        }
        Ok(())
    }
}

impl Mount {
    /// The partition it was mounted from, if it has one.
    pub fn partition(&self) -> Option<Partition> {
        self.inner.device.clone().map(Partition)
    }
}

impl Partition {
    pub(crate) fn kernel(&self) -> &Arc<KernelInner> {
        self.0.kernel()
    }

    /// Its number, counted from 1. `None`: a whole disk or a volume.
    pub fn number(&self) -> Option<u32> {
        self.0.number
    }

    /// The name of its device: "vda1" for the first partition of the first disk.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Whether it is read-only.
    pub fn is_read_only(&self) -> bool {
        self.0.is_read_only()
    }

    /// Its offset in the disk or volume, in bytes.
    pub fn start(&self) -> u64 {
        self.0.start
    }

    /// Size in bytes.
    pub fn size(&self) -> u64 {
        self.0.size
    }

    /// Its entry in the partition table. `None` for whole disks, volumes, and tables
    /// other than GPT and MBR.
    pub fn info(&self) -> Result<Option<PartitionInfo>> {
        let entry = self.entry().map_err(|e| self.failed(e))?;
        Ok(entry.map(|entry| entry.info))
    }

    /// Its entry in the table.
    fn entry(&self) -> Result<Option<Entry>, Cause> {
        let (Some(number), Some(disk)) = (self.0.number, self.0.backing.disk()) else {
            return Ok(None);
        };
        let block_size = disk.geometry().block_size;
        let table = Table::read(&mut Window::whole(disk), block_size.into())?;
        Ok(table.and_then(|table| table.find(number).cloned()))
    }

    fn failed(&self, cause: Cause) -> Error {
        Error::at("read partition table", self.name(), cause)
    }

    /// Identifies its content by its signature: a filesystem, a volume and so on. `None`:
    /// unknown.
    pub fn probe(&self) -> Result<Option<Probe>> {
        self.0.probe()
    }

    /// The partitions that the kernel has found on it, which is an array or a whole disk.
    pub(crate) fn partitions(&self) -> Result<Vec<Partition>> {
        let found = scan(&self.0).map_err(|e| Error::at("list partitions", self.name(), e))?;
        Ok(found.into_iter().map(Partition).collect())
    }

    /// The partition or filesystem that ends behind the end of the disk or partition.
    fn cut_short(&self) -> Result<Option<CutShort>> {
        if let Some(disk) = self.0.backing.disk() {
            let entry = self.entry().map_err(|e| self.failed(e))?;
            let size = disk.geometry().size;
            if let Some(entry) = entry.filter(|entry| entry.end > size) {
                return Ok(Some(CutShort::of_partition(&entry, size)));
            }
        }
        let found = self.probe()?.filter(|found| found.driver.is_some());
        let Device {
            number,
            start,
            size,
            ..
        } = self.0;
        Ok(found.and_then(|found| CutShort::of_filesystem(&found, size, number, start)))
    }

    /// Mounts the filesystem on it.
    pub fn mount(&self, options: MountOptions) -> Result<Mount> {
        match self.cut_short()? {
            Some(cut) => Err(Error::at("mount", self.name(), Cause::CutShort(cut))),
            None => mount::mount_device(&self.0, &options),
        }
    }
}

/// Asks the kernel for the partitions it has found on a device.
fn scan(whole: &Device) -> sys::Result<Vec<Device>> {
    let kernel = whole.kernel();
    let base = format!("/sys/block/{}", whole.name);
    let mut parts = Vec::new();
    for name in sysfs::names(kernel, &base)? {
        if !name.starts_with(&whole.name) {
            continue;
        }
        // Sectors of 512 bytes, whatever the disk's own are.
        let value = |file: &str| sysfs::number(kernel, &format!("{base}/{name}/{file}"));
        parts.push(Device {
            backing: Arc::clone(&whole.backing),
            number: Some(value("partition")? as u32),
            start: value("start")? * SECTOR,
            size: value("size")? * SECTOR,
            name,
        });
    }
    parts.sort_by_key(|part| part.number);
    Ok(parts)
}
