//! [`Options`]: how an image is opened, whatever its format.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use drupe_host::disk::{ImageFile, lock_holder};

use crate::{Error, Format, Result};

/// How to open an image.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Nothing will be written; the file is opened so too.
    pub read_only: bool,
    /// What it is, instead of detection by its first bytes. A format that is only
    /// detected refers to no other file, not even one beside it: what the first bytes
    /// of a raw disk are, its guest decides.
    pub format: Option<Format>,
    /// Open other files that the image names: backing files, external data
    /// files, extents in other directories. Whoever made the image can so make
    /// the program read any file it may read.
    pub backing: bool,
    /// When this becomes true, a server that is silent for half a second is given up:
    /// all requests are I/O errors from then on. Without it, for two minutes.
    pub given_up: Option<Arc<AtomicBool>>,
}

/// More bytes than a file offset (`loff_t`) can count are none of the kernel's.
pub(crate) const MAX_SIZE: u64 = i64::MAX as u64 & !0xfff;

/// Opens a file with `open`, and says who has locked it if somebody has.
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
