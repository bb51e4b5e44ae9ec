//! [`Manifest`]: a list of everything in a tree of files, and the differences of two.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use drupe::{Metadata, Mount};

use crate::capabilities::Capabilities;
use crate::contents::digest;
use crate::tree::Nanos;

/// Differences that are shown.
const SHOWN: usize = 12;

/// All that is to be compared of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Facts {
    /// `S_IFREG` and so on.
    pub(crate) kind: u32,
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) modified: Nanos,
    pub(crate) len: u64,
    pub(crate) digest: u64,
    pub(crate) target: PathBuf,
    pub(crate) device: u64,
    /// The first of its names: equal for hard links.
    pub(crate) first_name: PathBuf,
    pub(crate) xattrs: BTreeMap<String, Vec<u8>>,
}

impl Facts {
    /// Without what the filesystem can't keep.
    pub(crate) fn reduced(mut self, path: &Path, can: &Capabilities) -> Facts {
        if !can.modes {
            self.mode = 0;
        }
        if !can.owners {
            (self.uid, self.gid) = (0, 0);
        }
        if !can.device_numbers {
            self.device = 0;
        }
        if !can.hard_links {
            self.first_name = path.to_owned();
        }
        if !can.directory_times && self.kind == libc::S_IFDIR {
            self.modified = 0;
        }
        self.modified = self.modified.div_euclid(can.time_step) * can.time_step;
        self.xattrs
            .retain(|name, _| can.xattrs.iter().any(|class| name.starts_with(class)));
        self
    }
}

/// The files of a tree by their paths.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Manifest(pub(crate) BTreeMap<PathBuf, Facts>);

impl Manifest {
    /// What is in a mount. `lost+found` is not.
    pub(crate) fn of(
        mount: &Mount,
        can: &Capabilities,
    ) -> Result<Manifest, Box<dyn std::error::Error>> {
        let mut all = BTreeMap::new();
        let mut directories = vec![PathBuf::new()];
        while let Some(directory) = directories.pop() {
            for entry in mount.read_dir(Path::new("/").join(&directory))? {
                let entry = entry?;
                let path = directory.join(entry.name());
                if path == Path::new("lost+found") {
                    continue;
                }
                let metadata = entry.metadata()?;
                if metadata.is_dir() {
                    directories.push(path.clone());
                }
                all.insert(
                    path.clone(),
                    (metadata.ino(), facts(mount, &path, &metadata)?),
                );
            }
        }
        let mut first = BTreeMap::new();
        let named = all.into_iter().map(|(path, (inode, mut facts))| {
            let first = first.entry(inode).or_insert_with(|| path.clone());
            facts.first_name.clone_from(first);
            let facts = facts.reduced(&path, can);
            (path, facts)
        });
        Ok(Manifest(named.collect()))
    }

    /// An error that lists the differences, if there are any.
    pub(crate) fn compare(&self, found: &Manifest) -> Result<(), String> {
        let mut differences = Vec::new();
        for (path, expected) in &self.0 {
            match found.0.get(path) {
                None => differences.push(format!("{path:?} is missing")),
                Some(facts) if facts != expected => {
                    differences.push(format!(
                        "{path:?}:\n  made  {expected:?}\n  found {facts:?}"
                    ));
                }
                Some(_) => {}
            }
        }
        let unknown = found.0.keys().filter(|path| !self.0.contains_key(*path));
        differences.extend(unknown.map(|path| format!("{path:?} was not made")));
        let count = differences.len();
        differences.truncate(SHOWN);
        match count {
            0 => Ok(()),
            _ => Err(format!("{count} differences\n{}", differences.join("\n"))),
        }
    }
}

/// What is known of one file.
fn facts(mount: &Mount, path: &Path, metadata: &Metadata) -> drupe::Result<Facts> {
    let inside = Path::new("/").join(path);
    let contents = match metadata.is_file() {
        true => mount.read(&inside)?,
        false => Vec::new(),
    };
    let mut xattrs = BTreeMap::new();
    for name in mount.llist_xattr(&inside)? {
        // XFS shows access lists twice, in its own form too.
        if name.as_bytes().starts_with(b"trusted.SGI_ACL_") {
            continue;
        }
        let value = mount.lget_xattr(&inside, &name)?.unwrap_or_default();
        xattrs.insert(String::from_utf8_lossy(name.as_bytes()).into_owned(), value);
    }
    let file_type = metadata.file_type();
    let is_device = file_type.is_block_device() || file_type.is_char_device();
    Ok(Facts {
        kind: metadata.mode() & libc::S_IFMT,
        mode: metadata.mode() & 0o7777,
        uid: metadata.uid(),
        gid: metadata.gid(),
        modified: metadata.modified().map_or(Nanos::MAX, nanos),
        len: if metadata.is_file() {
            metadata.len()
        } else {
            0
        },
        digest: if metadata.is_file() {
            digest(&contents)
        } else {
            0
        },
        target: match metadata.is_symlink() {
            true => mount.read_link(&inside)?,
            false => PathBuf::new(),
        },
        device: if is_device { metadata.rdev() } else { 0 },
        first_name: path.to_owned(),
        xattrs,
    })
}

/// Nanoseconds since 1970.
fn nanos(time: SystemTime) -> Nanos {
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => after.as_nanos() as i128,
        Err(before) => -(before.duration().as_nanos() as i128),
    }
}
