//! Compares two trees of the host in everything that a copy must keep.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::fs::{self, File, Metadata};
use std::io::{BufReader, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use rustix::buffer::spare_capacity;
use rustix::fs::{lgetxattr, llistxattr};
use rustix::io::Errno;

/// How many differences are shown.
const SHOWN: usize = 10;

/// The attributes that a copy must keep.
#[derive(Debug, PartialEq, Eq)]
struct Facts {
    mode: u32,
    uid: u32,
    gid: u32,
    modified: (i64, i64),
    /// The length; `None` for directories and links, where filesystems differ.
    len: Option<u64>,
    target: Option<PathBuf>,
    /// The first of its names.
    first_name: PathBuf,
    /// Whether half of it or more is holes.
    sparse: bool,
    xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// Fails if the trees differ, with the first differences.
pub(crate) fn compare(left: &Path, right: &Path) -> Result<()> {
    let (made, found) = (facts(left)?, facts(right)?);
    let mut differences = Vec::new();
    for (path, expected) in &made {
        match found.get(path) {
            None => differences.push(format!("{} is missing", path.display())),
            Some(facts) if facts != expected => {
                differences.push(format!("{}: {expected:?}, now {facts:?}", path.display()));
            }
            Some(Facts { len: Some(_), .. }) if !same(&left.join(path), &right.join(path))? => {
                differences.push(format!("{}: other contents", path.display()));
            }
            Some(_) => {}
        }
    }
    let new = found.keys().filter(|path| !made.contains_key(*path));
    differences.extend(new.map(|path| format!("{} is new", path.display())));
    if differences.is_empty() {
        return Ok(());
    }
    let count = differences.len();
    differences.truncate(SHOWN);
    bail!(
        "{count} differences, among them:\n{}",
        differences.join("\n")
    )
}

fn facts(top: &Path) -> Result<BTreeMap<PathBuf, Facts>> {
    let mut all = BTreeMap::new();
    let mut paths = vec![PathBuf::new()];
    while let Some(path) = paths.pop() {
        let full = top.join(&path);
        let metadata = full
            .symlink_metadata()
            .with_context(|| full.display().to_string())?;
        if metadata.is_dir() {
            for entry in fs::read_dir(&full)? {
                paths.push(path.join(entry?.file_name()));
            }
        }
        let inode = metadata.ino();
        all.insert(path, (inode, of(&full, &metadata)?));
    }
    let mut first = HashMap::new();
    let named = all.into_iter().map(|(path, (inode, mut facts))| {
        let first = first.entry(inode).or_insert_with(|| path.clone());
        facts.first_name.clone_from(first);
        (path, facts)
    });
    Ok(named.collect())
}

fn of(path: &Path, metadata: &Metadata) -> Result<Facts> {
    let target = match metadata.is_symlink() {
        true => Some(fs::read_link(path)?),
        false => None,
    };
    Ok(Facts {
        mode: metadata.mode(),
        uid: metadata.uid(),
        gid: metadata.gid(),
        modified: (metadata.mtime(), metadata.mtime_nsec()),
        len: metadata.is_file().then_some(metadata.len()),
        target,
        first_name: PathBuf::new(),
        sparse: metadata.is_file() && metadata.blocks() * 512 < metadata.len() / 2,
        xattrs: xattrs(path).with_context(|| path.display().to_string())?,
    })
}

fn xattrs(path: &Path) -> Result<BTreeMap<Vec<u8>, Vec<u8>>> {
    let mut names = Vec::with_capacity(64 << 10);
    match llistxattr(path, spare_capacity(&mut names)) {
        Err(Errno::OPNOTSUPP) => return Ok(BTreeMap::new()),
        result => result?,
    };
    let mut all = BTreeMap::new();
    for name in names.split(|&byte| byte == 0) {
        // Classes other than "user." are the host's business: labels and such.
        if !name.starts_with(b"user.") {
            continue;
        }
        let mut value = Vec::with_capacity(64 << 10);
        let key = OsString::from(std::ffi::OsStr::from_bytes(name));
        lgetxattr(path, &key, spare_capacity(&mut value))?;
        all.insert(name.to_vec(), value);
    }
    Ok(all)
}

/// Whether two files of equal length have the same contents.
fn same(left: &Path, right: &Path) -> Result<bool> {
    let open = |path: &Path| -> Result<_> {
        let file = File::open(path).with_context(|| path.display().to_string())?;
        Ok(BufReader::with_capacity(1 << 20, file))
    };
    let (mut left, mut right) = (open(left)?, open(right)?);
    let (mut one, mut other) = (vec![0; 64 << 10], vec![0; 64 << 10]);
    loop {
        let len = left.read(&mut one)?;
        if len == 0 {
            return Ok(true);
        }
        right.read_exact(&mut other[..len])?;
        if one[..len] != other[..len] {
            return Ok(false);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tree;
    use super::*;
    use std::os::unix::fs::{FileExt, PermissionsExt};

    #[test]
    fn finds_each_difference() -> Result<()> {
        let directory = tempfile::tempdir()?;
        let [one, other] = ["one", "other"].map(|name| directory.path().join(name));
        tree::make(&one)?;
        tree::make(&other)?;
        compare(&one, &other)?;

        let file = other.join("file 02");
        let time = file.metadata()?.modified()?;
        let damaged = File::options().write(true).open(&file)?;
        damaged.write_all_at(b"!", 500)?;
        damaged.set_modified(time)?;
        let differs = |what: &str| -> Result<()> {
            let error = compare(&one, &other).expect_err(what).to_string();
            assert!(error.contains(what), "{error}");
            Ok(())
        };
        differs("file 02: other contents")?;
        fs::remove_file(&file)?;
        differs("file 02 is missing")?;
        fs::copy(one.join("file 02"), &file)?;
        differs("modified")?;
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600))?;
        fs::write(other.join("directory 1/new"), "")?;
        differs("directory 1/new is new")
    }
}
