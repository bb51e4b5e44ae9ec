//! Container images: reads those of OCI and Docker, and writes OCI layouts.
//!
//! - A [`Reference`] says where an image is, as skopeo spells it: in an OCI layout (a
//!   directory, or an archive of one), in an archive of `docker save`, or in a registry.
//! - [`Image::open`] finds it and chooses the one for a [`Platform`].
//! - [`Image::open_layer`] gives a layer as a tar archive, decompressed. Its size and
//!   digests are checked while it is read, and its end is reported only if all of them are
//!   right.
//! - [`LayoutWriter`] adds an image to an OCI layout.
//!
//! Nothing is kept on disk, and no kernel is needed: what a layer's archive means is for
//! whoever extracts it.
#![forbid(unsafe_code)]

mod credentials;
mod digest;
mod docker_archive;
mod error;
mod files;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod image;
mod layer;
mod layout;
mod manifest;
mod options;
mod platform;
mod reference;
mod registry;
mod source;
mod verify;
mod write;

pub use credentials::Credentials;
pub use digest::Digest;
pub use error::{Error, Result};
pub use image::{Image, Layer};
pub use layer::LayerReader;
pub use options::{Options, Transport};
pub use platform::Platform;
pub use reference::{Reference, RegistryName, is_tag};
pub use write::{Compression, LayerWriter, LayoutWriter, NewConfig, NewLayer};
