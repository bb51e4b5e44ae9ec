//! [`State`]: what serves requests, from mounting until the end.

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

/// Filesystems whose inode numbers last only as long as the kernel remembers them:
/// those of `linux/magic.h` for vfat and exfat.
const PASSING: &[u64] = &[0x4d44, 0x2011_bab0];

/// Filesystems in which two names of different case are two names: those of
/// `linux/magic.h` for ext2 to ext4, XFS, btrfs, f2fs.
const CASE_SENSITIVE: &[u64] = &[0xef53, 0x5846_5342, 0x9123_683e, 0xf2f5_2010];

/// Those of them in which that is so for each directory by itself: ext4, f2fs.
const FOLDING: &[u64] = &[0xef53, 0xf2f5_2010];

/// How long the host may believe a name, that there is none, or attributes, without
/// asking. Nobody else changes the filesystem.
const LONG: Duration = Duration::from_secs(3600);

/// The same for attributes that change without being asked to
/// ([`Inode::is_unsettled`]).
const SHORT: Duration = Duration::from_secs(1);

/// Age of a time of last access from which on reading renews it (relatime).
const DAY: Duration = Duration::from_secs(24 * 3600);

/// A file that is open.
pub(crate) struct OpenFile {
    pub(crate) file: File,
    /// Keeps it in use.
    pub(crate) _inode: Arc<Inode>,
}

/// A directory that is open.
pub(crate) struct OpenDir {
    pub(crate) inode: Arc<Inode>,
    pub(crate) stream: Mutex<DirStream>,
}

/// A name that the host was told.
#[derive(Debug, Clone)]
pub(crate) struct Named {
    /// The directory's number.
    pub(crate) parent: u64,
    pub(crate) name: OsString,
    /// What has the name.
    pub(crate) number: u64,
    pub(crate) is_dir: bool,
}

/// What serves requests.
pub(crate) struct State {
    pub(crate) mount: Mount,
    pub(crate) table: Table,
    pub(crate) files: Handles<OpenFile>,
    pub(crate) dirs: Handles<OpenDir>,
    /// How long names hold, and that there are none.
    names: Duration,
    /// ext4 or f2fs: directories may be [`CASEFOLD`](crate::table::CASEFOLD), and files
    /// are found by their numbers.
    folding: bool,
    /// How long attributes hold.
    attributes: Duration,
    writeback: bool,
    read_only: bool,
    access_times: AccessTimes,
    prune: Mutex<mpsc::Sender<Named>>,
}

/// A file and its attributes, for the host.
pub(crate) struct Found {
    pub(crate) inode: Arc<Inode>,
    pub(crate) metadata: Metadata,
}

impl State {
    /// Names of files that have to stay open go to `prune`.
    pub(crate) fn new(
        mount: Mount,
        options: &Options,
        prune: mpsc::Sender<Named>,
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

    /// ESTALE for a number the host was never told.
    pub(crate) fn inode(&self, number: u64) -> Answer<Arc<Inode>> {
        self.table.get(number).ok_or(Errno::STALE.into())
    }

    /// The file of a number.
    pub(crate) fn node(&self, number: u64) -> Answer<Arc<Node>> {
        Ok(self.table.node(&self.inode(number)?)?)
    }

    /// An entry of a directory, which the host will be told of.
    pub(crate) fn enter(&self, parent: u64, dir: &Node, name: &OsStr) -> Answer<Found> {
        let metadata = dir.metadata_of(name)?;
        let handle = || dir.handle_of(name);
        self.found((parent, name), metadata, handle, || dir.lookup(name))
    }

    /// The same for a file that was just opened by that name.
    pub(crate) fn enter_file(&self, place: (u64, &OsStr), file: &File) -> Answer<Found> {
        let metadata = file.metadata()?;
        self.found(place, metadata, || file.handle(), || file.node())
    }

    /// A file of a number that the host has forgotten: it has a handle.
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

    /// The host will be told of a file.
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

    /// What is known of a file now.
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

    /// How long names in a directory hold, and that there are none.
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

    /// The flags for the file that serves the host's. The host says where to write,
    /// also where it appends; it does its direct I/O with us as with a disk.
    pub(crate) fn serving_flags(&self, flags: i32) -> i32 {
        let flags = flags & !(libc::O_APPEND | libc::O_DIRECT | libc::O_NOCTTY | libc::O_NOFOLLOW);
        match (self.writeback, flags & libc::O_ACCMODE) {
            // The host reads what it completes to whole pages.
            (true, libc::O_WRONLY) => flags & !libc::O_ACCMODE | libc::O_RDWR,
            _ => flags,
        }
    }

    /// A file that has to stay open got a name.
    fn named(&self, parent: u64, name: &OsStr, inode: &Inode, metadata: &Metadata) {
        // Nobody listens any more: it ends.
        let _ = lock(&self.prune).send(Named {
            parent,
            name: name.to_owned(),
            number: inode.number,
            is_dir: metadata.is_dir(),
        });
    }

    /// A file was renamed.
    pub(crate) fn renamed(&self, parent: u64, dir: &Node, name: &OsStr) {
        if !self.table.has_handles()
            && let Ok(metadata) = dir.metadata_of(name)
            && let Some(inode) = self.table.find(Key::of(&metadata))
        {
            self.named(parent, name, &inode, &metadata);
        }
    }

    /// The entry that is about to be removed or replaced stays for those who
    /// have it.
    pub(crate) fn pin(&self, dir: &Node, name: &OsStr) {
        // If there is none, the operation will tell.
        if let Ok(metadata) = dir.metadata_of(name) {
            self.table.pin(&metadata);
        }
    }

    /// Whether anything can still be changed. When the host has once refused to write
    /// to the image, such as for want of room, what was written may be lost already:
    /// every change after that is refused, so that whoever makes one is told.
    pub(crate) fn check_image(&self) -> Result<(), Errno> {
        match self.mount.write_error() {
            None => Ok(()),
            Some(errno) => Err(errno),
        }
    }

    /// The directory `parent`, entered in somebody's name to make something.
    pub(crate) fn directory(&self, parent: u64, who: &Credentials) -> Answer<Arc<Node>> {
        self.check_image()?;
        self.mount.act_as(who)?;
        self.node(parent)
    }

    /// Whether reading the file would renew its time of last access, so that the
    /// host must read it from us, not from its cache.
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

/// The state, as long as there is one, and whom to tell of events.
pub(crate) struct Shared {
    state: RwLock<Option<State>>,
    pub(crate) events: mpsc::Sender<Event>,
    pub(crate) progress: Progress,
    /// A write error was told.
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

    /// Serves one request; ENOTCONN when all is over.
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

    /// The same in the name of the caller.
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

    /// The same in the name of root.
    pub(crate) fn serve_as_root<T>(
        &self,
        work: impl FnOnce(&State) -> Answer<T>,
    ) -> Result<T, Errno> {
        self.serve_as(&Credentials::ROOT, work)
    }

    /// What the host is told; if the kernel has died, the server is told that.
    fn errno(&self, error: &drupe::Error) -> Errno {
        if let Cause::Dead(report) = error.cause() {
            // Nobody listens any more: it has been told before.
            let _ = self.events.send(Event::Died(report.message.clone()));
        }
        error.errno().unwrap_or(Errno::IO)
    }

    /// Ends serving: waits for the requests that are being served, closes all
    /// files, lets go of the mount.
    pub(crate) fn end(&self) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        drop(state.take());
    }
}

/// The credentials for making a file: as the caller, with the caller's umask; and
/// without the capability to make set-group-ID files for other groups.
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
