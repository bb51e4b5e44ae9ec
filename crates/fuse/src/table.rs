//! [`Table`]: maps FUSE's node numbers to inodes.
//!
//! The number is the filesystem's inode number, which programs see. Exceptions are the
//! root, which is 1; an inode 0 or 1 that is not the root; and inodes of further devices
//! (each subvolume of btrfs is one, with the same inode numbers). The latter have the
//! number of the device in their upper bits.
//!
//! Inode numbers of vfat and exfat are valid only while the kernel remembers the inode,
//! which is too short for find(1) and others, which compare them. There the number is
//! made from the directory's number and the name, and stays the same (until the file, or
//! a directory above it, was renamed and then forgotten).
//!
//! An inode is kept as a file handle, from which opening it is cheap; recently used ones
//! stay open ([`RECENT`]). Where a handle is not enough, the inode is *pinned*: it stays
//! open as long as the host knows it. That is so if
//! - the filesystem has no handles that last (vfat, exfat);
//! - its last name is about to be removed. Programs that use the file can go on, and its
//!   number is not used for another file until the host has forgotten it. So a number in
//!   the table always means one file.

use std::collections::{HashMap, VecDeque};
use std::ffi::OsStr;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use drupe::{File, Handle, Metadata, Mount, Node, Result};

/// How many recently used inodes stay open. Each takes some 2 KiB of the drupe kernel's
/// memory.
const RECENT: usize = 512;

/// How many handles of forgotten files are kept: programs may have the host's handle of
/// such a file (`name_to_handle_at(2)`), which contains only the number.
const REMEMBERED: usize = 1 << 16;

/// The number of the root (`FUSE_ROOT_ID`).
pub(crate) const ROOT: u64 = 1;

/// The identity of an inode in the drupe kernel: device and inode number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    dev: u64,
    ino: u64,
}

impl Key {
    pub(crate) fn new(dev: u64, ino: u64) -> Key {
        Key { dev, ino }
    }

    pub(crate) fn of(metadata: &Metadata) -> Key {
        Key::new(metadata.dev(), metadata.ino())
    }
}

/// A file that the host knows.
#[derive(Debug)]
pub(crate) struct Inode {
    pub(crate) number: u64,
    key: Key,
    handle: Option<Handle>,
    open: Mutex<Option<Arc<Node>>>,
    /// Whether `open` must not be closed.
    pinned: AtomicBool,
    /// Whether attributes may still change by themselves, such as the blocks of delayed
    /// allocation.
    unsettled: AtomicBool,
    /// Whether it is a directory with [`CASEFOLD`]; unset until it was first needed.
    folds: OnceLock<bool>,
}

impl Inode {
    /// The generation, which distinguishes files that have had the same number.
    pub(crate) fn generation(&self) -> u64 {
        let Some(handle) = &self.handle else {
            return 0;
        };
        // The handle has the filesystem's own generation, wherever in it. The host
        // keeps 32 bits, and takes 0 for any.
        let mut hasher = DefaultHasher::new();
        handle.hash(&mut hasher);
        (hasher.finish() >> 32).max(1)
    }

    /// Notes that its contents or extended attributes may change.
    pub(crate) fn was_written(&self) {
        self.unsettled.store(true, Ordering::Relaxed);
    }

    /// Whether its attributes may change by themselves: blocks are counted when they are
    /// allocated, which may be later.
    pub(crate) fn is_unsettled(&self) -> bool {
        self.unsettled.load(Ordering::Relaxed)
    }

    /// Closes it if it can be opened again.
    fn rest(&self) {
        let mut open = lock(&self.open);
        if !self.pinned.load(Ordering::Relaxed) {
            let node = open.take();
            drop(open);
            drop(node);
        }
    }

    /// Whether it has no handle, and so must stay open as long as the host knows it.
    pub(crate) fn needs_to_stay_open(&self) -> bool {
        self.handle.is_none()
    }

    /// The number of its device.
    pub(crate) fn dev(&self) -> u64 {
        self.key.dev
    }
}

/// `FS_CASEFOLD_FL` (include/uapi/linux/fs.h): in this directory, names that differ in
/// case are the same.
pub(crate) const CASEFOLD: u32 = 0x4000_0000;

/// An inode, and its lookup count: how often the host was told its number.
struct Known {
    inode: Arc<Inode>,
    lookups: u64,
}

/// The inodes that the host knows, by their numbers.
#[derive(Default)]
struct KnownInodes {
    inodes: HashMap<u64, Known>,
    /// Their numbers, on filesystems where these are made from names.
    numbers: HashMap<Key, u64>,
    /// Handles of forgotten files, the last [`REMEMBERED`] of them.
    forgotten: HashMap<u64, Handle>,
    /// Their numbers, in the order in which they were forgotten first.
    order: VecDeque<u64>,
}

/// How the host uses a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Usage {
    /// It does not know it.
    Forgotten,
    /// It knows it.
    Known,
    /// It has the file open, or is making a request about it.
    Open,
}

/// The inodes that the host knows.
pub(crate) struct Table {
    mount: Mount,
    /// Whether handles stay valid as long as the file exists.
    lasting: bool,
    /// Whether numbers are made from names.
    by_name: bool,
    root: Arc<Inode>,
    known: Mutex<KnownInodes>,
    /// The devices, in the order in which they were met; that of the root first.
    devices: Mutex<Vec<u64>>,
    recent: Mutex<VecDeque<Weak<Inode>>>,
}

impl Table {
    /// A table for a mount. `passing`: inode numbers and handles are valid only while the
    /// kernel remembers the inode.
    pub(crate) fn new(mount: &Mount, passing: bool) -> Result<Table> {
        let node = mount.root()?;
        let key = Key::of(&node.metadata()?);
        let lasting = !passing && node.handle()?.is_some();
        Ok(Table {
            mount: mount.clone(),
            lasting,
            by_name: passing,
            root: Arc::new(Inode {
                number: ROOT,
                key,
                handle: None,
                open: Mutex::new(Some(Arc::new(node))),
                pinned: AtomicBool::new(true),
                unsettled: AtomicBool::new(false),
                folds: OnceLock::new(),
            }),
            known: Mutex::default(),
            devices: Mutex::new(vec![key.dev]),
            recent: Mutex::default(),
        })
    }

    /// The inode of a number; `None` if the host was not told it.
    pub(crate) fn get(&self, number: u64) -> Option<Arc<Inode>> {
        if number == ROOT {
            return Some(Arc::clone(&self.root));
        }
        let known = lock(&self.known);
        let known = known.inodes.get(&number)?;
        Some(Arc::clone(&known.inode))
    }

    /// The number of an inode; `None` if it is made from a name, and the host does
    /// not know it.
    fn number(&self, key: Key) -> Option<u64> {
        if key == self.root.key {
            return Some(ROOT);
        }
        if self.by_name {
            return lock(&self.known).numbers.get(&key).copied();
        }
        let mut devices = lock(&self.devices);
        let index = devices.iter().position(|&dev| dev == key.dev);
        let index = index.unwrap_or_else(|| {
            devices.push(key.dev);
            devices.len() - 1
        });
        Some(match index {
            0 if key.ino > ROOT => key.ino,
            index => ((index as u64 + 1) << 48) ^ key.ino,
        })
    }

    /// The number to list in a directory for an entry with the inode number `ino`.
    pub(crate) fn number_of_entry(&self, dir: &Inode, name: &OsStr, ino: u64) -> u64 {
        match self.number(Key::new(dir.dev(), ino)) {
            // Only shown: the host uses another number for the root.
            Some(ROOT) => ino,
            Some(number) => number,
            None if name == ".." => ino,
            None => number_of_name(dir.number, name),
        }
    }

    /// The inode of a key, if it is known. Its lookup count is increased.
    pub(crate) fn again(&self, key: Key) -> Option<Arc<Inode>> {
        let number = self.number(key)?;
        if number == ROOT {
            return Some(Arc::clone(&self.root));
        }
        let mut table = lock(&self.known);
        let known = table.inodes.get_mut(&number)?;
        if known.inode.key != key {
            return None;
        }
        known.lookups += 1;
        Some(Arc::clone(&known.inode))
    }

    /// Whether the filesystem has handles, as far as the root has one.
    pub(crate) fn has_handles(&self) -> bool {
        self.lasting
    }

    /// The inode of a key, if the host knows it.
    pub(crate) fn find(&self, key: Key) -> Option<Arc<Inode>> {
        let inode = self.get(self.number(key)?)?;
        (inode.key == key).then_some(inode)
    }

    /// Adds a file that has a name in a directory, or increases its lookup count. `node`
    /// opens it, if it must stay open. `None` if its number is taken, as with more than
    /// 2^48 inodes on several devices.
    pub(crate) fn insert(
        &self,
        (dir, name): (u64, &OsStr),
        metadata: &Metadata,
        handle: Option<Handle>,
        node: impl FnOnce() -> Result<Node>,
    ) -> Result<Option<Arc<Inode>>> {
        let key = Key::of(metadata);
        let pinned = handle.is_none() || metadata.nlink() == 0;
        // Usually its attributes are all that is wanted.
        let open = match pinned {
            true => Some(Arc::new(node()?)),
            false => None,
        };
        let number = match self.by_name {
            true => None,
            false => self.number(key),
        };
        let mut table = lock(&self.known);
        let number = number.unwrap_or_else(|| table.number_by_name(key, dir, name));
        let known = table.inodes.entry(number).or_insert_with(|| Known {
            inode: Arc::new(Inode {
                number,
                key,
                handle,
                open: Mutex::new(open),
                pinned: AtomicBool::new(pinned),
                unsettled: AtomicBool::new(false),
                folds: OnceLock::new(),
            }),
            lookups: 0,
        });
        if known.inode.key != key {
            return Ok(None);
        }
        known.lookups += 1;
        Ok(Some(Arc::clone(&known.inode)))
    }

    /// Decreases the lookup count of a number, when the host forgets it.
    pub(crate) fn forget(&self, number: u64, lookups: u64) {
        let mut table = lock(&self.known);
        let Some(known) = table.inodes.get_mut(&number) else {
            return;
        };
        known.lookups = known.lookups.saturating_sub(lookups);
        if known.lookups > 0 {
            return;
        }
        let gone = table.inodes.remove(&number);
        if let Some(gone) = &gone {
            table.numbers.remove(&gone.inode.key);
            if let Some(handle) = &gone.inode.handle {
                table.note_forgotten(number, handle);
            }
        }
        drop(table);
        // Closing is a system call: not under the lock.
        drop(gone);
    }

    /// The handle of a recently forgotten file.
    pub(crate) fn forgotten(&self, number: u64) -> Option<Handle> {
        lock(&self.known).forgotten.get(&number).cloned()
    }

    /// How the host uses the file of a number.
    pub(crate) fn usage(&self, number: u64) -> Usage {
        match lock(&self.known).inodes.get(&number) {
            None => Usage::Forgotten,
            Some(known) if Arc::strong_count(&known.inode) > 1 => Usage::Open,
            Some(_) => Usage::Known,
        }
    }

    /// The number of inodes that the host knows.
    pub(crate) fn len(&self) -> usize {
        lock(&self.known).inodes.len()
    }

    /// The file of an inode; ESTALE if it was removed.
    pub(crate) fn node(&self, inode: &Arc<Inode>) -> Result<Arc<Node>> {
        let mut open = lock(&inode.open);
        if let Some(node) = &*open {
            return Ok(Arc::clone(node));
        }
        // What has no handle is pinned.
        let handle = inode.handle.as_ref().expect("closed, so it has a handle");
        let node = Arc::new(self.mount.node(handle)?);
        *open = Some(Arc::clone(&node));
        drop(open);
        self.touch(inode);
        Ok(node)
    }

    /// Opens an inode, with flags of open(2) that create nothing; ESTALE if it was
    /// removed.
    pub(crate) fn open(&self, inode: &Arc<Inode>, flags: i32) -> Result<File> {
        match &inode.handle {
            Some(handle) if !inode.pinned.load(Ordering::Relaxed) => {
                self.mount.open_handle(handle, flags)
            }
            _ => self.node(inode)?.open(flags),
        }
    }

    /// Whether names in a directory that differ in case are the same.
    pub(crate) fn folds(&self, dir: &Arc<Inode>) -> bool {
        *dir.folds.get_or_init(|| {
            let flags = libc::O_RDONLY | libc::O_DIRECTORY;
            let flags = self.open(dir, flags).and_then(|dir| dir.flags());
            flags.is_ok_and(|flags| flags & CASEFOLD != 0)
        })
    }

    /// Marks an inode as recently used, and closes the least recently used one.
    fn touch(&self, inode: &Arc<Inode>) {
        let mut recent = lock(&self.recent);
        recent.push_back(Arc::downgrade(inode));
        let oldest = match recent.len() > RECENT {
            true => recent.pop_front(),
            false => None,
        };
        drop(recent);
        if let Some(oldest) = oldest.and_then(|oldest| oldest.upgrade()) {
            oldest.rest();
        }
    }

    /// Pins a file whose last name is about to be removed: see the module's
    /// documentation.
    pub(crate) fn pin(&self, metadata: &Metadata) {
        if metadata.nlink() > 1 && !metadata.is_dir() {
            return;
        }
        let Some(inode) = self.find(Key::of(metadata)) else {
            return;
        };
        inode.pinned.store(true, Ordering::Relaxed);
        // It is there just now. If the kernel lacks memory for it, it will be
        // stale, as on a network filesystem.
        if self.node(&inode).is_err() {
            inode.pinned.store(false, Ordering::Relaxed);
        }
    }
}

impl KnownInodes {
    fn note_forgotten(&mut self, number: u64, handle: &Handle) {
        if self.forgotten.insert(number, handle.clone()).is_none() {
            self.order.push_back(number);
        }
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.forgotten.remove(&oldest);
        }
    }

    /// The number of a file on a filesystem where numbers are made from names: its known
    /// one, or a new one.
    fn number_by_name(&mut self, key: Key, dir: u64, name: &OsStr) -> u64 {
        if let Some(&number) = self.numbers.get(&key) {
            return number;
        }
        let mut number = number_of_name(dir, name);
        // A file that had the name once, or one chance in 2^63.
        while self.inodes.contains_key(&number) {
            number = number_of_name(number, name);
        }
        self.numbers.insert(key, number);
        number
    }
}

/// A number made from a directory's and a name.
fn number_of_name(dir: u64, name: &OsStr) -> u64 {
    let mut hasher = DefaultHasher::new();
    (dir, name).hash(&mut hasher);
    // Not the root's, nor one that is negative to somebody.
    (hasher.finish() >> 1).max(ROOT + 1)
}

/// Locks `mutex`, also after another holder has panicked: no holder leaves the data
/// inconsistent.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
