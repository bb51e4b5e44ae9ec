//! Entry points for the fuzz targets (`fuzz/`) only: the parsers of foreign bytes.

/// Reads an archive to its end.
pub fn tar(archive: &[u8]) {
    crate::tar::fuzz(archive);
}

/// Parses a manifest in the format of mtree(5).
pub fn mtree(manifest: &[u8]) {
    crate::manifest::fuzz(manifest, crate::Format::Mtree);
}

/// Parses a dump of composefs.
pub fn composefs(manifest: &[u8]) {
    crate::manifest::fuzz(manifest, crate::Format::Composefs);
}
