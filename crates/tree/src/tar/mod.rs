//! Archives of directories in images: [`archive`] and [`extract()`].
//!
//! Headers are those of the `tar` crate. What is not in it is here: PAX records
//! of any bytes ([`pax`]), sparse files in all of GNU's formats ([`reader`],
//! [`writer`]), ACLs as text ([`acl`]). [`create`] walks an image as a copy does;
//! [`extract`](mod@extract) makes what comes, and never outside of its directory.

mod acl;
mod compress;
mod create;
mod extract;
mod pax;
mod reader;
mod writer;

pub use compress::Compression;
pub use create::{ArchiveOptions, archive};
pub use extract::{ExtractOptions, extract};

/// What archives consist of, in bytes.
const BLOCK: u64 = 512;

/// Parts of a file that are not holes: offset and length.
type Extents = Vec<(u64, u64)>;
