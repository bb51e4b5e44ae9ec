//! `drupe tar` and `drupe untar`: archives of directories in images.
//!
//! Headers are those of the `tar` crate. What is not in it is here: PAX records
//! of any bytes ([`pax`]), sparse files in all of GNU's formats ([`reader`],
//! [`writer`]), ACLs as text ([`acl`]). [`create`] walks an image as `cp` does;
//! [`extract`] makes what comes, and never outside of its directory.

mod acl;
mod compress;
pub(crate) mod create;
pub(crate) mod extract;
mod pax;
mod reader;
mod writer;

pub(crate) use compress::Compression;

/// What archives consist of, in bytes.
const BLOCK: u64 = 512;

/// Parts of a file that are not holes: offset and length.
type Extents = Vec<(u64, u64)>;
