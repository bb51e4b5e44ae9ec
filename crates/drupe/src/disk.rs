//! [`Disk`]: an opened disk; [`AttachedDisk`]: a disk that was added to a kernel.

use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use drupe_formats::Opened;
use drupe_host::disk::WithBlockSize;
use drupe_machine::{DiskId, without_deadline};
use drupe_ondisk::sector;
use drupe_ondisk::table::Damage;

use crate::cow::CopyOnWrite;
use crate::device::{Backing, Device, ReadSeek};
use crate::error::{Cause, Error, Result};
use crate::kernel::{Kernel, KernelInner};
use crate::sys;
use crate::watched_disk::WatchedDisk;
use crate::window::Window;
use crate::{BlockDevice, CutShort, Format, Harm};

/// A disk that can be added to a kernel: an image file of any [`Format`], a
/// block device of the host, a disk of an NBD server, or any [`BlockDevice`].
pub struct Disk {
    backend: Arc<dyn BlockDevice>,
    format: Option<Format>,
}

impl fmt::Debug for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Disk")
            .field("format", &self.format)
            .field("size", &self.backend.geometry().size)
            .finish_non_exhaustive()
    }
}

/// How to open a disk. From [`Disk::options`].
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct DiskOptions {
    read_only: bool,
    copy_on_write: bool,
    format: Option<Format>,
    backing: bool,
    block_size: Option<u32>,
    given_up: Option<Arc<AtomicBool>>,
}

impl DiskOptions {
    /// Opens the file read-only, and makes the disk read-only. Any number of programs may
    /// open a file read-only at the same time.
    pub fn read_only(mut self, yes: bool) -> DiskOptions {
        self.read_only = yes;
        self
    }

    /// Keeps all writes in the program's memory. The file is opened read-only and never
    /// changed, but a journal can be replayed. The writes are lost with the disk.
    pub fn copy_on_write(mut self, yes: bool) -> DiskOptions {
        self.copy_on_write = yes;
        self
    }

    /// Sets the format of an image file. By default its first bytes decide, so whoever
    /// has written them chooses the format.
    pub fn format(mut self, format: Format) -> DiskOptions {
        self.format = Some(format);
        self
    }

    /// Allows opening other files that an image names: backing files, external data
    /// files, extents in other directories. By default, an image that needs one is an
    /// error: its maker could make this program read any file that it may read, and write
    /// to external data files and extents.
    pub fn backing(mut self, yes: bool) -> DiskOptions {
        self.backing = yes;
        self
    }

    /// A flag that the program sets when it wants to end. Then a network disk waits for
    /// its server for half a second instead of two minutes; after that all requests are
    /// I/O errors.
    pub fn given_up(mut self, flag: Arc<AtomicBool>) -> DiskOptions {
        self.given_up = Some(flag);
        self
    }

    /// Sets the logical block size in bytes: a power of two from 512 to 4096. Default:
    /// that of the image's format; else 4096 if its partition table was made for such a
    /// disk; else 512.
    pub fn block_size(mut self, bytes: u32) -> DiskOptions {
        self.block_size = Some(bytes);
        self
    }

    /// Opens an image file or a block device of the host, and locks it (flock(2)). An
    /// incomplete block at its end is not used.
    pub fn open(&self, path: impl AsRef<Path>) -> Result<Disk> {
        let path = path.as_ref();
        self.finish(drupe_formats::open(path, &self.options()))
            .map_err(|cause| Error::at("open disk", path, cause))
    }

    /// Opens the disk that an NBD server exports: `nbd://HOST[:PORT]/EXPORT` or
    /// `nbd+unix:///EXPORT?socket=PATH`. When the connection ends, all requests are I/O
    /// errors; it is not made again.
    pub fn open_uri(&self, uri: &str) -> Result<Disk> {
        self.finish(drupe_formats::open_uri(uri, &self.options()))
            .map_err(|cause| Error::at("open disk", uri, cause))
    }

    fn options(&self) -> drupe_formats::Options {
        drupe_formats::Options {
            read_only: self.read_only || self.copy_on_write,
            format: self.format,
            backing: self.backing,
            given_up: self.given_up.clone(),
        }
    }

    fn finish(&self, opened: drupe_formats::Result<Opened>) -> Result<Disk, Cause> {
        let Opened { disk, format } = opened?;
        let backend = self.with_block_size(disk)?;
        Ok(Disk {
            backend: match self.copy_on_write {
                true => Arc::new(CopyOnWrite::new(backend)),
                false => backend,
            },
            format: Some(format),
        })
    }

    fn with_block_size(&self, disk: Arc<dyn BlockDevice>) -> Result<Arc<dyn BlockDevice>, Cause> {
        let own = disk.geometry().block_size;
        let wanted = match self.block_size {
            Some(wanted) => wanted,
            None if own == 512 => {
                let detected = sector::detect(&mut Window::whole(&*disk))?;
                detected.unwrap_or(own)
            }
            None => own,
        };
        if wanted < own || wanted > 4096 || !wanted.is_power_of_two() {
            return Err(drupe_formats::Error::BlockSize(own).into());
        }
        Ok(match wanted == own {
            true => disk,
            false => Arc::new(WithBlockSize::new(disk, wanted)),
        })
    }
}

impl Disk {
    /// Opens an image file or a block device of the host for reading and writing.
    pub fn open(path: impl AsRef<Path>) -> Result<Disk> {
        Disk::options().open(path)
    }

    /// Opens the disk that an NBD server exports; see [`DiskOptions::open_uri`].
    pub fn open_uri(uri: &str) -> Result<Disk> {
        Disk::options().open_uri(uri)
    }

    /// Options to set before opening.
    pub fn options() -> DiskOptions {
        DiskOptions::default()
    }

    /// A disk that the program implements.
    pub fn new(backend: impl BlockDevice + 'static) -> Disk {
        Disk {
            backend: Arc::new(backend),
            format: None,
        }
    }
}

/// A disk that was added to a kernel.
///
/// Clones are handles to the same disk. It is removed with the last handle to
/// it; partitions, mounts and files count as handles.
#[derive(Clone)]
pub struct AttachedDisk {
    pub(crate) inner: Arc<DiskInner>,
}

impl fmt::Debug for AttachedDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AttachedDisk")
            .field("name", &self.inner.name)
            .field("format", &self.inner.format)
            .finish_non_exhaustive()
    }
}

pub(crate) struct DiskInner {
    kernel: Arc<KernelInner>,
    backend: Arc<dyn BlockDevice>,
    format: Option<Format>,
    id: DiskId,
    /// The name of its device: "vda" for the first disk.
    name: String,
    removed: AtomicBool,
    /// The damage of its partition table; the outer `None`: not checked yet.
    pub(crate) damage: Mutex<Option<Option<Damage>>>,
}

impl Kernel {
    /// Adds a disk. On return, the kernel has read its partition table.
    pub fn add_disk(&self, disk: Disk) -> Result<AttachedDisk> {
        AttachedDisk::add(&self.inner, disk)
    }
}

impl AttachedDisk {
    fn add(kernel: &Arc<KernelInner>, disk: Disk) -> Result<AttachedDisk> {
        let watched = WatchedDisk::new(Arc::clone(&disk.backend), &kernel.write_error);
        let id = kernel.sys.machine().add_disk(Arc::new(watched));
        let id = id.map_err(|e| Error::new("add disk", e))?;
        Ok(AttachedDisk {
            inner: Arc::new(DiskInner {
                kernel: Arc::clone(kernel),
                backend: disk.backend,
                format: disk.format,
                id,
                name: id.name(),
                removed: AtomicBool::new(false),
                damage: Mutex::default(),
            }),
        })
    }

    /// Whether it is a disk of this kernel.
    pub fn is_of(&self, kernel: &Kernel) -> bool {
        Arc::ptr_eq(&self.inner.kernel, &kernel.inner)
    }

    /// The name of its device: "vda" for the kernel's first disk.
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// The image's format; `None`: a disk that the program implements.
    pub fn format(&self) -> Option<Format> {
        self.inner.format
    }

    /// Bytes of a logical block.
    pub fn block_size(&self) -> u32 {
        self.inner.backend.geometry().block_size
    }

    /// The partition or filesystem that ends behind the disk's end, if there is one. Such
    /// a disk should not be written to. `None`: the disk is complete.
    pub fn cut_short(&self) -> Result<Option<CutShort>> {
        let mut whole = Window::whole(&*self.inner.backend);
        CutShort::of_disk(&mut whole, self.block_size().into())
            .map_err(|e| Error::at("read partition table", &self.inner.name, e))
    }

    /// Size in bytes.
    pub fn size(&self) -> u64 {
        self.inner.backend.geometry().size
    }

    /// What another program did to its image file since it was opened. Locks do not
    /// prevent this, since they bind only programs that lock too.
    pub fn harm(&self) -> Option<Harm> {
        self.inner.backend.harm()
    }

    /// Why the host has refused to write to a disk of this kernel:
    /// [`Mount::write_error`](crate::Mount::write_error), for when nothing is mounted any
    /// more.
    pub fn write_error(&self) -> Option<crate::Errno> {
        self.inner.kernel.write_error.get()
    }

    /// Whether it is read-only.
    pub fn is_read_only(&self) -> bool {
        self.inner.backend.geometry().read_only
    }

    /// Removes it from the kernel, even if there are other handles, which get errors from
    /// then on. EBUSY while it is mounted.
    pub fn remove(self) -> Result<()> {
        self.inner
            .remove()
            .map_err(|e| Error::new("remove disk", e))
    }
}

impl Backing for DiskInner {
    fn kernel(&self) -> &Arc<KernelInner> {
        &self.kernel
    }

    fn is_read_only(&self) -> bool {
        self.backend.geometry().read_only
    }

    fn reader<'a>(&'a self, device: &Device) -> sys::Result<Box<dyn ReadSeek + 'a>> {
        let window = Window::new(&*self.backend, device.start, device.size);
        Ok(Box::new(window))
    }

    fn disk(&self) -> Option<&dyn BlockDevice> {
        Some(&*self.backend)
    }
}

impl DiskInner {
    fn remove(&self) -> sys::Result<()> {
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
