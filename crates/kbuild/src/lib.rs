//! Finds the Linux source, lays the drupe architecture over it, builds the
//! kernel image and caches it.
//!
//! [`Kbuild`] is the entry point: it has a source, an overlay and a [`Flavour`], and
//! [`Kbuild::image`] returns the image, from the cache if it is there. The crate is a
//! build dependency of everything, so it prints nothing (progress goes to a callback as
//! [`Progress`]) and has few dependencies.
//!
//! The source tree is never written to. `make` builds a *shadow*: a directory of links to
//! the tree's entries, in which only `arch/drupe` is a real directory.
//! [`Kbuild::verify_untouched`] checks both.
//!
//! Neighbours: `drupe-image`'s build script embeds the image; `xtask` builds it ahead of
//! time, installs [`requirements`] and checks the port.
//!
//! # Environment
//!
//! | variable | meaning |
//! |---|---|
//! | `DRUPE_IMAGE` | a kernel image to use as it is; nothing is built |
//! | `DRUPE_BUILD_KERNEL` | 1: build the image even where `drupe-image` carries one |
//! | `DRUPE_LINUX_SOURCE` | a 6.12 source tree, or a tarball of one |
//! | `DRUPE_CACHE` | the cache directory; default `$XDG_CACHE_HOME/drupe`, else `~/.cache/drupe`, else (without `HOME`) `/var/tmp/drupe-cache` |
//! | `DRUPE_FLAVOUR` | `mmu` (default) or `nommu` |
#![forbid(unsafe_code)]

mod build;
mod cache;
mod compile;
mod config;
mod digest;
mod elf;
mod error;
mod extract;
mod flavour;
mod make;
mod origin;
mod overlay;
mod prepared;
mod progress;
pub mod requirements;
mod shadow;
mod source;
mod toolchain;
mod tree;
mod untouched;

pub use build::{Image, Kbuild};
pub use cache::Cache;
pub use digest::Digest;
pub use error::{Error, Result};
pub use flavour::Flavour;
pub use make::Output;
pub use origin::Origin;
pub use overlay::Overlay;
pub use prepared::Prepared;
pub use progress::Progress;
pub use source::{Source, Version};
