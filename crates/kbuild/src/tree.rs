//! Walks a directory tree in a fixed order, and hashes it.

use std::fs::{self, Metadata};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::digest::{Digest, Hasher};
use crate::error::{IoContext, Result};

/// A file or symbolic link of a tree.
pub(crate) struct Entry {
    /// Its path below the tree's root.
    pub(crate) relative: PathBuf,
    /// Its own metadata: links are not followed.
    pub(crate) metadata: Metadata,
}

/// All files and links below `root`, sorted by path, without the top directory's `.git`.
pub(crate) fn walk(root: &Path) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    let mut directories = vec![PathBuf::new()];
    while let Some(directory) = directories.pop() {
        let path = root.join(&directory);
        for entry in fs::read_dir(&path).on("read", &path)? {
            let entry = entry.on("read", &path)?;
            let relative = directory.join(entry.file_name());
            let metadata = entry.metadata().on("examine", &entry.path())?;
            if relative == Path::new(".git") {
                continue;
            }
            if metadata.is_dir() {
                directories.push(relative);
            } else {
                entries.push(Entry { relative, metadata });
            }
        }
    }
    entries.sort_by(|a, b| a.relative.cmp(&b.relative));
    Ok(entries)
}

/// The hash of the names, permissions and contents of `entries`.
pub(crate) fn content(root: &Path, entries: &[Entry]) -> Result<Digest> {
    let mut hasher = Hasher::default();
    for entry in entries {
        let path = root.join(&entry.relative);
        hasher.field(entry.relative.as_os_str().as_bytes());
        if entry.metadata.is_symlink() {
            let target = fs::read_link(&path).on("read", &path)?;
            hasher.field(b"link");
            hasher.field(target.as_os_str().as_bytes());
        } else {
            // Only whether it can be run: the rest depends on the umask.
            let executable = entry.metadata.mode() & 0o100 != 0;
            hasher.field(if executable { b"program" } else { b"file" });
            hasher.file(&path)?;
        }
    }
    Ok(hasher.finish())
}

/// The hash of names, sizes and times, which stands for the content without reading it.
pub(crate) fn fingerprint(root: &Path, entries: &[Entry]) -> Digest {
    let mut hasher = Hasher::default();
    hasher.field(root.as_os_str().as_bytes());
    for Entry { relative, metadata } in entries {
        hasher.field(relative.as_os_str().as_bytes());
        for number in [
            metadata.size().cast_signed(),
            metadata.mtime(),
            metadata.mtime_nsec(),
            i64::from(metadata.mode()),
        ] {
            hasher.field(&number.to_le_bytes());
        }
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(root: &Path) -> Digest {
        content(root, &walk(root).unwrap()).unwrap()
    }

    #[test]
    fn content_sees_names_bytes_and_links_but_not_git() {
        let tree = tempfile::tempdir().unwrap();
        let root = tree.path();
        fs::create_dir_all(root.join("a/b")).unwrap();
        fs::write(root.join("a/b/file"), "text").unwrap();
        let before = hash(root);

        fs::create_dir(root.join(".git")).unwrap();
        fs::write(root.join(".git/HEAD"), "ref").unwrap();
        assert_eq!(hash(root), before);

        fs::write(root.join("a/b/file"), "Text").unwrap();
        let changed = hash(root);
        assert_ne!(changed, before);

        std::os::unix::fs::symlink("b", root.join("a/link")).unwrap();
        assert_ne!(hash(root), changed);
    }

    #[test]
    fn fingerprint_sees_a_new_size() {
        let tree = tempfile::tempdir().unwrap();
        fs::write(tree.path().join("file"), "text").unwrap();
        let before = fingerprint(tree.path(), &walk(tree.path()).unwrap());
        fs::write(tree.path().join("file"), "more text").unwrap();
        assert_ne!(
            fingerprint(tree.path(), &walk(tree.path()).unwrap()),
            before
        );
    }
}
