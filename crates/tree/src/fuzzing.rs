//! The parsers of foreign bytes, for the fuzz targets.

/// An archive, which is read to its end.
pub fn tar(archive: &[u8]) {
    crate::tar::fuzz(archive);
}

/// A manifest in the format of mtree(5).
pub fn mtree(manifest: &[u8]) {
    crate::manifest::fuzz(manifest, crate::Format::Mtree);
}

/// A dump of composefs.
pub fn composefs(manifest: &[u8]) {
    crate::manifest::fuzz(manifest, crate::Format::Composefs);
}
