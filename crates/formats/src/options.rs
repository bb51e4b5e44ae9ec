//! [`Options`]: options for opening an image or a network disk.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use drupe_host::disk::{ImageFile, lock_holder};

use crate::{Error, Format, Result};

/// Options for opening an image.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Opens the file read-only and makes the disk read-only.
    pub read_only: bool,
    /// The format. `None`: it is detected by the first bytes. An image whose format was
    /// only detected may not refer to other files, not even in its directory, since the
    /// guest of a raw disk can write those bytes.
    pub format: Option<Format>,
    /// Allows opening other files that the image names: backing files, external data
    /// files, extents in other directories. The maker of the image can then make this
    /// program read any file that it may read.
    pub backing: bool,
    /// When this becomes true, a network disk waits for its server for half a second
    /// instead of two minutes; after that all requests are I/O errors.
    pub given_up: Option<Arc<AtomicBool>>,
}

/// The largest size of a disk in bytes: the kernel's file offsets (`loff_t`) cannot count
/// more.
pub(crate) const MAX_SIZE: u64 = i64::MAX as u64 & !0xfff;

/// Opens a file with `open`. If another process has locked it, the error names that.
pub(crate) fn open_file(
    path: &Path,
    open: impl FnOnce() -> io::Result<ImageFile>,
) -> Result<ImageFile> {
    open().map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => Error::InUse(lock_holder(path)),
        // A device that the host has mounted, for example; what is no errno says more.
        io::ErrorKind::ResourceBusy if error.raw_os_error().is_some() => {
            Error::InUse(lock_holder(path))
        }
        _ => Error::Io(error),
    })
}
