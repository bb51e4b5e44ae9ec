//! Partition tables from descriptions: definitions in systemd's `repart.d` format, where
//! their partitions go on a disk, UUIDs that follow from a seed, GUID partition tables and MBRs.
//!
//! - [`read`] (`directory.rs`): the definitions in a directory.
//! - [`Disk`] (`disk.rs`): the partition table of an image, read and written.
//! - [`plan`] (`layout.rs`): what definitions make of a disk. The algorithm is that of
//!   systemd-repart 252, with which the tests compare.
//! - [`identity`]: UUIDs derived from a seed.
//! - [`PartitionType`] (`types.rs`): types by the names of the Discoverable Partitions
//!   Specification.
//!
//! Nothing here makes filesystems or needs a kernel: that is `drupe repart`.
#![forbid(unsafe_code)]

mod captured;
mod definition;
mod directory;
mod disk;
mod error;
pub mod identity;
mod layout;
mod mbr;
mod pairs;
mod partition;
mod paths;
mod settings;
mod types;
mod value;
mod verity;

pub use definition::{Bounds, CopyFiles, Definition, Minimize};
pub use directory::read;
pub use disk::Disk;
pub use error::{Error, Result};
pub use layout::{GRAIN, LUKS2_HEADER, Planned, least_size, least_size_of, names, plan};
pub use pairs::hashes_of;
pub use partition::Partition;
pub use paths::{Excluded, Subvolume};
pub use types::PartitionType;
pub use value::parse_size;
pub use verity::{Verity, VerityRole};
