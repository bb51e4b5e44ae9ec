//! [`State`]: the mounted filesystem with its inodes and open files, shared by all
//! requests.

use std::ffi::{OsStr, OsString};
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, mpsc};
use std::time::{Duration, SystemTime};

use drupe::{
    AccessTimes, Cause, Credentials, DirStream, Errno, File, Handle, Metadata, Mount, Node,
    Result as DrupeResult,
};

use crate::event::Event;
use crate::handles::Handles;
use crate::options::Options;
use crate::progress::Progress;
use crate::table::{Inode, Key, ROOT, Table, lock};
use crate::wire::{Attributes, Entry, Request};

/// The result of a request.
pub(crate) type Answer<T> = Result<T, Failure>;

/// Why a request failed.
pub(crate) enum Failure {
    Errno(Errno),
    Drupe(drupe::Error),
}

impl From<Errno> for Failure {
    fn from(errno: Errno) -> Failure {
        Failure::Errno(errno)
    }
}

impl From<drupe::Error> for Failure {
    fn from(error: drupe::Error) -> Failure {
        Failure::Drupe(error)
    }
}

/// Filesystems whose inode numbers are valid only while the kernel remembers the inode:
/// vfat and exfat (`linux/magic.h`).
const PASSING: &[u64] = &[0x4d44, 0x2011_bab0];

/// Case-sensitive filesystems: ext2 to ext4, XFS, btrfs, f2fs (`linux/magic.h`).
const CASE_SENSITIVE: &[u64] = &[0xef53, 0x5846_5342, 0x9123_683e, 0xf2f5_2010];

/// Filesystems in which each directory may be case-insensitive: ext4, f2fs.
const FOLDING: &[u64] = &[0xef53, 0xf2f5_2010];

/// How long the host may cache names, missing names and attributes. Only this mount
/// changes the filesystem.
const LONG: Duration = Duration::from_secs(3600);

/// How long the host may cache attributes that change by themselves
/// ([`Inode::is_unsettled`]).
const SHORT: Duration = Duration::from_secs(1);

/// The age of a time of last access from which on reading updates it (relatime).
const DAY: Duration = Duration::from_secs(24 * 3600);

/// A file that is open.
pub(crate) struct OpenFile {
    pub(crate) file: File,
    /// Keeps the inode in the table.
    pub(crate) _inode: Arc<Inode>,
}

/// A directory that is open.
pub(crate) struct OpenDir {
    pub(crate) inode: Arc<Inode>,
    pub(crate) stream: Mutex<DirStream>,
}

/// A name that the host was told.
#[derive(Debug, Clone)]
pub(crate) struct KnownName {
    /// The directory's number.
    pub(crate) parent: u64,
    pub(crate) name: OsString,
    /// The number of the file that has the name.
    pub(crate) number: u64,
    pub(crate) is_dir: bool,
}

/// The mounted filesystem, as requests use it.
pub(crate) struct State {
    pub(crate) mount: Mount,
    pub(crate) table: Table,
    pub(crate) files: Handles<OpenFile>,
    pub(crate) dirs: Handles<OpenDir>,
    /// How long the host may cache names and missing names.
    names: Duration,
    /// ext4 or f2fs: directories may be [`CASEFOLD`](crate::table::CASEFOLD), and files
    /// are found by their numbers.
    folding: bool,
    /// How long the host may cache attributes.
    attributes: Duration,
    writeback: bool,
    read_only: bool,
    access_times: AccessTimes,
    prune: Mutex<mpsc::Sender<KnownName>>,
}

/// A file and its attributes, for the host.
pub(crate) struct Found {
    pub(crate) inode: Arc<Inode>,
    pub(crate) metadata: Metadata,
}

impl State {
    /// A state for a mount. Names of files that must stay open are sent to `prune`.
    pub(crate) fn new(
        mount: Mount,
        options: &Options,
        prune: mpsc::Sender<KnownName>,
    ) -> drupe::Result<State> {
        let magic = mount.statfs()?.magic();
        // On others, a name may lead to a file under several spellings, and the
        // host would not know that all of them go with one.
        let names = match CASE_SENSITIVE.contains(&magic) {
            true => LONG,
            false => Duration::ZERO,
        };
        Ok(State {
            table: Table::new(&mount, PASSING.contains(&magic))?,
            mount,
            files: Handles::new(),
            dirs: Handles::new(),
            names,
            folding: FOLDING.contains(&magic),
            attributes: match names.is_zero() {
                true => SHORT,
                false => LONG,
            },
            writeback: options.writeback,
            read_only: options.read_only,
            access_times: options.access_times,
            prune: Mutex::new(prune),
        })
    }

    /// The inode of a number; ESTALE for a number that the host was never told.
    pub(crate) fn inode(&self, number: u64) -> Answer<Arc<Inode>> {
        self.table.get(number).ok_or(Errno::STALE.into())
    }

    /// The file of a number.
    pub(crate) fn node(&self, number: u64) -> Answer<Arc<Node>> {
        Ok(self.table.node(&self.inode(number)?)?)
    }

    /// Looks up an entry of a directory, for an answer to the host.
    pub(crate) fn enter(&self, parent: u64, dir: &Node, name: &OsStr) -> Answer<Found> {
        let metadata = dir.metadata_of(name)?;
        let handle = || dir.handle_of(name);
        self.found((parent, name), metadata, handle, || dir.lookup(name))
    }

    /// Like [`State::enter`], for a file that was just opened by that name.
    pub(crate) fn enter_file(&self, place: (u64, &OsStr), file: &File) -> Answer<Found> {
        let metadata = file.metadata()?;
        self.found(place, metadata, || file.handle(), || file.node())
    }

    /// Finds a file by a number that the host has forgotten, if its handle is known.
    pub(crate) fn remember(&self, number: u64) -> Answer<Found> {
        let node = match self.table.get(number) {
            Some(inode) => self.table.node(&inode)?,
            None => {
                // Of an earlier mount, perhaps: the host compares generations.
                let by_number = || match u32::try_from(number) {
                    Ok(number) if self.folding => Some(Handle::of_inode(number)),
                    _ => None,
                };
                let handle = self.table.forgotten(number).or_else(by_number);
                let handle = handle.ok_or(Errno::STALE)?;
                Arc::new(self.mount.node(&handle)?)
            }
        };
        self.enter_node(&node)
    }

    /// The directory that a directory is in.
    pub(crate) fn parent_of(&self, number: u64) -> Answer<Found> {
        self.enter_node(&self.node(number)?.parent()?)
    }

    /// A file with a handle.
    fn enter_node(&self, node: &Node) -> Answer<Found> {
        let handle = node.handle()?.filter(|_| self.table.has_handles());
        let handle = handle.ok_or(Errno::STALE)?;
        let open = || self.mount.node(&handle);
        let nowhere = (ROOT, OsStr::new("."));
        self.found(nowhere, node.metadata()?, || Ok(Some(handle.clone())), open)
    }

    /// Enters a file into the table, for an answer to the host.
    fn found(
        &self,
        (parent, name): (u64, &OsStr),
        metadata: Metadata,
        handle: impl FnOnce() -> DrupeResult<Option<Handle>>,
        node: impl FnOnce() -> DrupeResult<Node>,
    ) -> Answer<Found> {
        if let Some(inode) = self.table.again(Key::of(&metadata)) {
            return Ok(Found { inode, metadata });
        }
        let handle = match self.table.has_handles() {
            true => handle()?,
            false => None,
        };
        let inode = self.table.insert((parent, name), &metadata, handle, node)?;
        let inode = inode.ok_or(Errno::OVERFLOW)?;
        if inode.needs_to_stay_open() {
            self.named(parent, name, &inode, &metadata);
        }
        Ok(Found { inode, metadata })
    }

    /// The inode of a number, and its current metadata.
    pub(crate) fn known(&self, number: u64) -> Answer<(Arc<Inode>, Metadata)> {
        let inode = self.inode(number)?;
        let metadata = self.table.node(&inode)?.metadata()?;
        Ok((inode, metadata))
    }

    /// Attributes, for the host.
    pub(crate) fn attributes<'a>(&self, inode: &Inode, metadata: &'a Metadata) -> Attributes<'a> {
        Attributes {
            // The host uses another number for the root than it shows.
            ino: match inode.number {
                ROOT => metadata.ino(),
                number => number,
            },
            metadata,
            valid: match inode.is_unsettled() {
                true => SHORT.min(self.attributes),
                false => self.attributes,
            },
        }
    }

    /// How long the host may cache names and missing names of a directory.
    pub(crate) fn names_in(&self, dir: u64) -> Duration {
        let folds = || match self.table.get(dir) {
            Some(dir) => self.table.folds(&dir),
            None => true,
        };
        match self.folding && folds() {
            true => Duration::ZERO,
            false => self.names,
        }
    }

    /// An entry of the directory `parent`, for the host.
    pub(crate) fn entry<'a>(&self, parent: u64, found: &'a Found) -> Entry<'a> {
        Entry {
            node: found.inode.number,
            generation: found.inode.generation(),
            valid: self.names_in(parent),
            attributes: self.attributes(&found.inode, &found.metadata),
        }
    }

    /// The group of a file.
    pub(crate) fn group_of(&self, number: u64) -> Option<u32> {
        Some(self.node(number).ok()?.metadata().ok()?.gid())
    }

    /// The flags for opening a file for the host. `O_APPEND` and `O_DIRECT` are removed:
    /// the host sends the offset of each write, and its direct I/O uses the drupe
    /// kernel's cache.
    pub(crate) fn serving_flags(&self, flags: i32) -> i32 {
        let flags = flags & !(libc::O_APPEND | libc::O_DIRECT | libc::O_NOCTTY | libc::O_NOFOLLOW);
        match (self.writeback, flags & libc::O_ACCMODE) {
            // The host reads what it completes to whole pages.
            (true, libc::O_WRONLY) => flags & !libc::O_ACCMODE | libc::O_RDWR,
            _ => flags,
        }
    }

    /// Sends the name of a file that must stay open to `prune`.
    fn named(&self, parent: u64, name: &OsStr, inode: &Inode, metadata: &Metadata) {
        // Nobody listens any more: it ends.
        let _ = lock(&self.prune).send(KnownName {
            parent,
            name: name.to_owned(),
            number: inode.number,
            is_dir: metadata.is_dir(),
        });
    }

    /// Updates the names after a rename.
    pub(crate) fn renamed(&self, parent: u64, dir: &Node, name: &OsStr) {
        if !self.table.has_handles()
            && let Ok(metadata) = dir.metadata_of(name)
            && let Some(inode) = self.table.find(Key::of(&metadata))
        {
            self.named(parent, name, &inode, &metadata);
        }
    }

    /// Keeps the entry that is about to be removed or replaced open for programs that use
    /// it.
    pub(crate) fn pin(&self, dir: &Node, name: &OsStr) {
        // If there is none, the operation will tell.
        if let Ok(metadata) = dir.metadata_of(name) {
            self.table.pin(&metadata);
        }
    }

    /// Fails if the host has ever failed to write to the image, for example for lack of
    /// space. Data may be lost then, so every later change is refused, and programs get
    /// the error.
    pub(crate) fn check_image(&self) -> Result<(), Errno> {
        match self.mount.write_error() {
            None => Ok(()),
            Some(errno) => Err(errno),
        }
    }

    /// The directory `parent`, after setting the credentials `who` for making a file in
    /// it.
    pub(crate) fn directory(&self, parent: u64, who: &Credentials) -> Answer<Arc<Node>> {
        self.check_image()?;
        self.mount.act_as(who)?;
        self.node(parent)
    }

    /// Whether reading the file would update its time of last access, so that the host
    /// must not read from its cache.
    pub(crate) fn renews_access(&self, metadata: &Metadata) -> bool {
        match self.access_times {
            AccessTimes::Never => return false,
            AccessTimes::Always => return !self.read_only,
            AccessTimes::Relative => {}
        }
        let settled = || {
            let accessed = metadata.accessed().ok()?;
            let fresh = accessed >= metadata.modified().ok()?
                && accessed >= metadata.changed().ok()?
                && accessed.checked_add(DAY)? > SystemTime::now();
            fresh.then_some(())
        };
        !self.read_only && settled().is_none()
    }

    /// Changes attributes, in the order in which they do not undo each other.
    pub(crate) fn change(&self, number: u64, change: &Change, file: Option<&File>) -> Answer<()> {
        self.check_image()?;
        let node = self.node(number)?;
        if let Some(mode) = change.mode {
            node.set_permissions(Permissions::from_mode(mode))?;
        }
        // Nothing to change at all: chown(2) with -1 twice, which takes the
        // set-user-ID bit away nevertheless.
        let nothing = change.mode.is_none() && change.size.is_none() && change.times.is_none();
        if change.uid.is_some() || change.gid.is_some() || nothing {
            node.chown(change.uid, change.gid)?;
        }
        match (change.size, file) {
            (Some(size), Some(file)) => file.set_len(size)?,
            // O_TRUNC, which renews the times of an empty file too; or truncate(2),
            // which need not.
            (Some(0), None) => node.open(libc::O_WRONLY)?.set_len(0)?,
            (Some(size), None) => node.set_len(size)?,
            (None, _) => {}
        }
        if let Some(times) = change.times {
            node.set_times(times)?;
        }
        Ok(())
    }
}

/// Attributes to change.
pub(crate) struct Change {
    pub(crate) mode: Option<u32>,
    pub(crate) uid: Option<u32>,
    pub(crate) gid: Option<u32>,
    pub(crate) size: Option<u64>,
    pub(crate) times: Option<drupe::FileTimes>,
}

/// The state until serving ends, and the receiver of events.
pub(crate) struct Shared {
    state: RwLock<Option<State>>,
    pub(crate) events: mpsc::Sender<Event>,
    pub(crate) progress: Progress,
    /// Whether a write error was reported.
    told: AtomicBool,
}

impl Shared {
    pub(crate) fn new(state: State, events: mpsc::Sender<Event>) -> Shared {
        Shared {
            state: RwLock::new(Some(state)),
            events,
            progress: Progress::default(),
            told: AtomicBool::new(false),
        }
    }

    /// Calls `work` with the state; ENOTCONN when serving has ended.
    pub(crate) fn serve<T>(&self, work: impl FnOnce(&State) -> Answer<T>) -> Result<T, Errno> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        let Some(state) = &*state else {
            return Err(Errno::NOTCONN);
        };
        work(state).map_err(|failure| {
            if let Some(errno) = state.mount.write_error()
                && !self.told.swap(true, Ordering::Relaxed)
            {
                // Nobody listens any more: it ends.
                let _ = self.events.send(Event::WriteError(errno));
            }
            match failure {
                Failure::Errno(errno) => errno,
                Failure::Drupe(error) => self.errno(&error),
            }
        })
    }

    /// Calls `work` with the state and the caller's credentials.
    pub(crate) fn serve_as<T>(
        &self,
        who: &Credentials,
        work: impl FnOnce(&State) -> Answer<T>,
    ) -> Result<T, Errno> {
        self.serve(|state| {
            state.mount.act_as(who)?;
            work(state)
        })
    }

    /// Calls `work` with the state and root's credentials.
    pub(crate) fn serve_as_root<T>(
        &self,
        work: impl FnOnce(&State) -> Answer<T>,
    ) -> Result<T, Errno> {
        self.serve_as(&Credentials::ROOT, work)
    }

    /// The errno value for the host. If the kernel has died, reports that to the server.
    fn errno(&self, error: &drupe::Error) -> Errno {
        if let Cause::Dead(report) = error.cause() {
            // Nobody listens any more: it has been told before.
            let _ = self.events.send(Event::Died(report.message.clone()));
        }
        error.errno().unwrap_or(Errno::IO)
    }

    /// Ends serving: waits for current requests, closes all files, drops the mount.
    pub(crate) fn end(&self) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        drop(state.take());
    }
}

/// The credentials for making a file: the caller's, with its umask, and without the
/// capability to make set-group-ID files for other groups.
pub(crate) fn maker(
    request: &Request,
    umask: u32,
    mode: u32,
    group: impl FnOnce() -> Option<u32>,
) -> Credentials {
    let who = Credentials {
        umask,
        ..crate::caller::caller(request)
    };
    let executable_for_group = (libc::S_ISGID | libc::S_IXGRP) & mode;
    if who.uid == 0 || executable_for_group != libc::S_ISGID | libc::S_IXGRP {
        return who;
    }
    // A set-group-ID directory gives its own group.
    match group() {
        Some(gid) if crate::caller::is_in_group(request, gid) => who,
        _ => crate::caller::without_fsetid(who),
    }
}
