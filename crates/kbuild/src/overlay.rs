//! [`Overlay`]: the files of the architecture port, which are added to the Linux source.

use std::path::{Path, PathBuf};

use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::tree;

/// The directory that is added to the Linux tree.
pub(crate) const ARCH: &str = "arch/drupe";

/// The files of a checkout that are added to a Linux tree.
///
/// # Invariants
///
/// All files are in `arch/drupe`; nothing else is read. So an overlay can add to a Linux
/// tree, but replace nothing in it.
#[derive(Debug, Clone)]
pub struct Overlay {
    root: PathBuf,
    /// Paths below `root`, sorted.
    files: Vec<PathBuf>,
    digest: Digest,
}

impl Overlay {
    /// Reads the overlay at `root` (the checkout's `kernel` directory). Hidden files and
    /// editors' backups are left out.
    pub fn at(root: &Path) -> Result<Overlay> {
        let arch = root.join(ARCH);
        if !arch.is_dir() {
            let reason = format!("has no {ARCH}");
            return Err(Error::Overlay {
                path: root.to_owned(),
                reason,
            });
        }
        let mut entries = tree::walk(&arch)?;
        entries.retain(|entry| !ignored(&entry.relative));
        let digest = tree::content(&arch, &entries)?;
        // INVARIANT: each path starts with `arch/drupe` because it is put there.
        let files = entries
            .iter()
            .map(|entry| Path::new(ARCH).join(&entry.relative))
            .collect();
        Ok(Overlay {
            root: root.to_owned(),
            files,
            digest,
        })
    }

    /// The directory that holds `arch/drupe`.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The files, relative to [`Overlay::root`].
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// The hash of names and contents.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The directory of the configuration fragments.
    pub(crate) fn configs(&self) -> PathBuf {
        self.root.join(ARCH).join("configs")
    }
}

fn ignored(relative: &Path) -> bool {
    relative.iter().any(|name| {
        let name = name.as_encoded_bytes();
        name.starts_with(b".") || name.ends_with(b"~") || name.ends_with(b".orig")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn adds_files_and_ignores_backups() {
        let overlay = tempfile::tempdir().unwrap();
        let arch = overlay.path().join(ARCH);
        fs::create_dir_all(arch.join("kernel")).unwrap();
        fs::write(arch.join("kernel/setup.c"), "").unwrap();
        let before = Overlay::at(overlay.path()).unwrap();
        fs::write(arch.join("kernel/setup.c~"), "").unwrap();
        fs::write(arch.join("kernel/.setup.c.swp"), "").unwrap();
        let after = Overlay::at(overlay.path()).unwrap();
        assert_eq!(after.files(), [Path::new("arch/drupe/kernel/setup.c")]);
        assert_eq!(before.digest(), after.digest());
    }

    #[test]
    fn files_elsewhere_are_no_part_of_it() {
        let overlay = tempfile::tempdir().unwrap();
        fs::create_dir_all(overlay.path().join(ARCH)).unwrap();
        fs::create_dir_all(overlay.path().join("fs")).unwrap();
        fs::write(overlay.path().join("fs/open.c"), "").unwrap();
        assert!(Overlay::at(overlay.path()).unwrap().files().is_empty());
    }

    #[test]
    fn a_directory_without_the_port_is_refused() {
        let empty = tempfile::tempdir().unwrap();
        let message = Overlay::at(empty.path()).unwrap_err().to_string();
        assert!(message.ends_with("has no arch/drupe"), "{message}");
    }
}
