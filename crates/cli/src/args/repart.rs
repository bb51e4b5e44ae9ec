//! The arguments of `drupe repart`.

use std::path::PathBuf;

use clap::{ArgAction, Args as ClapArgs, ValueEnum};
use uuid::Uuid;

pub(crate) const REPART: &str = "\
Make a partition table, and the filesystems in it, from repart.d definitions

The definitions are those of systemd-repart (see repart.d(5)), and so are the options. \
Existing partitions are never moved, made smaller, or formatted. Filesystems are made \
by their own tools (such as mke2fs), and filled by the kernel in this program, so that \
no root and no loop device is needed.";

pub(crate) const REPART_NOTES: &str = "\
Settings: Type, Label, UUID, Priority, Weight, PaddingWeight, SizeMinBytes,
SizeMaxBytes, PaddingMinBytes, PaddingMaxBytes, Format, CopyBlocks, CopyFiles,
ExcludeFiles, ExcludeFilesTarget, MakeDirectories, MakeSymlinks, Subvolumes,
DefaultSubvolume, Minimize, Encrypt, Verity, VerityMatchKey, VerityDataBlockSizeBytes,
VerityHashBlockSizeBytes, Flags, NoAuto, ReadOnly, GrowFileSystem. A setting that is not
supported is an error with its file and line.

Format is ext2, ext3, ext4, vfat, xfs, btrfs, f2fs, exfat, squashfs, erofs or swap.
Encrypt=key-file makes a LUKS2 volume with cryptsetup, which --key-file or
DRUPE_PASSPHRASE opens. Verity=hash has the hashes of the partition with Verity=data and
the same VerityMatchKey, and the output has their root hash.

Files keep their owners in the image, whoever runs this; `drupe chown -R 0:0` changes
them. Paths of CopyFiles and CopyBlocks are absolute, and stay beneath --root, also
through symbolic links. A partition grows into free room right behind it, and what is in
it does not grow with it.

Differences from systemd-repart: the seed is random unless --seed gives one (not the
machine's ID); GrowFileSystem=no is heeded; specifiers of the running system, such as
%m, are refused.";

#[derive(Debug, ClapArgs)]
pub(crate) struct Repart {
    /// Read definitions from the files DIR/*.conf (can be repeated)
    ///
    /// Of files with the same name, that of the first directory counts. Defaults to
    /// etc/repart.d, run/repart.d, usr/local/lib/repart.d and usr/lib/repart.d beneath
    /// `--root`.
    #[arg(long, value_name = "DIR")]
    pub(crate) definitions: Vec<PathBuf>,

    /// What to do about an image with, or without, a partition table
    #[arg(long, value_name = "MODE", default_value = "refuse")]
    pub(crate) empty: EmptyMode,

    /// Make a table of this kind, where there is none
    #[arg(long, value_name = "KIND", default_value = "gpt")]
    pub(crate) table: TableKind,

    /// Make the image SIZE bytes large, with K, M, G or T for multiples of 1024
    ///
    /// An image that is larger stays as it is. `auto`: the minimum sizes of all partitions,
    /// which do not count what CopyFiles brings: SizeMinBytes and Minimize do.
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub(crate) size: Option<ImageSize>,

    /// Derive all UUIDs from SEED, a UUID or `random`
    #[arg(long, value_name = "SEED", default_value = "random", value_parser = seed)]
    pub(crate) seed: Seed,

    /// Show what would be done, and do nothing; write `--dry-run=no` to do it
    #[arg(
        long,
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_value = "yes",
        default_missing_value = "yes",
        value_parser = yes_or_no,
        action = ArgAction::Set
    )]
    pub(crate) dry_run: bool,

    /// Take the sources of CopyFiles and CopyBlocks, and default definitions, beneath DIR
    #[arg(long, value_name = "DIR")]
    pub(crate) root: Option<PathBuf>,

    /// Raw disk image to partition; a new one is qcow2 if its name ends with .qcow2
    #[arg(required = true, value_name = "IMAGE")]
    pub(crate) image: PathBuf,
}

/// `--empty`
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum EmptyMode {
    /// The image must have a partition table, and gets more partitions
    Refuse,
    /// The image gets a partition table if it has none and holds nothing else that is known
    Allow,
    /// The image must hold neither a partition table nor anything else that is known, and
    /// gets a table
    Require,
    /// The image gets a new partition table; all that is on it is lost
    Force,
    /// The image must not exist, and is made
    Create,
}

/// `--table`
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum TableKind {
    /// A GUID partition table
    Gpt,
    /// An MBR: up to four partitions on the first 2 TiB, without labels
    Mbr,
}

/// `--size`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ImageSize {
    Auto,
    Bytes(u64),
}

/// `--seed`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seed {
    Random,
    Uuid(Uuid),
}

fn size(text: &str) -> Result<ImageSize, String> {
    if text == "auto" {
        return Ok(ImageSize::Auto);
    }
    let bytes = drupe_repart::parse_size(text)
        .ok_or("give bytes, with a suffix K, M, G or T for multiples of 1024, or auto")?;
    let bytes = bytes.checked_next_multiple_of(drupe_repart::GRAIN);
    bytes
        .filter(|&bytes| i64::try_from(bytes).is_ok())
        .map(ImageSize::Bytes)
        .ok_or_else(|| "no file can be that large".to_owned())
}

fn seed(text: &str) -> Result<Seed, String> {
    match text {
        "random" => Ok(Seed::Random),
        _ => Uuid::try_parse(text)
            .map(Seed::Uuid)
            .map_err(|_| "give a UUID, or random".to_owned()),
    }
}

fn yes_or_no(text: &str) -> Result<bool, String> {
    match text {
        "yes" | "true" | "1" | "on" => Ok(true),
        "no" | "false" | "0" | "off" => Ok(false),
        _ => Err("give yes or no".to_owned()),
    }
}
