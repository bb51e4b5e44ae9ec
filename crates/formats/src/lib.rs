//! Opens disk images and network disks as [`drupe_host::disk::Disk`]s.
//!
//! - [`open()`]: an image file of the host, in one of these [`Format`]s: raw, qcow2 (with
//!   the crate `imago`), vmdk, vhdx, vhd, vdi.
//! - [`open_uri`]: an export of an NBD server.
//! - [`write_qcow2`]: a new qcow2 image.
//!
//! Images are not trusted. Every offset and length in them is checked, allocations are
//! bounded, and other files that an image names are opened only if [`Options::backing`]
//! allows it. Extents of a vmdk in its own directory count as part of the image.
//!
//! An image file is locked while it is open ([`drupe_host::disk::ImageFile`]),
//! and so are those that it names.
#![forbid(unsafe_code)]

mod blocks;
mod bytes;
mod cache;
mod error;
mod files;
mod format;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod image;
mod nbd;
mod open;
mod options;
mod qcow2;
mod vdi;
mod vhd;
mod vhd_footer;
mod vhdx;
mod vmdk;

pub use drupe_host::disk::{attached_loop, is_locked, lock_holder};
pub use error::{Error, Result};
pub use files::files;
pub use format::Format;
pub use nbd::{is_uri, open_uri};
pub use open::{Opened, open};
pub use options::Options;
pub use qcow2::{QCOW2_CLUSTER, write_qcow2};
