//! [`Origin`]: the overlay, toolchain and `make` variables that an image was built with.

use crate::build::Kbuild;
use crate::digest::Digest;
use crate::error::Result;
use crate::make::VARIABLES;
use crate::overlay::Overlay;
use crate::toolchain;

/// Everything besides the source that decides what an image is.
#[derive(Debug, Clone)]
pub struct Origin {
    /// The hash of the overlay's names and contents, configuration included.
    pub overlay: Digest,
    /// The version lines of compiler and linker.
    pub toolchain: String,
    /// The variables that are passed to every `make`.
    pub variables: &'static [&'static str],
}

impl Kbuild {
    /// The [`Origin`] of the image that [`Kbuild::image`] returns.
    pub fn origin(&self) -> Result<Origin> {
        Ok(Origin {
            overlay: Overlay::at(self.overlay())?.digest(),
            toolchain: toolchain::version()?,
            variables: &VARIABLES,
        })
    }
}
