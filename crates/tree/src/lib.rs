//! Trees of files: copies them between host and images, archives, extracts, builds from
//! manifests.
//!
//! - [`copy()`] copies like cp(1); [`write_stream`] writes one file.
//! - [`archive`] and [`extract`] write and read tar archives.
//! - [`Walk`] visits all files of a tree in an image with a [`Visitor`].
//! - [`diff()`] compares two trees; [`Algorithm`] makes checksums.
//! - [`inspect::inspect`] tells which operating system is on a filesystem.
//! - [`build`] makes the tree that a manifest describes: mtree(5), or a dump of
//!   composefs.
//!
//! All of them work on [`Mount`](drupe::Mount)s of the library `drupe` and on directories
//! of the host. They report progress and errors to a [`Progress`], and end early when an
//! [`Interrupt`] requests it. An existing file keeps its content until its replacement is
//! complete.
#![forbid(unsafe_code)]

pub mod acl;
pub mod capabilities;
mod checksum;
mod copy;
mod descriptor;
mod diff;
pub mod disk_image;
mod error;
pub mod flags;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
pub mod glob;
pub mod inspect;
mod interrupt;
mod location;
mod manifest;
mod mode;
mod output_file;
pub mod paths;
mod progress;
mod tar;
mod temporary;
mod time;
mod umask;
mod unwritten;
mod users;
mod visit;

pub use checksum::Algorithm;
pub use copy::image::times_of;
pub use copy::keep::Overrides;
pub use copy::replace::{Backup, Numbers, Policy, Question, Replacing};
pub use copy::{CopyOptions, copy, write_file, write_stream};
pub use descriptor::{is_descriptor, open_input};
pub use diff::{Change, DiffOptions, Difference, Field, diff};
pub use error::{Error, Result, host};
pub use interrupt::{Interrupt, Waiting};
pub use location::{ImageLocation, Location};
pub use manifest::{BuildOptions, Format, build};
pub use mode::ModeChange;
pub use output_file::OutputFile;
pub use progress::{Progress, Silent};
pub use tar::{ArchiveOptions, Compression, ExtractOptions, archive, extract};
pub use temporary::make_temporary;
pub use time::{Time, times};
pub use umask::Umask;
pub use users::{Names, Owners};
pub use visit::{Node, Stop, Visitor, Walk};

/// The result of work that was not ended early.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[must_use]
pub struct Outcome {
    /// The number of errors of single files or attributes, each of which was reported to
    /// the [`Progress`].
    pub errors: u64,
}
