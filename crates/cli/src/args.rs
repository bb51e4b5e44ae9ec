//! The command line, defined once: parsing and help come from here.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand};

/// Look into disk images and copy files in and out, without root.
///
/// The real Linux kernel runs inside this program and reads and writes the
/// filesystems: ext4, XFS, btrfs, f2fs, vfat, exfat, ntfs, iso9660, udf,
/// squashfs, erofs and more.
#[derive(Debug, Parser)]
#[command(name = "drupe", version, after_long_help = NOTES)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) global: Global,

    #[command(subcommand)]
    pub(crate) command: Command,
}

const NOTES: &str = "\
Paths in images:
  IMAGE:/PATH      the filesystem on IMAGE, or on its only partition that has one
  IMAGE@2:/PATH    the filesystem on partition 2, be it inside of an encrypted
                   volume; @0 is the whole of IMAGE
  IMAGE@VG/LV:/    the logical volume LV of group VG
  IMAGE@md/NAME:/  the RAID array of this name
  An argument that names an existing file of the host is that file; any other
  with \":/\" in it is a path in an image. To create a host file whose name has
  \":/\" in it, change to its directory first.

Exit codes:
  0    all was done
  1    some file could not be read, written or found
  2    the command line makes no sense
  3    an image, a partition or its filesystem can't be used
  130  interrupted; the image is consistent, and a file half copied was removed

Commands that read open images read-only and never change them.";

/// Options of all commands.
#[derive(Debug, ClapArgs)]
pub(crate) struct Global {
    /// Never write to an image, whatever the command
    #[arg(long, global = true)]
    pub(crate) read_only: bool,

    /// Replay the journal of an image that is only read in memory; the image
    /// itself stays as it is
    #[arg(long, global = true)]
    pub(crate) replay: bool,

    /// More images that volumes lie on: LVM groups and RAID arrays of several
    /// disks
    #[arg(long, global = true, value_name = "IMAGE")]
    pub(crate) with: Vec<PathBuf>,

    /// The passphrase of encrypted volumes is what this file holds, every byte
    /// of it; "-" is the first line of standard input. Without it, the variable
    /// DRUPE_PASSPHRASE counts, then whoever sits at the terminal
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) key_file: Option<PathBuf>,

    /// Memory of the kernel, in bytes or with K, M or G
    #[arg(long, global = true, value_name = "SIZE", default_value = "64M", value_parser = size)]
    pub(crate) memory: usize,

    /// Show the kernel's log on standard error
    #[arg(long, global = true)]
    pub(crate) kernel_log: bool,

    /// No progress bar and no warnings; errors are still shown
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,

    /// Machine-readable output (info, ls)
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show partitions and filesystems: types, labels, UUIDs, sizes
    Info(Info),
    /// List files
    Ls(Ls),
    /// Print files
    Cat(Cat),
    /// Copy files into an image, out of one, or between two
    Cp(Cp),
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Info {
    /// Disk images or block devices
    #[arg(required = true, value_name = "IMAGE")]
    pub(crate) images: Vec<PathBuf>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Ls {
    /// Show type, permissions, links, owner, group, size and time
    #[arg(short = 'l')]
    pub(crate) long: bool,

    /// List directories in directories too
    #[arg(short = 'R', long)]
    pub(crate) recursive: bool,

    /// Show names that begin with a dot
    #[arg(short, long)]
    pub(crate) all: bool,

    /// What to list: IMAGE[@PART][:/PATH]
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<OsString>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Cat {
    /// What to print: IMAGE[@PART]:/PATH
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<OsString>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Cp {
    /// Copy directories with all that is in them; symbolic links stay links
    #[arg(short, long, visible_short_alias = 'R')]
    pub(crate) recursive: bool,

    /// Like -r, and keep owners, permissions, times, hard links, extended
    /// attributes and ACLs; owners that an ordinary user can't set on the host
    /// are not an error
    #[arg(short, long)]
    pub(crate) archive: bool,

    /// What to copy, then where to: IMAGE[@PART]:/PATH, or a path of the
    /// host; at least one of them is in an image
    #[arg(required = true, num_args = 2.., value_names = ["SOURCE", "DEST"])]
    pub(crate) paths: Vec<OsString>,
}

impl Cp {
    /// Directories are copied, and links as links.
    pub(crate) fn is_recursive(&self) -> bool {
        self.recursive || self.archive
    }
}

/// Parses "64M".
fn size(text: &str) -> Result<usize, String> {
    let wrong = || format!("{text:?} is not a size: give bytes, or a number with K, M or G");
    let (digits, shift) = match text.as_bytes().last() {
        Some(b'K' | b'k') => (&text[..text.len() - 1], 10),
        Some(b'M' | b'm') => (&text[..text.len() - 1], 20),
        Some(b'G' | b'g') => (&text[..text.len() - 1], 30),
        _ => (text, 0),
    };
    let number: usize = digits.parse().map_err(|_| wrong())?;
    let bytes = number.checked_mul(1 << shift).ok_or_else(wrong)?;
    match bytes >= 16 << 20 {
        true => Ok(bytes),
        false => Err("the kernel needs at least 16M".into()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn definitions_are_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn sizes() {
        assert_eq!(size("64M"), Ok(64 << 20));
        assert_eq!(size("16777216"), Ok(16 << 20));
        assert_eq!(size("1G"), Ok(1 << 30));
        for wrong in [
            "",
            "M",
            "-1M",
            "64MB",
            "15M",
            "99999999999999999999",
            "20000000000G",
        ] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }
}
