//! The image that a published crate carries: compressed, so that it stays below what
//! a registry takes, and decompressed in Rust, so that no C compiler is needed.
//!
//! `cargo xtask dist` makes the directory `carried`; nothing of it is in the source
//! tree. Beside the image it has the digest of what comes out, the kernel's
//! configuration, and `SOURCE.md`.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use drupe_kbuild::Digest;
use ruzstd::decoding::StreamingDecoder;

use crate::Result;

/// Where it is, in the package.
pub(crate) const DIRECTORY: &str = "carried";

/// Writes the image that `directory` has to `image`.
pub(crate) fn unpack(directory: &Path, image: &Path) -> Result<()> {
    let packed = directory.join("image.elf.zst");
    let wrong = |reason: &dyn std::fmt::Display| {
        format!(
            "{}: {reason}; this copy of the crate is damaged, fetch it again",
            packed.display()
        )
    };
    let digest = fs::read_to_string(directory.join("image.digest"))?;
    let mut decoder = StreamingDecoder::new(io::BufReader::new(
        File::open(&packed).map_err(|e| wrong(&e))?,
    ))
    .map_err(|e| wrong(&e))?;
    io::copy(&mut decoder, &mut File::create(image)?).map_err(|e| wrong(&e))?;
    if Digest::of_file(image)?.to_string() != digest.trim() {
        return Err(wrong(&"its content is not what it should be").into());
    }
    Ok(())
}
