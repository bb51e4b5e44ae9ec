//! The overlay: the architecture port, as it lies in the checkout.

use std::path::{Path, PathBuf};

use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::tree::{self, Entry};

/// The one directory that is added to the Linux tree.
pub(crate) const ARCH: &str = "arch/drupe";

/// A directory of files to add to a Linux tree, all of them in `arch/drupe`.
///
/// # Invariants
///
/// No file is outside `arch/drupe`: an overlay can add, never replace.
#[derive(Debug, Clone)]
pub struct Overlay {
    root: PathBuf,
    /// Paths below `root`, sorted.
    files: Vec<PathBuf>,
    digest: Digest,
}

impl Overlay {
    /// Reads the overlay at `root` (the checkout's `kernel` directory). Hidden
    /// files and editors' backups are no part of it.
    pub fn at(root: &Path) -> Result<Overlay> {
        let refuse = |reason: String| Error::Overlay {
            path: root.to_owned(),
            reason,
        };
        if !root.join(ARCH).is_dir() {
            return Err(refuse(format!("has no {ARCH}")));
        }
        let mut entries = tree::walk(root)?;
        entries.retain(|Entry { relative, .. }| !ignored(relative));
        if let Some(entry) = entries
            .iter()
            .find(|entry| !entry.relative.starts_with(ARCH))
        {
            // INVARIANT: refused here, so nothing outside `arch/drupe` gets in.
            let path = entry.relative.display();
            return Err(refuse(format!(
                "has {path}, outside {ARCH}; move it or remove it"
            )));
        }
        let digest = tree::content(root, &entries)?;
        let files = entries.into_iter().map(|entry| entry.relative).collect();
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
    fn refuses_to_replace_a_file_of_the_tree() {
        let overlay = tempfile::tempdir().unwrap();
        fs::create_dir_all(overlay.path().join(ARCH)).unwrap();
        fs::create_dir_all(overlay.path().join("fs")).unwrap();
        fs::write(overlay.path().join("fs/open.c"), "").unwrap();
        let message = Overlay::at(overlay.path()).unwrap_err().to_string();
        assert!(message.contains("fs/open.c"), "{message}");
    }
}
