//! tar archives of directories in images: [`archive`] and [`extract()`].
//!
//! Headers are those of the `tar` crate. This module adds PAX records of any bytes
//! ([`pax`]), sparse files in all of GNU's formats ([`reader`], [`writer`]), and ACLs as
//! text ([`acl`]). [`create`] walks an image as a copy does; [`extract`](mod@extract)
//! never makes anything outside of its directory, and knows the [`whiteout`]s of
//! container images.

mod acl;
mod compress;
mod create;
mod extract;
mod pax;
mod place;
mod reader;
mod whiteout;
mod writer;

pub use compress::Compression;
pub use create::{ArchiveOptions, archive};
pub use extract::{ExtractOptions, extract};

/// Bytes of a block of an archive.
const BLOCK: u64 = 512;

/// Parts of a file that are not holes: offset and length.
type Extents = Vec<(u64, u64)>;

/// Reads an archive to its end.
#[cfg(feature = "fuzzing")]
pub(crate) fn fuzz(archive: &[u8]) {
    let names = crate::users::Names::default();
    let mut reader = reader::Reader::new(archive);
    let mut piece = vec![0; 4096];
    while let Ok(Some(member)) = reader.next() {
        for (_, text) in &member.acls {
            let _ = acl::from_text(text, &names, &names);
        }
        while matches!(reader.read(&mut piece), Ok(1..)) {}
    }
}
