//! Entry points for the fuzz targets (`fuzz/`) only: the parsers of foreign bytes.

use crate::manifest::{self, Config, Document};
use crate::reference::Reference;
use crate::registry;

/// Parses bytes as everything that they may be.
pub fn text(bytes: &[u8]) {
    if let Ok(Document::Manifest(manifest)) = Document::parse("fuzz", "", bytes) {
        // Either is right.
        let _ = manifest.check("fuzz");
    }
    let _ = manifest::parse::<Config>("fuzz", bytes);
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    registry::fuzz(text);
    if let Ok(reference) = text.parse::<Reference>() {
        let again = reference.to_string().parse::<Reference>();
        assert_eq!(again.ok(), Some(reference), "{text:?}");
    }
}
