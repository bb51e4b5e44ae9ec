//! [`Partition`]: a part of a disk that can hold a filesystem.

use std::io::{self, Read, Seek};
use std::sync::Arc;

use drupe_ondisk::probe::{self, Probe};
use drupe_ondisk::table::{self, PartitionInfo};

use crate::disk::DiskInner;
use crate::error::{Cause, Error, Result};
use crate::kernel::{KernelInner, Pseudo};
use crate::mount::{self, Mount, MountOptions};
use crate::sys;
use crate::volume::{self, Mapped};
use crate::window::Window;
use crate::{CutShort, cut_short};

/// A block device of a kernel: a partition of a disk, the whole of it, or a
/// volume made of such. Keeps its disk, or what the volume is made of.
#[derive(Clone)]
pub struct Partition {
    device: Device,
    /// `None`: the whole disk.
    number: Option<u32>,
    /// "vda1" for the first of the first disk.
    name: String,
    /// Bytes from the start of the disk.
    start: u64,
    /// Bytes.
    size: u64,
}

/// What a partition is a part of.
#[derive(Clone)]
enum Device {
    Disk(Arc<DiskInner>),
    Volume(Arc<Mapped>),
}

impl Partition {
    pub(crate) fn whole(disk: &Arc<DiskInner>) -> Partition {
        Partition {
            device: Device::Disk(Arc::clone(disk)),
            number: None,
            name: disk.name.clone(),
            start: 0,
            size: disk.backend.geometry().size,
        }
    }

    pub(crate) fn of_volume(volume: Mapped) -> Partition {
        Partition {
            number: None,
            name: volume.name.clone(),
            start: 0,
            size: volume.size,
            device: Device::Volume(Arc::new(volume)),
        }
    }

    pub(crate) fn kernel(&self) -> &Arc<KernelInner> {
        match &self.device {
            Device::Disk(disk) => &disk.kernel,
            Device::Volume(volume) => &volume.kernel,
        }
    }

    /// Its number, counted from 1; `None` for the whole disk, and for a volume.
    pub fn number(&self) -> Option<u32> {
        self.number
    }

    /// The name of its device: "vda1" for the first one of the first disk.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Nothing can be written to it.
    pub fn is_read_only(&self) -> bool {
        match &self.device {
            Device::Disk(disk) => disk.backend.geometry().read_only,
            Device::Volume(volume) => volume.read_only,
        }
    }

    /// Bytes from the start of the disk or volume.
    pub fn start(&self) -> u64 {
        self.start
    }

    /// Size in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// What the partition table says of it. `None` for the whole disk, for
    /// volumes, and for tables other than GPT and MBR.
    pub fn info(&self) -> Result<Option<PartitionInfo>> {
        let (Some(number), Device::Disk(disk)) = (self.number, &self.device) else {
            return Ok(None);
        };
        let block_size = disk.backend.geometry().block_size;
        table::find(&mut window(disk, 0, u64::MAX), block_size.into(), number)
            .map_err(|e| Error::at("read partition table", &self.name, e))
    }

    /// What is on it: a filesystem, or something else that has a signature.
    pub fn probe(&self) -> Result<Option<Probe>> {
        let failed = |e: Cause| Error::at("probe", &self.name, e);
        let mut reader = self.reader().map_err(|e| failed(e.into()))?;
        probe::probe(&mut reader).map_err(|e| failed(e.into()))
    }

    /// Its content, from its own start on.
    pub(crate) fn reader(&self) -> sys::Result<Box<dyn ReadSeek + '_>> {
        Ok(match &self.device {
            Device::Disk(disk) => Box::new(window(disk, self.start, self.size)),
            Device::Volume(volume) => Box::new(volume.reader(&self.name, self.size)?),
        })
    }

    /// The partitions that the kernel has found on it: on an array, or the whole
    /// of a disk.
    pub(crate) fn partitions(&self) -> Result<Vec<Partition>> {
        scan(self).map_err(|e| Error::at("list partitions", &self.name, e))
    }

    /// What of it is not on the disk, or not in the partition.
    pub(crate) fn cut_short(&self) -> Result<Option<CutShort>> {
        let find = || -> io::Result<Option<CutShort>> {
            let (Some(number), Device::Disk(disk)) = (self.number, &self.device) else {
                return Ok(None);
            };
            let geometry = disk.backend.geometry();
            let mut all = window(disk, 0, u64::MAX);
            let table = table::extents(&mut all, geometry.block_size.into())?;
            let own = table.iter().find(|extent| extent.number == number);
            let cut = own.filter(|own| own.end > geometry.size);
            Ok(cut.map(|own| cut_short::of_partition(*own, geometry.size)))
        };
        if let Some(cut) = find().map_err(|e| Error::at("probe", &self.name, e))? {
            return Ok(Some(cut));
        }
        let found = self.probe()?.filter(|found| found.driver.is_some());
        Ok(found
            .and_then(|found| cut_short::filesystem(&found, self.size, self.number, self.start)))
    }

    /// Mounts the filesystem on it.
    pub fn mount(&self, options: MountOptions) -> Result<Mount> {
        mount::mount_partition(self, &options)
    }
}

/// What reads a partition.
pub(crate) trait ReadSeek: Read + Seek {}
impl<T: Read + Seek> ReadSeek for T {}

fn window(disk: &DiskInner, start: u64, size: u64) -> Window<'_> {
    Window::new(&*disk.backend, start, size)
}

/// Asks the kernel for the partitions it has found on a device.
fn scan(whole: &Partition) -> sys::Result<Vec<Partition>> {
    let kernel = whole.kernel();
    kernel.need(Pseudo::Sys)?;
    let base = format!("/sys/block/{}", whole.name);
    let mut partitions = Vec::new();
    for name in crate::fs::names(&kernel.sys, &base)? {
        if !name.starts_with(&whole.name) {
            continue;
        }
        // Sectors of 512 bytes, whatever the disk's own are.
        let value = |file: &str| volume::number(kernel, &format!("{base}/{name}/{file}"));
        partitions.push(Partition {
            device: whole.device.clone(),
            number: Some(value("partition")? as u32),
            start: value("start")? * 512,
            size: value("size")? * 512,
            name,
        });
    }
    partitions.sort_by_key(|partition| partition.number);
    Ok(partitions)
}
