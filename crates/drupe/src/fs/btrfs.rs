//! What only btrfs has: [`Subvolume`]s, snapshots, [`Scrub`]. ENOTTY on other filesystems.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use drupe_abi::Errno;
use drupe_machine::Error as MachineError;

use super::file::named;
use crate::error::Result;
use crate::sys;
use crate::sys::control::{
    BTRFS_INFO, BTRFS_LOOKUP, BTRFS_SCRUB, BTRFS_SEARCH, BTRFS_SNAPSHOT, BTRFS_SUBVOLUME_CREATE,
    BTRFS_SUBVOLUME_DELETE,
};
use crate::{Dir, Mount};

/// A subvolume of a btrfs, or a snapshot, which is one too.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Subvolume {
    /// Its number, for the mount option `subvolid=`.
    pub id: u64,
    /// The number of the subvolume that its directory is in; 5 is the top.
    pub parent: u64,
    /// The generation of its last change.
    pub generation: u64,
    /// Whether it cannot be written to.
    pub read_only: bool,
    /// Its path from the top of the filesystem, without a `/` at its beginning.
    pub path: PathBuf,
}

/// What a scrub has found, in all devices together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Scrub {
    /// Bytes of data and of metadata that were read.
    pub data_bytes: u64,
    /// The same of metadata.
    pub tree_bytes: u64,
    /// Blocks that could not be read.
    pub read_errors: u64,
    /// Blocks whose checksum is wrong.
    pub checksum_errors: u64,
    /// Blocks of metadata that are not what they should be.
    pub verify_errors: u64,
    /// Superblocks that are damaged.
    pub super_errors: u64,
    /// Errors that nothing could be done about: no copy is intact.
    pub uncorrectable_errors: u64,
    /// Errors that were repaired from another copy.
    pub corrected_errors: u64,
}

impl Scrub {
    /// Whether all is well.
    pub fn is_clean(&self) -> bool {
        let Scrub {
            read_errors,
            checksum_errors,
            verify_errors,
            super_errors,
            uncorrectable_errors,
            corrected_errors,
            ..
        } = self;
        [
            read_errors,
            checksum_errors,
            verify_errors,
            super_errors,
            uncorrectable_errors,
            corrected_errors,
        ]
        .iter()
        .all(|&&count| count == 0)
    }
}

/// The tree of tree roots.
const ROOT_TREE: u64 = 1;
/// The tree that is the top of the filesystem.
const FS_TREE: u64 = 5;
/// Numbers of subvolumes.
const SUBVOLUMES: (u64, u64) = (256, u64::MAX - 255);
/// Types of items: a subvolume, and where it is.
const ROOT_ITEM: u32 = 132;
const ROOT_BACKREF: u32 = 144;
/// `struct btrfs_ioctl_search_key`, and that of each item found.
const SEARCH_KEY: usize = 104;
const ITEM_HEADER: usize = 32;
/// `BTRFS_SUBVOL_RDONLY`, and `BTRFS_ROOT_SUBVOL_RDONLY` of an item.
const READ_ONLY: u64 = 2;
const ITEM_READ_ONLY: u64 = 1;

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let found = bytes.get(at..).and_then(|rest| rest.first_chunk());
    u64::from_le_bytes(found.copied().unwrap_or_default())
}

/// Puts a name, with a zero behind it, at `at` of an argument.
fn name_into(argument: &mut [u8; 4096], at: usize, name: &[u8]) -> sys::Result<()> {
    // BTRFS_VOL_NAME_MAX
    if name.len() > 255 {
        return Err(MachineError::Errno(Errno::NAMETOOLONG));
    }
    argument[at..at + name.len()].copy_from_slice(name);
    Ok(())
}

impl Dir {
    /// Makes an empty subvolume.
    pub fn create_subvolume(&self, name: impl AsRef<OsStr>) -> Result<()> {
        self.entry("create subvolume", name.as_ref(), |sys, dir, name| {
            let mut argument = [0; 4096];
            name_into(&mut argument, 8, name.to_bytes())?;
            sys.control(dir, BTRFS_SUBVOLUME_CREATE, &mut argument)
        })
    }

    /// Removes a subvolume with all that is in it. EINVAL: it is none; ENOTEMPTY: another
    /// one is in it.
    pub fn delete_subvolume(&self, name: impl AsRef<OsStr>) -> Result<()> {
        self.entry("delete subvolume", name.as_ref(), |sys, dir, name| {
            let mut argument = [0; 4096];
            name_into(&mut argument, 8, name.to_bytes())?;
            sys.control(dir, BTRFS_SUBVOLUME_DELETE, &mut argument)
        })
    }

    /// Makes a snapshot, called `name` in this directory, of the subvolume whose top
    /// directory `source` is. EINVAL: it is none.
    pub fn snapshot(&self, source: &Dir, name: impl AsRef<OsStr>, read_only: bool) -> Result<()> {
        self.entry("snapshot", name.as_ref(), |sys, dir, name| {
            let mut argument = [0; 4096];
            let fd = i64::from(source.descriptor().raw());
            argument[..8].copy_from_slice(&fd.to_le_bytes());
            if read_only {
                argument[16..24].copy_from_slice(&READ_ONLY.to_le_bytes());
            }
            name_into(&mut argument, 56, name.to_bytes())?;
            sys.control(dir, BTRFS_SNAPSHOT, &mut argument)
        })
    }
}

/// An item of the tree of roots: its key's object and offset, and its bytes.
struct Item {
    object: u64,
    offset: u64,
    bytes: Vec<u8>,
}

impl Mount {
    /// All subvolumes of the filesystem, by their numbers, without the top.
    pub fn subvolumes(&self) -> Result<Vec<Subvolume>> {
        named("list subvolumes", self.find_subvolumes())
    }

    fn find_subvolumes(&self) -> sys::Result<Vec<Subvolume>> {
        let mut roots = self.items(ROOT_ITEM)?;
        // Of one that is replaced, the newest counts, which is the last.
        roots.reverse();
        let mut places: Vec<(u64, u64, PathBuf)> = Vec::new();
        for item in self.items(ROOT_BACKREF)? {
            // dirid, sequence, the name's length and the name.
            let dir = u64_at(&item.bytes, 0);
            let name = item.bytes.get(18..).unwrap_or_default();
            let mut path = self.path_of(item.offset, dir)?;
            path.extend(name);
            let path = PathBuf::from(std::ffi::OsString::from_vec(path));
            places.push((item.object, item.offset, path));
        }
        let full = |mut at: u64| {
            let mut path = PathBuf::new();
            // One that is in itself would be a damaged tree.
            for _ in 0..=places.len() {
                let Some((_, parent, name)) = places.iter().find(|(id, ..)| *id == at) else {
                    break;
                };
                path = match path.as_os_str().is_empty() {
                    true => name.clone(),
                    false => name.join(path),
                };
                at = *parent;
            }
            path
        };
        let all = places.iter().map(|(id, parent, _)| {
            let root = roots.iter().find(|item| item.object == *id);
            let root = root.map_or(&[][..], |item| &item.bytes);
            Subvolume {
                id: *id,
                parent: *parent,
                // Behind the inode of 160 bytes.
                generation: u64_at(root, 160),
                read_only: u64_at(root, 208) & ITEM_READ_ONLY != 0,
                path: full(*id),
            }
        });
        Ok(all.collect())
    }

    /// The items of a type in the tree of roots that belong to subvolumes.
    fn items(&self, kind: u32) -> sys::Result<Vec<Item>> {
        let root = &self.inner.root;
        let mut items = Vec::new();
        let (mut object, mut first_kind, mut offset) = (SUBVOLUMES.0, kind, 0);
        loop {
            let mut argument = [0; 4096];
            let words = [
                ROOT_TREE,
                object,
                SUBVOLUMES.1,
                offset,
                u64::MAX,
                0,
                u64::MAX,
            ];
            for (place, word) in argument.chunks_exact_mut(8).zip(words) {
                place.copy_from_slice(&word.to_le_bytes());
            }
            let kinds = [first_kind, kind, 4096];
            for (place, word) in argument[56..].chunks_exact_mut(4).zip(kinds) {
                place.copy_from_slice(&word.to_le_bytes());
            }
            root.sys()
                .control(root.raw(), BTRFS_SEARCH, &mut argument)?;
            let count = u64_at(&argument, 64) as u32;
            if count == 0 {
                return Ok(items);
            }
            let start = (object, first_kind, offset);
            let mut at = SEARCH_KEY;
            for _ in 0..count {
                // transid, objectid, offset, type and len.
                (object, offset) = (u64_at(&argument, at + 8), u64_at(&argument, at + 16));
                let types = u64_at(&argument, at + 24);
                let (found, len) = (types as u32, (types >> 32) as usize);
                first_kind = found;
                let bytes = argument.get(at + ITEM_HEADER..at + ITEM_HEADER + len);
                let bytes = bytes.ok_or(MachineError::Errno(Errno::OVERFLOW))?;
                // The bounds are those of whole keys: other types lie between.
                if found == kind {
                    items.push(Item {
                        object,
                        offset,
                        bytes: bytes.to_vec(),
                    });
                }
                at += ITEM_HEADER + len;
            }
            // A damaged tree may go backwards, and on for ever.
            if (object, first_kind, offset) < start {
                return Err(MachineError::Errno(Errno::IO));
            }
            // From the key behind the last one.
            match offset.checked_add(1) {
                Some(next) => offset = next,
                None => (object, first_kind, offset) = (object + 1, kind, 0),
            }
        }
    }

    /// The path of a directory in a subvolume, with a `/` behind it unless it is the top.
    fn path_of(&self, tree: u64, dir: u64) -> sys::Result<Vec<u8>> {
        let root = &self.inner.root;
        let mut argument = [0; 4096];
        argument[..8].copy_from_slice(&tree.to_le_bytes());
        argument[8..16].copy_from_slice(&dir.to_le_bytes());
        root.sys()
            .control(root.raw(), BTRFS_LOOKUP, &mut argument)?;
        let path = argument[16..].split(|&byte| byte == 0).next();
        Ok(path.unwrap_or_default().to_vec())
    }

    /// The number of the subvolume that is mounted.
    pub fn subvolume_id(&self) -> Result<u64> {
        let root = &self.inner.root;
        let mut argument = [0; 4096];
        // That of the directory asked with, and its first directory.
        argument[8..16].copy_from_slice(&SUBVOLUMES.0.to_le_bytes());
        let done = root.sys().control(root.raw(), BTRFS_LOOKUP, &mut argument);
        named("find subvolume", done)?;
        Ok(match u64_at(&argument, 0) {
            0 => FS_TREE,
            id => id,
        })
    }

    /// Reads everything that a btrfs has stored, compares its checksums, and repairs from
    /// intact copies what it can, unless the filesystem is mounted read-only. Waits until
    /// that is done.
    pub fn scrub(&self) -> Result<Scrub> {
        named("scrub", self.scrub_devices())
    }

    fn scrub_devices(&self) -> sys::Result<Scrub> {
        let root = &self.inner.root;
        let mut info = [0; 1024];
        root.sys().control(root.raw(), BTRFS_INFO, &mut info)?;
        let read_only = self.inner.root.sys().fstatfs(root.raw())?.f_flags & READ_ONLY_MOUNT != 0;
        let mut sum = Scrub::default();
        for id in 1..=u64_at(&info, 0) {
            let mut argument = [0; 1024];
            let words = [id, 0, u64::MAX, u64::from(read_only)];
            for (place, word) in argument.chunks_exact_mut(8).zip(words) {
                place.copy_from_slice(&word.to_le_bytes());
            }
            match root.sys().control(root.raw(), BTRFS_SCRUB, &mut argument) {
                // There is no device of this number.
                Err(MachineError::Errno(Errno::NODEV)) => continue,
                done => done?,
            }
            let count = |index: usize| u64_at(&argument, 32 + 8 * index);
            sum.data_bytes += count(2);
            sum.tree_bytes += count(3);
            sum.read_errors += count(4);
            sum.checksum_errors += count(5);
            sum.verify_errors += count(6);
            sum.super_errors += count(9);
            sum.uncorrectable_errors += count(11);
            sum.corrected_errors += count(12);
        }
        Ok(sum)
    }
}

/// `ST_RDONLY` of statfs(2).
const READ_ONLY_MOUNT: i64 = 1;
