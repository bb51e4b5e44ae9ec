//! [`Cache`]: the cache directory, its layout and its lock.
//!
//! ```text
//! cache/
//!   lock             held by the process that changes anything but images
//!   known/<hash>     hashes of sources, remembered by name, size and time
//!   linux/<source>/  unpacked tarballs
//!   shadow/<source>/ links to a source, plus the overlay
//!   build/<source>-<flavour>/  objects
//!   images/<key>/    results: image.elf, vmlinux, config
//!   tmp/             directories that are not complete yet
//! ```
//!
//! Directories appear under their final name by rename(2), complete or not at
//! all; so a process that only wants a finished image needs no lock.

use std::env;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::digest::Digest;
use crate::error::{Error, IoContext, Result};
use crate::progress::{Progress, Report};

/// How many finished images are kept; the least recently used ones are removed.
const IMAGES_KEPT: usize = 24;

/// A cache directory.
#[derive(Debug, Clone)]
pub struct Cache {
    root: PathBuf,
}

impl Cache {
    /// The cache that `DRUPE_CACHE`, else `XDG_CACHE_HOME`, else `HOME` names, else one
    /// in `/var/tmp`.
    pub fn from_env() -> Result<Cache> {
        let variable = |name| env::var_os(name).filter(|value| !value.is_empty());
        let root = if let Some(path) = variable("DRUPE_CACHE") {
            PathBuf::from(path)
        } else if let Some(path) = variable("XDG_CACHE_HOME") {
            Path::new(&path).join("drupe")
        } else if let Some(path) = variable("HOME") {
            Path::new(&path).join(".cache/drupe")
        } else {
            PathBuf::from("/var/tmp/drupe-cache")
        };
        Cache::at(&root)
    }

    /// The cache at `root`, which is created if need be.
    pub fn at(root: &Path) -> Result<Cache> {
        fs::create_dir_all(root).on("create", root)?;
        let root = root.canonicalize().on("find", root)?;
        match unusable(&root) {
            Some(reason) => Err(Error::CachePath { path: root, reason }),
            None => Ok(Cache { root }),
        }
    }

    /// The directory itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn linux(&self, source: &Digest) -> PathBuf {
        self.root.join("linux").join(source.short())
    }

    pub(crate) fn shadow(&self, source: &Digest) -> PathBuf {
        self.root.join("shadow").join(source.short())
    }

    pub(crate) fn build(&self, source: &Digest, name: &str) -> PathBuf {
        self.root
            .join("build")
            .join(format!("{}-{name}", source.short()))
    }

    pub(crate) fn image(&self, key: &Digest) -> PathBuf {
        self.root.join("images").join(key.to_string())
    }

    /// Locks the cache until the result is dropped, waiting for other processes. The lock
    /// ends with the process.
    pub(crate) fn lock(&self, report: Report<'_>) -> Result<Lock> {
        let path = self.root.join("lock");
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .on("open", &path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                report(Progress::Waiting);
                file.lock().on("lock", &path)?;
            }
            Err(TryLockError::Error(error)) => return Err(error).on("lock", &path),
        }
        // Only the holder of the lock makes anything there: these are remains.
        let tmp = self.root.join("tmp");
        if tmp.exists() {
            fs::remove_dir_all(&tmp).on("remove", &tmp)?;
        }
        fs::create_dir_all(&tmp).on("create", &tmp)?;
        Ok(Lock { _file: file, tmp })
    }

    /// The hash remembered for `fingerprint`, or the result of `compute`, which is then
    /// remembered.
    pub(crate) fn remember(
        &self,
        fingerprint: &Digest,
        compute: impl FnOnce() -> Result<Digest>,
    ) -> Result<Digest> {
        let path = self.root.join("known").join(fingerprint.to_string());
        let known = fs::read_to_string(&path)
            .ok()
            .and_then(|text| text.trim().parse().ok());
        if let Some(digest) = known {
            return Ok(digest);
        }
        let digest = compute()?;
        fs::create_dir_all(self.root.join("known")).on("create", &path)?;
        // A torn write does not parse as a digest, so this needs no rename.
        fs::write(&path, digest.to_string()).on("write", &path)?;
        Ok(digest)
    }

    /// Removes the images that have not been used for longest.
    pub(crate) fn prune_images(&self, _lock: &Lock) -> Result<()> {
        let directory = self.root.join("images");
        let mut images: Vec<(SystemTime, PathBuf)> = Vec::new();
        for entry in fs::read_dir(&directory).on("read", &directory)? {
            let entry = entry.on("read", &directory)?;
            let used = entry.metadata().and_then(|metadata| metadata.modified());
            images.push((used.on("examine", &entry.path())?, entry.path()));
        }
        images.sort();
        images.reverse();
        for (_, path) in images.iter().skip(IMAGES_KEPT) {
            fs::remove_dir_all(path).on("remove", path)?;
        }
        Ok(())
    }
}

/// Why the kernel's makefiles cannot build at `path`. `None`: they can.
fn unusable(path: &Path) -> Option<&'static str> {
    match path.to_str() {
        None => Some("is not UTF-8"),
        Some(text) if text.contains([' ', ':']) => Some("contains a space or a colon"),
        Some(_) => None,
    }
}

/// A temporary directory for a test's cache: in /tmp where the kernel's makefiles
/// cannot build below `TMPDIR`.
#[cfg(test)]
pub(crate) fn test_directory() -> tempfile::TempDir {
    let directory = match unusable(&env::temp_dir()) {
        None => tempfile::tempdir(),
        Some(_) => tempfile::tempdir_in("/tmp"),
    };
    directory.unwrap()
}

/// The right to change the cache.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
    tmp: PathBuf,
}

impl Lock {
    /// An empty directory for something that will be renamed when complete.
    pub(crate) fn scratch(&self, name: &str) -> Result<PathBuf> {
        let path = self.tmp.join(name);
        if path.exists() {
            fs::remove_dir_all(&path).on("remove", &path)?;
        }
        fs::create_dir_all(&path).on("create", &path)?;
        Ok(path)
    }
}

/// Gives a complete directory its final name.
pub(crate) fn publish(complete: &Path, name: &Path) -> Result<()> {
    if let Some(parent) = name.parent() {
        fs::create_dir_all(parent).on("create", parent)?;
    }
    fs::rename(complete, name).on("rename", complete)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Hasher;

    fn digest(text: &str) -> Digest {
        let mut hasher = Hasher::default();
        hasher.field(text.as_bytes());
        hasher.finish()
    }

    #[test]
    fn a_hash_is_computed_once() {
        let directory = test_directory();
        let cache = Cache::at(directory.path()).unwrap();
        let first = cache
            .remember(&digest("name"), || Ok(digest("content")))
            .unwrap();
        let second = cache
            .remember(&digest("name"), || panic!("computed twice"))
            .unwrap();
        assert_eq!(first, second);
    }

    #[test]
    fn the_lock_waits_for_its_holder() {
        let directory = test_directory();
        let cache = Cache::at(directory.path()).unwrap();
        let held = cache.lock(&mut |_| {}).unwrap();
        let remains = held.scratch("remains").unwrap();
        let (sender, receiver) = std::sync::mpsc::channel();
        let other = std::thread::spawn({
            let cache = cache.clone();
            move || {
                cache.lock(&mut |progress| {
                    assert_eq!(progress, Progress::Waiting);
                    sender.send(()).unwrap();
                })
            }
        });
        receiver.recv().unwrap();
        assert!(remains.exists());
        drop(held);
        other.join().unwrap().unwrap();
        assert!(!remains.exists());
    }

    #[test]
    fn a_path_that_make_cannot_use_is_refused() {
        let directory = test_directory();
        let message = Cache::at(&directory.path().join("with space"))
            .unwrap_err()
            .to_string();
        assert!(
            message.contains("with space") && message.contains("DRUPE_CACHE"),
            "{message}"
        );
    }

    #[test]
    fn old_images_go() {
        let directory = test_directory();
        let cache = Cache::at(directory.path()).unwrap();
        for number in 0..IMAGES_KEPT + 2 {
            let path = cache.image(&digest(&number.to_string()));
            fs::create_dir_all(&path).unwrap();
            let age = std::time::Duration::from_secs(1000 - number as u64);
            File::open(&path)
                .unwrap()
                .set_modified(SystemTime::now() - age)
                .unwrap();
        }
        cache
            .prune_images(&cache.lock(&mut |_| {}).unwrap())
            .unwrap();
        assert!(!cache.image(&digest("0")).exists());
        assert!(!cache.image(&digest("1")).exists());
        assert!(cache.image(&digest("2")).exists());
    }
}
