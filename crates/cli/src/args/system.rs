//! Options of the commands about whole images: what system is in one, its size.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args as ClapArgs;

use super::size;

#[derive(Debug, ClapArgs)]
pub(crate) struct Inspect {
    /// List the packages that are installed
    ///
    /// Without this, text has their number. JSON has them always.
    #[arg(short, long)]
    pub(crate) packages: bool,

    /// Image or filesystem to look into: IMAGE[@PART]
    #[arg(required = true, value_name = "IMAGE")]
    pub(crate) images: Vec<OsString>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Sparsify {
    /// Raw image whose free space is to become holes
    #[arg(required = true, value_name = "IMAGE")]
    pub(crate) images: Vec<PathBuf>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Resize {
    /// Grow the image first: to SIZE, or by +SIZE
    ///
    /// In bytes, or with K, M, G or T. For raw images.
    #[arg(short, long, value_name = "[+]SIZE", value_parser = size::Resize::parse)]
    pub(crate) size: Option<size::Resize>,

    /// Filesystem that grows with its partition: IMAGE[@PART]
    #[arg(value_name = "IMAGE")]
    pub(crate) image: OsString,
}
