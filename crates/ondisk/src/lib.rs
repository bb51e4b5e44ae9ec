//! What is on disks, read without a kernel: signatures ([`probe`]), partition
//! tables ([`table`]), sizes of sectors ([`sector`]), encrypted volumes ([`luks`]),
//! logical volumes ([`lvm`]), software RAID ([`md`]).
//!
//! This crate reads headers and says what they mean. Of a volume that is which key
//! opens it, and which [`Target`]s of the kernel's device mapper make it
//! (`Documentation/admin-guide/device-mapper`). It reads through
//! [`std::io::Read`] and [`std::io::Seek`], and calls no kernel.
//!
//! Nothing on a disk is trusted: every access is checked, sizes are bounded
//! before memory is taken for them, work is bounded before it is begun, and what
//! does not add up is an [`Error`].
#![forbid(unsafe_code)]

pub mod bytes;
mod cut_short;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
pub mod luks;
pub mod lvm;
pub mod md;
pub mod part;
pub mod probe;
pub mod sector;
pub mod table;

use std::io;

pub use cut_short::CutShort;

/// Bytes of a sector: the unit of device mapper tables, whatever the disk's own.
pub const SECTOR: u64 = 512;

/// One line of a device mapper table (dmsetup(8)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Sectors from the start of the mapped device.
    pub start: u64,
    /// Sectors.
    pub len: u64,
    /// Name of the target: "linear", "crypt" and so on.
    pub kind: &'static str,
    /// What follows it in a table.
    pub params: String,
}

/// Why what is on a disk cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// It could not be read.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// What is on the disk does not add up: what, and how.
    #[error("damaged {what}: {why}")]
    Damaged {
        /// "LUKS header" and the like.
        what: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// It uses something that is not supported.
    #[error("{0} is not supported")]
    Unsupported(String),
    /// It cannot be made where nothing can be written.
    #[error("{0} needs a disk that can be written to, or a copy-on-write layer over it")]
    ReadOnly(String),
    /// No key slot opens with this passphrase.
    #[error("the passphrase opens none of its key slots")]
    WrongPassphrase,
    /// A part of it is on a disk that is not here.
    #[error("{0} is missing")]
    Missing(String),
}

/// What this crate's functions give.
pub type Result<T, E = Error> = std::result::Result<T, E>;
