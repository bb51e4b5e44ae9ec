//! [`Table`]: which inode a number of FUSE's stands for.
//!
//! The number is the filesystem's own inode number, so that programs see that.
//! Exceptions: the root, which is 1; an inode 0 or 1 that is not the root; and
//! inodes of further devices (subvolumes of btrfs have one each, and the same
//! numbers). Those have the number of the device in their upper bits.
//!
//! An inode is kept as a file handle. Opening it again is cheap, and what was
//! opened last stays open ([`RECENT`]). Where a handle does not do, it stays open
//! as long as the host knows it (it is *pinned*):
//! - the filesystem has no handles that last (vfat, exfat);
//! - its last name is about to be removed. It stays what it is then for those who
//!   have it, and its number is not given to another file until the host has
//!   forgotten it. So a number in the table means one file.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use drupe::{Handle, Metadata, Mount, Node, Result};

/// Inodes that are kept open because they were used last. Each takes some 2 KiB
/// of the drupe kernel's memory.
const RECENT: usize = 512;

/// The number of the root (`FUSE_ROOT_ID`).
pub(crate) const ROOT: u64 = 1;

/// What an inode is to the drupe kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
    /// `open` is not to be closed.
    pinned: AtomicBool,
}

impl Inode {
    /// Closes it if it can be opened again.
    fn rest(&self) {
        let mut open = lock(&self.open);
        if !self.pinned.load(Ordering::Relaxed) {
            let node = open.take();
            drop(open);
            drop(node);
        }
    }

    /// It stays open as long as the host knows it, for want of a handle.
    pub(crate) fn needs_to_stay_open(&self) -> bool {
        self.handle.is_none()
    }

    /// The device it is on.
    pub(crate) fn dev(&self) -> u64 {
        self.key.dev
    }
}

/// An inode, and how often the host has been told its number.
struct Known {
    inode: Arc<Inode>,
    lookups: u64,
}

/// The inodes that the host knows.
pub(crate) struct Table {
    mount: Mount,
    /// Handles find a file again as long as it exists.
    lasting: bool,
    root: Arc<Inode>,
    known: Mutex<HashMap<u64, Known>>,
    /// The devices, in the order in which they were met; that of the root first.
    devices: Mutex<Vec<u64>>,
    recent: Mutex<VecDeque<Weak<Inode>>>,
}

impl Table {
    /// `lasting`: handles, if there are any, find a file again as long as it exists.
    pub(crate) fn new(mount: &Mount, lasting: bool) -> Result<Table> {
        let node = mount.root()?;
        let key = Key::of(&node.metadata()?);
        let lasting = lasting && node.handle()?.is_some();
        Ok(Table {
            mount: mount.clone(),
            lasting,
            root: Arc::new(Inode {
                number: ROOT,
                key,
                handle: None,
                open: Mutex::new(Some(Arc::new(node))),
                pinned: AtomicBool::new(true),
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
        known.get(&number).map(|known| Arc::clone(&known.inode))
    }

    /// The number of an inode.
    pub(crate) fn number(&self, key: Key) -> u64 {
        if key == self.root.key {
            return ROOT;
        }
        let mut devices = lock(&self.devices);
        let index = devices.iter().position(|&dev| dev == key.dev);
        let index = index.unwrap_or_else(|| {
            devices.push(key.dev);
            devices.len() - 1
        });
        match index {
            0 if key.ino > ROOT => key.ino,
            index => ((index as u64 + 1) << 48) ^ key.ino,
        }
    }

    /// The inode of a key, if it is known; the host will be told once more.
    pub(crate) fn again(&self, key: Key) -> Option<Arc<Inode>> {
        let number = self.number(key);
        if number == ROOT {
            return Some(Arc::clone(&self.root));
        }
        let mut table = lock(&self.known);
        let known = table.get_mut(&number)?;
        if known.inode.key != key {
            return None;
        }
        known.lookups += 1;
        Some(Arc::clone(&known.inode))
    }

    /// Whether files are known by handle: if the root can be.
    pub(crate) fn has_handles(&self) -> bool {
        self.lasting
    }

    /// Whether the host knows an inode.
    pub(crate) fn knows(&self, key: Key) -> bool {
        self.find(key).is_some()
    }

    /// The same without telling the host.
    fn find(&self, key: Key) -> Option<Arc<Inode>> {
        let inode = self.get(self.number(key))?;
        (inode.key == key).then_some(inode)
    }

    /// Takes in a file, which the host will be told of. `None` if its number is
    /// that of another one: with more than 2^48 inodes on several devices.
    pub(crate) fn insert(&self, node: Node, metadata: &Metadata) -> Result<Option<Arc<Inode>>> {
        let key = Key::of(metadata);
        let handle = match self.lasting {
            true => node.handle()?,
            false => None,
        };
        let pinned = handle.is_none() || metadata.nlink() == 0;
        // Usually its attributes are all that is wanted.
        let open = pinned.then(|| Arc::new(node));
        let inode = Arc::new(Inode {
            number: self.number(key),
            key,
            handle,
            open: Mutex::new(open),
            pinned: AtomicBool::new(pinned),
        });
        let mut table = lock(&self.known);
        let known = table.entry(inode.number).or_insert_with(|| Known {
            inode: Arc::clone(&inode),
            lookups: 0,
        });
        if known.inode.key != key {
            return Ok(None);
        }
        known.lookups += 1;
        Ok(Some(Arc::clone(&known.inode)))
    }

    /// The host has forgotten a number that often.
    pub(crate) fn forget(&self, number: u64, lookups: u64) {
        let mut table = lock(&self.known);
        let Some(known) = table.get_mut(&number) else {
            return;
        };
        known.lookups = known.lookups.saturating_sub(lookups);
        if known.lookups == 0 {
            let gone = table.remove(&number);
            drop(table);
            // Closing is a system call: not under the lock.
            drop(gone);
        }
    }

    /// How many the host knows.
    pub(crate) fn len(&self) -> usize {
        lock(&self.known).len()
    }

    /// The file of an inode; ESTALE if it is gone.
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

    /// Lets the least recent one rest.
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

    /// The last name of a file is about to go: see the module's documentation.
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

/// Locks `mutex`; a panic of another holder has not broken what it protects.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
