//! [`Disk`]: a disk to be plugged into a kernel; [`AttachedDisk`]: one that is.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use drupe_host::disk::FileDisk;
use drupe_machine::{DiskId, without_deadline};

use crate::BlockDevice;
use crate::cow::CopyOnWrite;
use crate::error::{Cause, Error, Result};
use crate::kernel::KernelInner;
use crate::partition::Partition;

/// A disk that can be added to a kernel: an image file, a block device of the
/// host, or any [`BlockDevice`].
pub struct Disk {
    backend: Arc<dyn BlockDevice>,
}

/// How to open a disk. From [`Disk::options`].
#[derive(Debug, Clone, Default)]
pub struct DiskOptions {
    read_only: bool,
    copy_on_write: bool,
}

impl DiskOptions {
    /// Never write to the file, and open it read-only. Several may have it open
    /// so at the same time.
    pub fn read_only(&mut self, yes: bool) -> &mut DiskOptions {
        self.read_only = yes;
        self
    }

    /// Keep what the kernel writes in the program's memory: the file is opened
    /// read-only and not changed, but a journal can be replayed, and what was
    /// written is there until the disk goes.
    pub fn copy_on_write(&mut self, yes: bool) -> &mut DiskOptions {
        self.copy_on_write = yes;
        self
    }

    /// Opens an image file or a block device of the host, whose size must be a
    /// multiple of 512 bytes. It is locked against other users (flock(2)).
    pub fn open(&self, path: impl AsRef<Path>) -> Result<Disk> {
        let path = path.as_ref();
        let read_only = self.read_only || self.copy_on_write;
        let file = FileDisk::open(path, read_only).map_err(|e| Error::at("open disk", path, e))?;
        Ok(match self.copy_on_write {
            true => Disk::new(CopyOnWrite::new(file)),
            false => Disk::new(file),
        })
    }
}

impl Disk {
    /// Opens an image file or a block device of the host for reading and writing.
    pub fn open(path: impl AsRef<Path>) -> Result<Disk> {
        Disk::options().open(path)
    }

    /// Options to change before opening.
    pub fn options() -> DiskOptions {
        DiskOptions::default()
    }

    /// A disk of the program's own.
    pub fn new(backend: impl BlockDevice + 'static) -> Disk {
        Disk {
            backend: Arc::new(backend),
        }
    }
}

/// A disk of a kernel.
///
/// Clones are handles to the same disk. It is removed with the last handle to
/// it; partitions, mounts and files count as handles.
#[derive(Clone)]
pub struct AttachedDisk {
    pub(crate) inner: Arc<DiskInner>,
}

pub(crate) struct DiskInner {
    pub(crate) kernel: Arc<KernelInner>,
    pub(crate) backend: Arc<dyn BlockDevice>,
    id: DiskId,
    /// "vda" for the first.
    pub(crate) name: String,
    removed: AtomicBool,
}

impl AttachedDisk {
    pub(crate) fn add(kernel: &Arc<KernelInner>, disk: Disk) -> Result<AttachedDisk> {
        let id = kernel.sys.machine().add_disk(Arc::clone(&disk.backend));
        let id = id.map_err(|e| Error::new("add disk", e))?;
        Ok(AttachedDisk {
            inner: Arc::new(DiskInner {
                kernel: Arc::clone(kernel),
                backend: disk.backend,
                id,
                name: id.name(),
                removed: AtomicBool::new(false),
            }),
        })
    }

    /// The name of its device: "vda" for the kernel's first disk.
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// Size in bytes.
    pub fn size(&self) -> u64 {
        self.inner.backend.geometry().size
    }

    /// Nothing can be written to it.
    pub fn is_read_only(&self) -> bool {
        self.inner.backend.geometry().read_only
    }

    /// All of it, for a filesystem without a partition table.
    pub fn whole(&self) -> Partition {
        Partition::whole(&self.inner)
    }

    /// The partitions that the kernel has found, by number.
    pub fn partitions(&self) -> Result<Vec<Partition>> {
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

    /// Removes it from the kernel, whoever else has a handle; they get errors
    /// from then on. EBUSY while it is mounted.
    pub fn remove(self) -> Result<()> {
        self.inner
            .remove()
            .map_err(|e| Error::new("remove disk", e))
    }
}

impl DiskInner {
    fn remove(&self) -> crate::sys::Result<()> {
        self.kernel.sys.machine().remove_disk(self.id)?;
        self.removed.store(true, Ordering::Relaxed);
        Ok(())
    }
}

impl Drop for DiskInner {
    fn drop(&mut self) {
        if !*self.removed.get_mut() {
            // Not mounted any more: a mount is a handle. A kernel that has
            // halted or died has let go of it already.
            let _ = without_deadline(|| self.remove());
        }
    }
}
