//! The arguments of `drupe create`, `mkfs` and `part`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args as ClapArgs, ValueEnum};
use uuid::Uuid;

pub(crate) const CREATE: &str = "\
Make an empty disk image

All of it reads as zeroes, and takes no room on the host. The file must not exist. \
`drupe mkfs` makes a filesystem on it, `drupe part` and `drupe repart` partitions.";

pub(crate) const MKFS: &str = "\
Make an empty filesystem on a raw image or on a partition of one

The filesystem's own tool makes it, such as mke2fs, in a file of its own first. Types: \
ext2, ext3, ext4, vfat, xfs, btrfs, f2fs, exfat and swap.";

pub(crate) const PART: &str = "\
List, add or delete the partitions of a raw image

The table is a GUID partition table; `add` makes one on an image that holds nothing that \
is known. Other partitions stay where they are. `drupe repart` makes many partitions \
with their filesystems.";

/// `--format`
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ImageFormat {
    /// The bytes of the disk, as a sparse file
    Raw,
    /// QEMU's format, version 3
    Qcow2,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Create {
    /// Make an image in FORMAT
    ///
    /// Defaults to qcow2 if the name ends with `.qcow2`, otherwise to raw.
    #[arg(long, value_name = "FORMAT")]
    pub(crate) format: Option<ImageFormat>,

    /// Bytes of the disk, with K, M, G or T for multiples of 1024
    #[arg(value_name = "SIZE", value_parser = bytes)]
    pub(crate) size: u64,

    /// File to make
    #[arg(value_name = "IMAGE")]
    pub(crate) image: PathBuf,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Mkfs {
    /// Make a filesystem of this type
    #[arg(short = 't', long = "type", value_name = "TYPE")]
    pub(crate) kind: String,

    /// Give the filesystem this label
    ///
    /// It is cut to what the filesystem can store.
    #[arg(short = 'L', long, value_name = "LABEL")]
    pub(crate) label: Option<String>,

    /// Give the filesystem this UUID
    ///
    /// Defaults to a random one. vfat takes its first 32 bits; exfat takes none.
    #[arg(short = 'U', long, value_name = "UUID")]
    pub(crate) uuid: Option<Uuid>,

    /// Overwrite a filesystem or partition table
    #[arg(short, long)]
    pub(crate) force: bool,

    /// Where to make it: IMAGE[@PART]
    #[arg(value_name = "IMAGE")]
    pub(crate) image: OsString,
}

/// What `drupe part` does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PartAction {
    /// Print all partitions
    List,
    /// Make a partition in the free room
    Add,
    /// Take a partition out of the table; its bytes stay
    Delete,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Part {
    /// Add a partition of TYPE: a UUID, or an identifier of repart.d(5)
    ///
    /// Such as esp, root, home, swap and linux-generic, which is the default.
    #[arg(short = 't', long = "type", value_name = "TYPE")]
    pub(crate) kind: Option<String>,

    /// Add a partition of SIZE, with K, M, G or T for multiples of 1024
    ///
    /// Defaults to the free room.
    #[arg(short, long, value_name = "SIZE", value_parser = bytes)]
    pub(crate) size: Option<u64>,

    /// Give the new partition this label
    #[arg(short = 'L', long, value_name = "LABEL")]
    pub(crate) label: Option<String>,

    /// Give the new partition this UUID
    #[arg(short = 'U', long, value_name = "UUID")]
    pub(crate) uuid: Option<Uuid>,

    /// Raw disk image
    #[arg(value_name = "IMAGE")]
    pub(crate) image: PathBuf,

    /// What to do
    #[arg(default_value = "list")]
    pub(crate) action: PartAction,

    /// Partition to delete
    pub(crate) number: Option<u32>,
}

/// A size that a disk can have: a multiple of 512.
fn bytes(text: &str) -> Result<u64, String> {
    let bytes = drupe_repart::parse_size(text)
        .ok_or("give bytes, with a suffix K, M, G or T for multiples of 1024")?;
    match bytes {
        0 => Err("give more than 0 bytes".to_owned()),
        _ if !bytes.is_multiple_of(512) => Err("give a multiple of 512 bytes".to_owned()),
        _ if i64::try_from(bytes).is_err() => Err("no file can be that large".to_owned()),
        _ => Ok(bytes),
    }
}
