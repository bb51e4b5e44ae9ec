//! Disk image containers and network disks: what a user names becomes a
//! [`drupe_host::disk::Disk`].
//!
//! - [`open()`]: a file of the host, by its [`Format`]: raw, qcow2 (through the
//!   crate `imago`), vmdk and vhdx (readers of our own).
//! - [`open_uri`]: a disk that an NBD server exports.
//!
//! Images are not trusted. Every offset and length in them is checked, nothing
//! is allocated by the size that an image states without a bound, and no other
//! file that an image names is opened unless [`Options::backing`] allows it;
//! extents of a vmdk in its own directory are part of it.
//!
//! An image file is locked while it is open ([`drupe_host::disk::ImageFile`]),
//! and so are those that it names.
#![forbid(unsafe_code)]

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
mod vhdx;
mod vmdk;

pub use drupe_host::disk::{attached_loop, is_locked, lock_holder};
pub use error::{Error, Result};
pub use files::files;
pub use format::Format;
pub use nbd::{is_uri, open_uri};
pub use open::{Opened, open};
pub use options::Options;
