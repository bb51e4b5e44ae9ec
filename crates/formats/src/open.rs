//! [`open()`]: opens an image file of any format.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use drupe_host::disk::{Disk, FileDisk, ImageFile};

use crate::format::foreign;
use crate::options::{MAX_SIZE, Options, open_file};
use crate::{Error, Format, Result, qcow2, vdi, vhd, vhdx, vmdk};

/// An image that is open.
pub struct Opened {
    /// The disk in it.
    pub disk: Arc<dyn Disk>,
    /// Its format.
    pub format: Format,
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opened")
            .field("format", &self.format)
            .field("size", &self.disk.geometry().size)
            .finish_non_exhaustive()
    }
}

/// Opens the image file or block device at `path`, and locks it.
///
/// # Errors
///
/// Any [`Error`], also if a read-only format is to be written.
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
        Format::Vhd => Arc::new(vhd::open(file, options)?),
        Format::Vdi => Arc::new(vdi::open(file, options)?),
        Format::Nbd => return Err(Error::Address("nbd is no format of a file".into())),
    };
    if disk.geometry().size > MAX_SIZE {
        let what = "the size that it states is impossible";
        return Err(Error::damaged(format, what));
    }
    Ok(Opened { disk, format })
}
