//! [`Source`]: the Linux source tree or tarball, its version and its hash.

use std::env;
use std::fmt;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::cache::Cache;
use crate::digest::{Digest, Hasher};
use crate::error::{Error, IoContext, Result};
use crate::progress::{Progress, Report};
use crate::tree;

/// Where Debian's package `linux-source-6.12` puts the source.
pub(crate) const DEBIAN_TARBALL: &str = "/usr/src/linux-source-6.12.tar.xz";

/// A Linux source. It is never written to.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Source {
    /// A source tree.
    Tree(PathBuf),
    /// A tarball of one, compressed in any way that tar(1) can undo.
    Tarball(PathBuf),
}

impl Source {
    /// The source that `DRUPE_LINUX_SOURCE` names, else the tarball of Debian's package.
    /// [`crate::requirements`] checks whether that is installed.
    pub fn from_env() -> Result<Source> {
        match env::var_os("DRUPE_LINUX_SOURCE") {
            Some(path) if !path.is_empty() => Source::at(Path::new(&path)),
            _ => Ok(Source::Tarball(DEBIAN_TARBALL.into())),
        }
    }

    /// The tree or tarball at `path`.
    pub fn at(path: &Path) -> Result<Source> {
        let refuse = |reason: &str| Error::NotLinux {
            path: path.into(),
            reason: reason.into(),
        };
        let absolute = path
            .canonicalize()
            .map_err(|error| refuse(&error.to_string()))?;
        if !absolute.is_dir() {
            return Ok(Source::Tarball(absolute));
        }
        Version::of_tree(&absolute)?;
        if absolute.join(".config").exists() || absolute.join("include/config").exists() {
            return Err(Error::DirtyTree { path: absolute });
        }
        Ok(Source::Tree(absolute))
    }

    /// The tree's directory or the tarball's file.
    pub fn path(&self) -> &Path {
        match self {
            Source::Tree(path) | Source::Tarball(path) => path,
        }
    }

    /// The hash of the content, which does not depend on the path: of all files of a
    /// tree, or of a tarball's bytes. It is remembered until a name, size or time
    /// changes.
    pub(crate) fn identity(&self, cache: &Cache, report: Report<'_>) -> Result<Digest> {
        match self {
            Source::Tree(path) => {
                let entries = tree::walk(path)?;
                cache.remember(&tree::fingerprint(path, &entries), || {
                    report(Progress::Hashing(path));
                    tree::content(path, &entries)
                })
            }
            Source::Tarball(path) => {
                let metadata = fs::metadata(path).on("examine", path)?;
                let mut fingerprint = Hasher::default();
                fingerprint.field(path.as_os_str().as_bytes());
                fingerprint.field(&metadata.size().to_le_bytes());
                fingerprint.field(&metadata.mtime().to_le_bytes());
                fingerprint.field(&metadata.mtime_nsec().to_le_bytes());
                cache.remember(&fingerprint.finish(), || {
                    report(Progress::Hashing(path));
                    Digest::of_file(path)
                })
            }
        }
    }
}

/// A kernel version, as the top Makefile states it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// 6 of 6.12.38.
    pub version: u32,
    /// 12 of 6.12.38.
    pub patchlevel: u32,
    /// 38 of 6.12.38.
    pub sublevel: u32,
    /// `-rc1` and the like.
    pub extra: String,
}

impl Version {
    /// Reads the version of the tree at `path`; an error unless it is 6.12.
    pub fn of_tree(path: &Path) -> Result<Version> {
        let refuse = |reason: &str| Error::NotLinux {
            path: path.to_owned(),
            reason: reason.to_owned(),
        };
        // Read by far fewer projects than have a Makefile.
        if !path.join("Kconfig").exists() || !path.join("arch/x86").exists() {
            return Err(refuse("not a Linux source tree"));
        }
        let makefile = fs::read_to_string(path.join("Makefile"))
            .map_err(|_| refuse("not a Linux source tree: it has no Makefile"))?;
        let version = Version::parse(&makefile)
            .ok_or_else(|| refuse("not a Linux source tree: its Makefile states no version"))?;
        if (version.version, version.patchlevel) != (6, 12) {
            return Err(Error::WrongVersion {
                path: path.into(),
                version: version.to_string(),
            });
        }
        Ok(version)
    }

    fn parse(makefile: &str) -> Option<Version> {
        let value = |name: &str| {
            makefile.lines().find_map(|line| {
                let (left, right) = line.split_once('=')?;
                (left.trim() == name).then(|| right.trim())
            })
        };
        Some(Version {
            version: value("VERSION")?.parse().ok()?,
            patchlevel: value("PATCHLEVEL")?.parse().ok()?,
            sublevel: value("SUBLEVEL")?.parse().ok()?,
            extra: value("EXTRAVERSION").unwrap_or_default().to_owned(),
        })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Version {
            version,
            patchlevel,
            sublevel,
            extra,
        } = self;
        write!(f, "{version}.{patchlevel}.{sublevel}{extra}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAKEFILE: &str = "# SPDX-License-Identifier: GPL-2.0\nVERSION = 6\nPATCHLEVEL = 12\n\
                            SUBLEVEL = 7\nEXTRAVERSION =\nNAME = Baby Opossum Posse\n";

    fn tree(makefile: &str) -> tempfile::TempDir {
        let tree = tempfile::tempdir().unwrap();
        fs::create_dir_all(tree.path().join("arch/x86")).unwrap();
        fs::write(tree.path().join("Kconfig"), "").unwrap();
        fs::write(tree.path().join("Makefile"), makefile).unwrap();
        tree
    }

    #[test]
    fn a_tree_of_the_right_version_is_taken() {
        let tree = tree(MAKEFILE);
        assert!(matches!(Source::at(tree.path()), Ok(Source::Tree(_))));
        assert_eq!(Version::of_tree(tree.path()).unwrap().to_string(), "6.12.7");
    }

    #[test]
    fn another_version_is_refused_by_name() {
        let tree = tree(&MAKEFILE.replace("12", "13"));
        let message = Source::at(tree.path()).unwrap_err().to_string();
        assert!(message.contains("is Linux 6.13.7"), "{message}");
    }

    #[test]
    fn a_built_tree_is_refused() {
        let tree = tree(MAKEFILE);
        fs::write(tree.path().join(".config"), "").unwrap();
        assert!(matches!(
            Source::at(tree.path()),
            Err(Error::DirtyTree { .. })
        ));
    }

    #[test]
    fn anything_else_is_refused() {
        let empty = tempfile::tempdir().unwrap();
        assert!(matches!(
            Source::at(empty.path()),
            Err(Error::NotLinux { .. })
        ));
        let message = Source::at(Path::new("/no/such")).unwrap_err().to_string();
        assert!(message.starts_with("/no/such: No such file"), "{message}");
        let tree = tree("all:\n");
        assert!(matches!(
            Source::at(tree.path()),
            Err(Error::NotLinux { .. })
        ));
    }

    #[test]
    fn the_same_tree_elsewhere_has_the_same_identity() {
        let (one, other) = (tree(MAKEFILE), tree(MAKEFILE));
        let cache = crate::cache::test_directory();
        let cache = Cache::at(cache.path()).unwrap();
        let identity = |path: &Path| {
            Source::at(path)
                .unwrap()
                .identity(&cache, &mut |_| {})
                .unwrap()
        };
        assert_eq!(identity(one.path()), identity(other.path()));
        fs::write(other.path().join("Kconfig"), "config X").unwrap();
        assert_ne!(identity(one.path()), identity(other.path()));
    }
}
