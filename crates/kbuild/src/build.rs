//! [`Kbuild`]: builds an image from source, overlay and configuration, or takes it from
//! the cache.

use std::fs::{self, File};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::SystemTime;

use crate::cache::{Cache, Lock};
use crate::compile::{self, CONFIG, IMAGE, VMLINUX};
use crate::config;
use crate::digest::{Digest, Hasher};
use crate::elf;
use crate::error::{Error, IoContext, Result};
use crate::extract;
use crate::flavour::Flavour;
use crate::make::VARIABLES;
use crate::overlay::Overlay;
use crate::prepared::Prepared;
use crate::progress::{Progress, Report};
use crate::requirements;
use crate::shadow;
use crate::source::Source;
use crate::toolchain;
use crate::untouched;

/// The files of a built kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// The image to load: a stripped ELF file.
    pub image: PathBuf,
    /// The unstripped kernel, for debuggers. `None` for `DRUPE_IMAGE`.
    pub vmlinux: Option<PathBuf>,
    /// The kernel's configuration. `None` for `DRUPE_IMAGE`.
    pub config: Option<PathBuf>,
}

impl Image {
    /// The image that `DRUPE_IMAGE` names; `None` if the variable is not set.
    pub fn from_env() -> Result<Option<Image>> {
        let Some(path) = std::env::var_os("DRUPE_IMAGE").filter(|path| !path.is_empty()) else {
            return Ok(None);
        };
        let image = PathBuf::from(path);
        elf::check(&image).map_err(|error| match error {
            Error::Image { path, reason } => Error::Image {
                path,
                reason: format!("{reason}; correct DRUPE_IMAGE or unset it"),
            },
            other => other,
        })?;
        Ok(Some(Image {
            image,
            vmlinux: None,
            config: None,
        }))
    }

    /// The finished image in `directory`, if there is one.
    fn cached(directory: &Path) -> Option<Image> {
        if !directory.join(IMAGE).exists() {
            return None;
        }
        // Marks it as used. If that fails it may be pruned early, no more.
        let _ = File::open(directory).and_then(|file| file.set_modified(SystemTime::now()));
        Some(Image::in_directory(directory))
    }

    fn in_directory(directory: &Path) -> Image {
        Image {
            image: directory.join(IMAGE),
            vmlinux: Some(directory.join(VMLINUX)),
            config: Some(directory.join(CONFIG)),
        }
    }
}

/// A kernel to build: a source, an overlay and a flavour.
#[derive(Debug, Clone)]
pub struct Kbuild {
    cache: Cache,
    source: Source,
    /// The overlay's directory. Read again for each build, not cached.
    overlay: PathBuf,
    flavour: Flavour,
    jobs: usize,
}

impl Kbuild {
    /// The kernel of the overlay at `overlay`, with source and cache from the
    /// environment and as many jobs as there are processors.
    pub fn from_env(overlay: &Path, flavour: Flavour) -> Result<Kbuild> {
        Ok(Kbuild {
            cache: Cache::from_env()?,
            source: Source::from_env()?,
            overlay: overlay.to_owned(),
            flavour,
            jobs: thread::available_parallelism().map_or(1, NonZero::get),
        })
    }

    /// Runs at most this many compilers at a time.
    pub fn jobs(mut self, jobs: usize) -> Kbuild {
        self.jobs = jobs;
        self
    }

    /// The source that is built.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// The directory of the overlay.
    pub(crate) fn overlay(&self) -> &Path {
        &self.overlay
    }

    /// The flavour that is built.
    pub fn flavour(&self) -> Flavour {
        self.flavour
    }

    /// Returns the image from the cache, or builds it.
    pub fn image(&self, report: Report<'_>) -> Result<Image> {
        requirements::check(&self.source)?;
        let identity = self.source.identity(&self.cache, report)?;
        let overlay = Overlay::at(&self.overlay)?;
        if let Some(image) = Image::cached(&self.directory(&identity, &overlay)?) {
            return Ok(image);
        }
        let lock = self.cache.lock(report)?;
        // Waiting may have taken minutes: the overlay may be another by now,
        // and whoever held the lock may have built the very image.
        let overlay = Overlay::at(&self.overlay)?;
        let directory = self.directory(&identity, &overlay)?;
        if let Some(image) = Image::cached(&directory) {
            return Ok(image);
        }
        let name = self.flavour.name();
        let mut prepared = self.prepare_as(name, &identity, &overlay, lock, report)?;
        if !prepared.build.join("vmlinux").exists() {
            prepared.expected = Some(self.flavour.objects());
        }
        compile::compile(&prepared, &directory, report)?;
        self.cache.prune_images(prepared.lock())?;
        Ok(Image::in_directory(&directory))
    }

    /// A configured tree for other `make` targets. Its objects are kept under `name`,
    /// apart from those of the image, since they are compiled with other flags.
    pub fn prepare(&self, name: &str, report: Report<'_>) -> Result<Prepared> {
        requirements::check(&self.source)?;
        let identity = self.source.identity(&self.cache, report)?;
        let lock = self.cache.lock(report)?;
        let overlay = Overlay::at(&self.overlay)?;
        let name = format!("{}-{name}", self.flavour.name());
        self.prepare_as(&name, &identity, &overlay, lock, report)
    }

    /// Proves that the source is as it was published and that the overlay only adds to
    /// it: returns the number of files compared. Takes about as long as unpacking the
    /// tarball.
    pub fn verify_untouched(&self, report: Report<'_>) -> Result<usize> {
        requirements::check(&self.source)?;
        let identity = self.source.identity(&self.cache, report)?;
        let lock = self.cache.lock(report)?;
        let overlay = Overlay::at(&self.overlay)?;
        let linux = self.tree(&identity, &lock, report)?;
        let shadow = self.cache.shadow(&identity);
        if !shadow.exists() {
            shadow::lay(&shadow, &linux, &overlay)?;
        }
        report(Progress::Comparing(&linux));
        untouched::verify(&self.source, &identity, &linux, &shadow, &overlay)
    }

    fn prepare_as(
        &self,
        name: &str,
        identity: &Digest,
        overlay: &Overlay,
        lock: Lock,
        report: Report<'_>,
    ) -> Result<Prepared> {
        let linux = self.tree(identity, &lock, report)?;
        let shadow = self.cache.shadow(identity);
        shadow::lay(&shadow, &linux, overlay)?;
        let build = self.cache.build(identity, name);
        fs::create_dir_all(&build).on("create", &build)?;
        let prepared = Prepared {
            shadow,
            build,
            jobs: self.jobs,
            expected: None,
            lock,
        };
        report(Progress::Configuring);
        config::configure(&prepared, overlay, &self.flavour, report)?;
        Ok(prepared)
    }

    /// The source as a directory tree, unpacked if it is a tarball.
    fn tree(&self, identity: &Digest, lock: &Lock, report: Report<'_>) -> Result<PathBuf> {
        match &self.source {
            Source::Tree(path) => Ok(path.clone()),
            Source::Tarball(path) => {
                extract::extract(path, &self.cache.linux(identity), lock, report)
            }
        }
    }

    /// The image's directory in the cache, whether it exists or not. Its name is the hash
    /// of everything that the image depends on.
    fn directory(&self, identity: &Digest, overlay: &Overlay) -> Result<PathBuf> {
        let mut hasher = Hasher::default();
        hasher.field(identity.bytes());
        hasher.field(overlay.digest().bytes());
        hasher.field(config::merged(overlay, &self.flavour)?.as_bytes());
        hasher.field(toolchain::version()?.as_bytes());
        VARIABLES
            .iter()
            .for_each(|variable| hasher.field(variable.as_bytes()));
        Ok(self.cache.image(&hasher.finish()))
    }
}
