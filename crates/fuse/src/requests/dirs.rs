//! Serves requests on directories: opening and listing.

use std::os::unix::ffi::OsStrExt;
use std::sync::Mutex;

use drupe::{Errno, Node, StreamEntry};

use super::{Call, LARGEST, Outcome, Served};
use crate::state::{Answer as StateAnswer, OpenDir, State};
use crate::table::lock;
use crate::wire::opcode::fopen;
use crate::wire::{DirEntry, Entry};

impl Served {
    pub(super) fn opendir(&self, call: &mut Call<'_>) -> Result<(), Errno> {
        self.shared.serve(|state| {
            let inode = state.inode(call.request.node)?;
            let node = state.table.node(&inode)?;
            let stream = Mutex::new(node.open_stream()?);
            // The host forgets what it keeps when it changes the directory, and
            // nobody else does. If reading it is to be noted, it has to be read here.
            let lasting = !state.names_in(call.request.node).is_zero();
            let keep = lasting && !state.renews_access(&node.metadata()?);
            let flags = if keep {
                fopen::CACHE_DIR | fopen::KEEP_CACHE
            } else {
                0
            };
            let handle = state.dirs.insert(OpenDir { inode, stream });
            call.answer.open(handle, flags);
            Ok(())
        })
    }

    pub(super) fn readdir(&self, call: &mut Call<'_>) -> Result<(), Errno> {
        let (handle, offset, most) = place(call)?;
        self.shared.serve(|state| {
            each_entry(state, handle, offset, |_, number, entry| {
                Ok(call.answer.dir_entry(listed(number, entry), most))
            })
        })
    }

    pub(super) fn readdirplus(&self, call: &mut Call<'_>) -> Result<(), Errno> {
        let (handle, offset, most) = place(call)?;
        let parent = call.request.node;
        self.shared.serve(|state| {
            each_entry(state, handle, offset, |node, number, entry| {
                let listed = listed(number, entry);
                if matches!(entry.name.as_bytes(), b"." | b"..") {
                    // The host wants no more than the number.
                    return Ok(call.answer.dir_entry_plus(listed, None, most));
                }
                // Removed meanwhile, or damaged: it is listed all the same, and
                // whoever asks about it is told.
                let found = state.enter(parent, node, entry.name).ok();
                let told: Option<Entry<'_>> =
                    found.as_ref().map(|found| state.entry(parent, found));
                let added = call.answer.dir_entry_plus(listed, told, most);
                if let Some(found) = found
                    && !added
                {
                    state.table.forget(found.inode.number, 1);
                }
                Ok(added)
            })
        })
    }

    pub(super) fn releasedir(&self, call: &mut Call<'_>) -> Result<(), Errno> {
        let handle = call.arguments.u64()?;
        self.shared.serve(|state| {
            state.dirs.remove(handle);
            Ok(())
        })
    }

    pub(super) fn fsyncdir(&self, call: &mut Call<'_>) -> Result<Outcome, Errno> {
        let handle = call.arguments.u64()?;
        self.offload(call.request, move |shared, _| {
            shared.serve(|state| {
                let dir = state.dirs.get(handle)?;
                lock(&dir.stream).sync_all()?;
                Ok(state.check_image()?)
            })
        })
    }
}

/// The arguments: the open directory, the position, and the size of the answer.
fn place(call: &mut Call<'_>) -> Result<(u64, u64, usize), Errno> {
    let arguments = &mut call.arguments;
    let (handle, offset) = (arguments.u64()?, arguments.u64()?);
    Ok((handle, offset, arguments.u32()?.min(LARGEST) as usize))
}

fn listed<'a>(number: u64, entry: &StreamEntry<'a>) -> DirEntry<'a> {
    DirEntry {
        ino: number,
        next: entry.next as u64,
        file_type: entry.file_type,
        name: entry.name.as_bytes(),
    }
}

/// Calls `add` with each entry from a position on, until it returns that there is no
/// room. The next call begins with that entry.
fn each_entry(
    state: &State,
    handle: u64,
    offset: u64,
    mut add: impl FnMut(&Node, u64, &StreamEntry<'_>) -> StateAnswer<bool>,
) -> StateAnswer<()> {
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
        if !add(&node, number, &entry)? {
            stream.back();
            break;
        }
    }
    Ok(())
}
