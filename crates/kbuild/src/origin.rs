//! [`Origin`]: what an image is made of, beside the source itself.

use crate::build::Kbuild;
use crate::digest::Digest;
use crate::error::Result;
use crate::make::VARIABLES;
use crate::overlay::Overlay;
use crate::toolchain;

/// What makes one image differ from another, beside the source.
#[derive(Debug, Clone)]
pub struct Origin {
    /// The hash of the overlay's names and contents, configuration included.
    pub overlay: Digest,
    /// What compiler and linker say of themselves, one line each.
    pub toolchain: String,
    /// The variables that every `make` is given.
    pub variables: &'static [&'static str],
}

impl Kbuild {
    /// What the image is made of, beside the source.
    pub fn origin(&self) -> Result<Origin> {
        Ok(Origin {
            overlay: Overlay::at(self.overlay())?.digest(),
            toolchain: toolchain::version()?,
            variables: &VARIABLES,
        })
    }
}
