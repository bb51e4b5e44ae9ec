//! [`Source`]: where the blobs of an image come from.

use crate::error::Result;
use crate::manifest::Descriptor;
use crate::verify::Stream;

/// Gives an image's blobs. What it gives is checked by who asks.
pub(crate) trait Source: Send + Sync {
    /// The contents of a blob, which may be wrong.
    fn open(&self, blob: &Blob) -> Result<Stream>;

    /// A manifest or an index, which may be wrong too.
    fn open_manifest(&self, of: &Descriptor) -> Result<Stream> {
        self.open(&Blob::Digest(of.clone()))
    }

    /// A blob's name, for errors.
    fn shown(&self, blob: &Blob) -> String;
}

/// A blob of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Blob {
    /// By its digest.
    Digest(Descriptor),
    /// By its name in an archive of `docker save`, and its size.
    Member { name: String, size: u64 },
}
