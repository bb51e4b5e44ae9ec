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

#[derive(Debug, ClapArgs)]
pub(crate) struct Fsck {
    /// Change nothing, which is the default
    #[arg(short, conflicts_with_all = ["repair", "yes"])]
    no_changes: bool,

    /// Repair what is safe to repair
    #[arg(short = 'p', conflicts_with = "yes")]
    pub(crate) repair: bool,

    /// Repair everything
    #[arg(short)]
    pub(crate) yes: bool,

    /// Raw image that is a filesystem, or IMAGE@PART with ext2, ext3 or ext4
    #[arg(value_name = "IMAGE")]
    pub(crate) image: OsString,
}
