//! [`Progress`]: the steps of a build, as reported to its caller.

use std::path::Path;

/// One step of a build. Sent often: a callback must be cheap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Progress<'a> {
    /// Another process is using the cache; this one waits for it.
    Waiting,
    /// The source is being hashed, which happens once for each source.
    Hashing(&'a Path),
    /// The source is being unpacked, which happens once for each tarball.
    Extracting {
        /// The tarball.
        archive: &'a Path,
        /// MiB unpacked so far.
        mib: u64,
    },
    /// The kernel is being configured.
    Configuring,
    /// A file has been compiled.
    Compiling {
        /// Files compiled so far.
        done: usize,
        /// About how many will be compiled; known only for builds from nothing.
        expected: Option<usize>,
        /// The object, relative to the build directory.
        object: &'a str,
    },
    /// The image is being linked and stripped.
    Linking,
    /// The source tree is being compared with what was published.
    Comparing(&'a Path),
}

/// The callback that receives progress.
pub(crate) type Report<'a> = &'a mut dyn FnMut(Progress<'_>);
