//! What requests have in common: [`Served`], which fuser serves, and its helpers.

use std::cell::RefCell;
use std::ffi::OsStr;
use std::sync::Arc;
use std::time::Duration;

use drupe::{Credentials, File};
use fuser::{
    Errno, FileAttr, FileHandle, Generation, INodeNo, InitFlags, ReplyAttr, ReplyData, ReplyEmpty,
    ReplyEntry, ReplyWrite, ReplyXattr, Request,
};

use crate::attr::attr;
use crate::state::{ATTRIBUTES, Answer, Found, Shared, State, maker};
use crate::table::{ROOT, lock};
use crate::workers::Workers;

/// Most bytes of one read or write.
pub(crate) const LARGEST: u32 = 1 << 20;

/// No number of ours is used twice for different files while the host knows it.
pub(crate) const GENERATION: Generation = Generation(0);

/// The filesystem that fuser serves.
pub(crate) struct Served {
    pub(crate) shared: Arc<Shared>,
    pub(crate) workers: Arc<Workers>,
}

impl Served {
    pub(crate) fn init_flags(state: &State) -> InitFlags {
        // Not FUSE_ATOMIC_O_TRUNC: the host looks only after the file was opened, and
        // so emptied, whether it is being executed (ETXTBSY).
        let mut flags = InitFlags::FUSE_DONT_MASK
            | InitFlags::FUSE_DO_READDIRPLUS
            | InitFlags::FUSE_READDIRPLUS_AUTO
            | InitFlags::FUSE_ASYNC_DIO
            | InitFlags::FUSE_PARALLEL_DIROPS
            | InitFlags::FUSE_HANDLE_KILLPRIV_V2
            | InitFlags::FUSE_POSIX_ACL
            | InitFlags::FUSE_CACHE_SYMLINKS
            // What the host writes it has in its cache: a newer time of
            // modification is no reason to read it again.
            | InitFlags::FUSE_EXPLICIT_INVAL_DATA;
        if state.writeback {
            flags |= InitFlags::FUSE_WRITEBACK_CACHE;
        }
        flags
    }

    /// Makes something in a directory and enters it.
    pub(crate) fn make(
        &self,
        request: &Request,
        (parent, name): (INodeNo, &OsStr),
        (mode, umask): (u32, u32),
        reply: ReplyEntry,
        work: impl FnOnce(&drupe::Node) -> drupe::Result<()>,
    ) {
        let result = self.shared.serve(|state| {
            let who = maker(request, umask, mode, || group_of(state, parent));
            let dir = state.directory(parent.0, &who)?;
            work(&dir)?;
            Ok((state.enter(parent.0, &dir, name)?, state.names))
        });
        entry(reply, result);
    }

    /// Removes something from a directory.
    pub(crate) fn remove(
        &self,
        (parent, name): (INodeNo, &OsStr),
        reply: ReplyEmpty,
        work: impl FnOnce(&drupe::Node) -> drupe::Result<()>,
    ) {
        let result = self.shared.serve(|state| {
            let dir = state.node(parent.0)?;
            state.pin(&dir, name);
            Ok(work(&dir)?)
        });
        empty(reply, result);
    }

    /// Has a worker serve it.
    pub(crate) fn offload(&self, work: impl FnOnce(&Shared) + Send + 'static) {
        let shared = Arc::clone(&self.shared);
        self.workers.run(move || work(&shared));
    }

    /// Serves a read or write: a worker, if they are slow just now.
    pub(crate) fn serve_data(&self, work: impl FnOnce(&Shared) + Send + 'static) {
        match self.workers.is_slow() {
            true => self.offload(work),
            false => self.workers.timed(|| work(&self.shared)),
        }
    }
}

thread_local! {
    /// What is read goes through here.
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Does something with an open file.
pub(crate) fn with_file<T>(
    shared: &Shared,
    handle: FileHandle,
    work: impl FnOnce(&File) -> drupe::Result<T>,
) -> Result<T, Errno> {
    shared.serve(|state| Ok(work(&state.files.get(handle)?.file)?))
}

/// Answers with what a file has at an offset.
pub(crate) fn read(
    shared: &Shared,
    reply: ReplyData,
    handle: FileHandle,
    offset: u64,
    size: usize,
) {
    BUFFER.with_borrow_mut(|buffer| {
        if buffer.len() < size {
            buffer.resize(size, 0);
        }
        let bytes = &mut buffer[..size];
        match with_file(shared, handle, |file| read_fully(file, bytes, offset)) {
            Ok(len) => reply.data(&buffer[..len]),
            Err(errno) => reply.error(errno),
        }
    });
}

/// Writes to a file, in somebody's name.
pub(crate) fn write(
    shared: &Shared,
    reply: ReplyWrite,
    who: &Credentials,
    (handle, offset): (FileHandle, u64),
    bytes: &[u8],
) {
    let result = shared.serve_as(who, |state| {
        Ok(write_fully(&state.files.get(handle)?.file, bytes, offset)?)
    });
    match result {
        Ok(len) => reply.written(len),
        Err(errno) => reply.error(errno),
    }
}

/// What looking up or making an entry gave, and how long its name holds.
type Entered = Result<(Found, Duration), Errno>;

/// Answers with an entry.
pub(crate) fn entry(reply: ReplyEntry, result: Entered) {
    match result {
        Ok((found, names)) => {
            reply.entry_with_ttls(&ATTRIBUTES, &names, &found.attr(), GENERATION);
        }
        Err(errno) => reply.error(errno),
    }
}

/// Answers that it was done.
pub(crate) fn empty(reply: ReplyEmpty, result: Result<(), Errno>) {
    match result {
        Ok(()) => reply.ok(),
        Err(errno) => reply.error(errno),
    }
}

/// Answers with attributes.
pub(crate) fn attr_of(reply: ReplyAttr, result: Result<FileAttr, Errno>) {
    match result {
        Ok(attr) => reply.attr(&ATTRIBUTES, &attr),
        Err(errno) => reply.error(errno),
    }
}

/// The group of a file.
pub(crate) fn group_of(state: &State, number: INodeNo) -> Option<u32> {
    let metadata = state.node(number.0).ok()?.metadata().ok()?;
    Some(metadata.gid())
}

/// The flags for the file that serves the host's. The host says where to write,
/// also where it appends; it does its direct I/O with us as with a disk.
pub(crate) fn serving_flags(flags: i32, writeback: bool) -> i32 {
    let flags = flags & !(libc::O_APPEND | libc::O_DIRECT | libc::O_NOCTTY | libc::O_NOFOLLOW);
    match (writeback, flags & libc::O_ACCMODE) {
        // The host reads what it completes to whole pages.
        (true, libc::O_WRONLY) => flags & !libc::O_ACCMODE | libc::O_RDWR,
        _ => flags,
    }
}

/// Reads as much as there is: what is missing is the end of the file.
fn read_fully(file: &File, bytes: &mut [u8], offset: u64) -> drupe::Result<usize> {
    let mut done = 0;
    while done < bytes.len() {
        match file.read_at(&mut bytes[done..], offset + done as u64) {
            Ok(0) => break,
            Ok(len) => done += len,
            Err(error) if done == 0 => return Err(error),
            Err(_) => break,
        }
    }
    Ok(done)
}

/// Writes it all, or as much as can be.
fn write_fully(file: &File, bytes: &[u8], offset: u64) -> drupe::Result<u32> {
    let mut done = 0;
    while done < bytes.len() {
        match file.write_at(&bytes[done..], offset + done as u64) {
            Ok(0) => break,
            Ok(len) => done += len,
            Err(error) if done == 0 => return Err(error),
            Err(_) => break,
        }
    }
    Ok(done as u32)
}

/// What is known of a file now.
pub(crate) fn attributes(state: &State, ino: INodeNo) -> Answer<fuser::FileAttr> {
    let metadata = state.node(ino.0)?.metadata()?;
    // The host uses another number for the root than it shows.
    let number = match ino.0 {
        ROOT => metadata.ino(),
        number => number,
    };
    Ok(attr(number, &metadata))
}

/// Calls `add` with each entry from a position on, until it says that there is no
/// more room: that entry comes again.
pub(crate) fn each_entry(
    state: &State,
    handle: FileHandle,
    offset: u64,
    mut add: impl FnMut(&drupe::Node, INodeNo, &drupe::StreamEntry<'_>) -> Answer<bool>,
) -> Answer<()> {
    let dir = state.dirs.get(handle)?;
    let node = state.table.node(&dir.inode)?;
    let mut stream = lock(&dir.stream);
    if offset == 0 || stream.position() != offset as i64 {
        stream.seek(offset as i64)?;
    }
    while let Some(entry) = stream.next_entry()? {
        let number = state
            .table
            .number_of_entry(&dir.inode, entry.name, entry.ino);
        if add(&node, INodeNo(number), &entry)? {
            stream.back();
            break;
        }
    }
    Ok(())
}

/// Answers with a value, or its size if that was asked for.
pub(crate) fn sized(reply: ReplyXattr, value: &[u8], size: u32) {
    match size as usize {
        0 => reply.size(value.len() as u32),
        size if value.len() <= size => reply.data(value),
        _ => reply.error(Errno::ERANGE),
    }
}
