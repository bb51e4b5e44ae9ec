//! The image inside of the published crate: compressed, to stay below a registry's size
//! limit, and decompressed in Rust, to need no C compiler.
//!
//! `cargo xtask dist` makes the directory `carried`, which is not in the source tree. It
//! holds the image, the digest of the decompressed image, the kernel's configuration, and
//! `SOURCE.md`.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use drupe_kbuild::Digest;
use ruzstd::decoding::StreamingDecoder;

use crate::Result;

/// The directory's path in the package.
pub(crate) const DIRECTORY: &str = "carried";

/// Decompresses the image of `directory` to the file `image`.
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
