//! Options of the commands that check, compare and edit the contents of files.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args as ClapArgs, ValueEnum};

/// How a checksum is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Sum {
    Md5,
    Sha1,
    Sha256,
    Sha512,
    Blake2b,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Checksum {
    /// Make sums by ALGORITHM: md5, sha1, sha256, sha512 or blake2b
    ///
    /// With -c, defaults to what the length of each sum says, and sha512 for the longest.
    #[arg(short, long, value_name = "ALGORITHM", hide_possible_values = true)]
    pub(crate) algorithm: Option<Sum>,

    /// Check the sums in FILE of the host
    ///
    /// Its lines are those that this command prints. With -q, only failures are printed.
    #[arg(short, long, value_name = "FILE", conflicts_with = "recursive")]
    pub(crate) check: Option<PathBuf>,

    /// Sums of all files in directories
    #[arg(short, long)]
    pub(crate) recursive: bool,

    /// File to read: IMAGE[@PART]:/PATH
    #[arg(
        value_name = "PATH",
        required_unless_present = "check",
        conflicts_with = "check"
    )]
    pub(crate) paths: Vec<OsString>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Edit {
    /// File to edit: IMAGE[@PART]:/PATH
    #[arg(value_name = "PATH")]
    pub(crate) path: OsString,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Diff {
    /// Do not compare modification times
    #[arg(long)]
    pub(crate) ignore_times: bool,

    /// Do not compare owners and groups
    #[arg(long)]
    pub(crate) ignore_owners: bool,

    /// Do not compare extended attributes, ACLs, labels and capabilities
    #[arg(long)]
    pub(crate) ignore_xattrs: bool,

    /// Directory or image to compare: IMAGE[@PART][:/PATH], or a directory of the host
    #[arg(value_name = "BEFORE")]
    pub(crate) before: OsString,

    /// The same, to compare it with
    #[arg(value_name = "AFTER")]
    pub(crate) after: OsString,
}
