//! [`Device`]: a block device of a kernel, which can be read and mounted. What
//! makes it, a disk or the device mapper, is behind [`Backing`].

use std::io::{Read, Seek};
use std::sync::Arc;

use drupe_ondisk::probe::{self, Probe};

use crate::BlockDevice;
use crate::error::{Cause, Error, Result};
use crate::kernel::KernelInner;
use crate::sys;

/// What devices belong to. As long as one of its devices is there, so is it.
pub(crate) trait Backing: Send + Sync {
    /// The kernel that has the devices.
    fn kernel(&self) -> &Arc<KernelInner>;

    /// Nothing can be written to them.
    fn is_read_only(&self) -> bool;

    /// Reads one of them, from its own start on.
    fn reader<'a>(&'a self, device: &Device) -> sys::Result<Box<dyn ReadSeek + 'a>>;

    /// The disk, if it is one that was plugged in.
    fn disk(&self) -> Option<&dyn BlockDevice> {
        None
    }
}

/// What reads a device.
pub(crate) trait ReadSeek: Read + Seek {}
impl<T: Read + Seek> ReadSeek for T {}

/// A block device of a kernel: all of its backing, or a numbered part of it.
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

    /// Its content, from its own start on.
    pub(crate) fn reader(&self) -> sys::Result<Box<dyn ReadSeek + '_>> {
        self.backing.reader(self)
    }

    /// What is on it: a filesystem, or something else that has a signature.
    pub(crate) fn probe(&self) -> Result<Option<Probe>> {
        let failed = |e: Cause| Error::at("probe", &self.name, e);
        let mut reader = self.reader().map_err(|e| failed(e.into()))?;
        probe::probe(&mut reader).map_err(|e| failed(e.into()))
    }
}
