//! [`open()`]: an image file, whatever its format.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use drupe_host::disk::{Disk, FileDisk, ImageFile, lock_holder};

use crate::format::foreign;
use crate::{Error, Format, Result, qcow2, vhdx, vmdk};

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

/// An image that is open.
pub struct Opened {
    /// The disk in it.
    pub disk: Arc<dyn Disk>,
    /// What it is.
    pub format: Format,
}

/// More bytes than a file offset (`loff_t`) can count are none of the kernel's.
pub(crate) const MAX_SIZE: u64 = i64::MAX as u64 & !0xfff;

/// Opens the image file or block device at `path`, and locks it.
///
/// # Errors
///
/// [`Error`] says which there are. A read-only format that is to be written to
/// is one of them.
pub fn open(path: &Path, options: &Options) -> Result<Opened> {
    let file = open_file(path, || ImageFile::open(path, options.read_only))?;
    let format = match options.format {
        Some(format) => format,
        None => match foreign(file.file())? {
            Some(name) => return Err(Error::Foreign(name)),
            None => Format::detect(file.file())?,
        },
    };
    let disk: Arc<dyn Disk> = match format {
        Format::Raw => Arc::new(FileDisk::new(file, options.read_only)),
        Format::Qcow2 => Arc::new(qcow2::open(path, file, options)?),
        Format::Vmdk => Arc::new(vmdk::open(path, file, options)?),
        Format::Vhdx => Arc::new(vhdx::open(file, options)?),
        Format::Nbd => return Err(Error::Address("nbd is no format of a file".into())),
    };
    if disk.geometry().size > MAX_SIZE {
        let what = "the size that it states is impossible";
        return Err(Error::damaged(format, what));
    }
    Ok(Opened { disk, format })
}

/// Opens a file with `open`, and says who has locked it if somebody has.
pub(crate) fn open_file(
    path: &Path,
    open: impl FnOnce() -> io::Result<ImageFile>,
) -> Result<ImageFile> {
    open().map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => Error::InUse(lock_holder(path)),
        _ => Error::Io(error),
    })
}
