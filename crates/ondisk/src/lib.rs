//! Reads on-disk structures without a kernel: signatures ([`probe`]), partition tables
//! ([`table`]), sector sizes ([`sector`]), encrypted volumes ([`luks`]), logical volumes
//! ([`lvm`]), software RAID ([`md`]).
//!
//! For a volume, this crate finds the key that opens it, and the [`Target`]s of the
//! kernel's device mapper that make it (`Documentation/admin-guide/device-mapper`). It
//! reads through [`std::io::Read`] and [`std::io::Seek`].
//!
//! Nothing on a disk is trusted: every access is checked, sizes and work are bounded
//! before memory is allocated or work begins, and inconsistent structures are an
//! [`Error`].
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

/// Bytes of a sector, the unit of device mapper tables, also on disks with larger
/// sectors.
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
    /// The target's parameters.
    pub params: String,
}

/// Why a structure on a disk cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Reading the disk failed.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The structure is damaged or inconsistent.
    #[error("damaged {what}: {why}")]
    Damaged {
        /// The structure: "LUKS header" and the like.
        what: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// It needs a feature that is not supported.
    #[error("{0} is not supported")]
    Unsupported(String),
    /// The volume cannot be activated on a read-only disk.
    #[error("{0} needs a disk that can be written to, or a copy-on-write layer over it")]
    ReadOnly(String),
    /// The caller no longer waits for the key.
    #[error("the derivation of the key was given up")]
    GivenUp,
    /// No key slot opens with this passphrase.
    #[error("the passphrase opens none of its key slots")]
    WrongPassphrase,
    /// A part of the volume is on a disk that was not given.
    #[error("{0} is missing")]
    Missing(String),
}

/// The result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;
