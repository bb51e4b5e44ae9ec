//! [`Prepared`]: a configured tree in which `make` can run.

use std::path::{Path, PathBuf};

use crate::cache::Lock;
use crate::error::Result;
use crate::make::{Make, Output};
use crate::progress::Report;

/// A configured tree, locked: no other process builds until it is dropped.
#[derive(Debug)]
pub struct Prepared {
    pub(crate) shadow: PathBuf,
    pub(crate) build: PathBuf,
    pub(crate) jobs: usize,
    pub(crate) expected: Option<usize>,
    pub(crate) lock: Lock,
}

impl Prepared {
    /// The source tree, with the overlay in it.
    pub fn shadow(&self) -> &Path {
        &self.shadow
    }

    /// The build directory (`O=`).
    pub fn build(&self) -> &Path {
        &self.build
    }

    pub(crate) fn lock(&self) -> &Lock {
        &self.lock
    }

    /// Runs `make` with `arguments` (targets and variables); its output is kept
    /// as `log` in the build directory too.
    pub fn make(&self, log: &str, arguments: &[&str], report: Report<'_>) -> Result<Output> {
        let Prepared {
            shadow,
            build,
            jobs,
            expected,
            ..
        } = self;
        Make {
            shadow,
            build,
            jobs: *jobs,
            expected: *expected,
        }
        .run(log, arguments, report)
    }
}
