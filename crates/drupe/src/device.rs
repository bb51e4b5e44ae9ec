//! [`Device`]: a block device of a kernel, which can be read and mounted. Its [`Backing`]
//! is a disk, or a volume of the device mapper or md.

use std::io::{Read, Seek};
use std::sync::Arc;

use drupe_ondisk::probe::{self, Probe};

use crate::BlockDevice;
use crate::error::{Cause, Error, Result};
use crate::kernel::KernelInner;
use crate::sys;

/// The disk or volume that has devices. It stays as long as one of its devices.
pub(crate) trait Backing: Send + Sync {
    /// The kernel that has the devices.
    fn kernel(&self) -> &Arc<KernelInner>;

    /// Whether the devices are read-only.
    fn is_read_only(&self) -> bool;

    /// A reader of one device, which starts at position 0.
    fn reader<'a>(&'a self, device: &Device) -> sys::Result<Box<dyn ReadSeek + 'a>>;

    /// The disk, if it is one that was plugged in.
    fn disk(&self) -> Option<&dyn BlockDevice> {
        None
    }
}

/// A reader of a device.
pub(crate) trait ReadSeek: Read + Seek {}
impl<T: Read + Seek> ReadSeek for T {}

/// A block device of a kernel: its whole backing, or a numbered partition of it.
#[derive(Clone)]
pub(crate) struct Device {
    pub(crate) backing: Arc<dyn Backing>,
    /// `None`: all of it.
    pub(crate) number: Option<u32>,
    /// "vda1" for the first part of the first disk.
    pub(crate) name: String,
    /// Bytes from the start of the backing.
    pub(crate) start: u64,
    /// Bytes.
    pub(crate) size: u64,
}

impl Device {
    /// All of a backing.
    pub(crate) fn whole(backing: Arc<dyn Backing>, name: &str, size: u64) -> Device {
        Device {
            backing,
            number: None,
            name: name.to_owned(),
            start: 0,
            size,
        }
    }

    pub(crate) fn kernel(&self) -> &Arc<KernelInner> {
        self.backing.kernel()
    }

    pub(crate) fn is_read_only(&self) -> bool {
        self.backing.is_read_only()
    }

    /// A reader of its content, which starts at position 0.
    pub(crate) fn reader(&self) -> sys::Result<Box<dyn ReadSeek + '_>> {
        self.backing.reader(self)
    }

    /// Identifies its content by its signature: a filesystem, a volume and so on. `None`:
    /// unknown.
    pub(crate) fn probe(&self) -> Result<Option<Probe>> {
        let failed = |e: Cause| Error::at("probe", &self.name, e);
        let mut reader = self.reader().map_err(|e| failed(e.into()))?;
        probe::probe(&mut reader).map_err(|e| failed(e.into()))
    }
}
