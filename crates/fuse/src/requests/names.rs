//! Serves requests on names: looking up, making, removing, renaming, forgetting.

use std::sync::Arc;

use drupe::{Credentials, Errno, Node};

use super::{Call, Outcome, Served};
use crate::caller::caller;
use crate::state::{Answer as StateAnswer, Failure, Found, OpenFile, State, maker};
use crate::wire::opcode::{self, fopen};

impl Served {
    pub(super) fn lookup(&self, call: &mut Call<'_>) -> Result<(), Errno> {
        let (parent, name) = (call.request.node, call.arguments.text()?);
        self.shared.serve(|state| {
            let found = match name.as_encoded_bytes() {
                // Of a file handle, or its directory: nobody has a name.
                b"." => state.remember(parent)?,
                b".." => state.parent_of(parent)?,
                _ => {
                    let dir = state.node(parent)?;
                    match state.enter(parent, &dir, name) {
                        Err(Failure::Drupe(error)) if error.errno() == Some(Errno::NOENT) => {
                            // Nobody but this host makes one.
                            call.answer.no_entry(state.names_in(parent));
                            return Ok(());
                        }
                        found => found?,
                    }
                }
            };
            call.answer.entry(state.entry(parent, &found));
            Ok(())
        })
    }

    pub(super) fn forget(&self, call: &mut Call<'_>) -> Result<Outcome, Errno> {
        let arguments = &mut call.arguments;
        let single = call.request.opcode == opcode::FORGET;
        let count = match single {
            true => 1,
            false => arguments.u32()?,
        };
        if !single {
            arguments.skip(4)?;
        }
        // Afterwards there is nothing to forget.
        let _ = self.shared.serve(|state| {
            for _ in 0..count {
                let number = match single {
                    true => call.request.node,
                    false => arguments.u64()?,
                };
                state.table.forget(number, arguments.u64()?);
            }
            Ok(())
        });
        Ok(Outcome::Silent)
    }

    /// Makes a file of any type in a directory with the caller's credentials, and answers
    /// with its entry.
    fn make(
        &self,
        call: &mut Call<'_>,
        (mode, umask): (u32, u32),
        make: impl FnOnce(&State, &Node, &std::ffi::OsStr) -> StateAnswer<()>,
    ) -> Result<(), Errno> {
        let (request, parent) = (call.request, call.request.node);
        let name = call.arguments.text()?;
        self.shared.serve(|state| {
            let who = maker(&request, umask, mode, || state.group_of(parent));
            let dir = state.directory(parent, &who)?;
            make(state, &dir, name)?;
            let found = state.enter(parent, &dir, name)?;
            call.answer.entry(state.entry(parent, &found));
            Ok(())
        })
    }

    pub(super) fn mknod(&self, call: &mut Call<'_>) -> Result<(), Errno> {
        let [mode, rdev, umask, _] = words(call)?;
        self.make(call, (mode, umask), |_, dir, name| {
            Ok(dir.mknod(name, mode, rdev.into())?)
        })
    }

    pub(super) fn mkdir(&self, call: &mut Call<'_>) -> Result<(), Errno> {
        let [mode, umask] = words(call)?;
        self.make(call, (0, umask), |_, dir, name| {
            Ok(dir.create_dir(name, mode)?)
        })
    }

    pub(super) fn symlink(&self, call: &mut Call<'_>) -> Result<(), Errno> {
        // The target comes behind the name.
        let mut behind = call.arguments;
        behind.text()?;
        let target = behind.text()?;
        self.make(call, (0, 0), |_, dir, name| Ok(dir.symlink(target, name)?))
    }

    pub(super) fn link(&self, call: &mut Call<'_>) -> Result<(), Errno> {
        let original = call.arguments.u64()?;
        self.make(call, (0, 0), |state, dir, name| {
            let original = state.inode(original)?;
            Ok(dir.hard_link(&*state.table.node(&original)?, name)?)
        })
    }

    pub(super) fn unlink(&self, call: &mut Call<'_>) -> Result<(), Errno> {
        self.remove(call, |dir, name| dir.remove_file(name))
    }

    pub(super) fn rmdir(&self, call: &mut Call<'_>) -> Result<(), Errno> {
        self.remove(call, |dir, name| dir.remove_dir(name))
    }

    fn remove(
        &self,
        call: &mut Call<'_>,
        remove: impl FnOnce(&Node, &std::ffi::OsStr) -> drupe::Result<()>,
    ) -> Result<(), Errno> {
        let name = call.arguments.text()?;
        self.shared.serve(|state| {
            state.check_image()?;
            let dir = state.node(call.request.node)?;
            state.pin(&dir, name);
            Ok(remove(&dir, name)?)
        })
    }

    pub(super) fn rename2(&self, call: &mut Call<'_>) -> Result<(), Errno> {
        let mut behind = call.arguments;
        behind.skip(8)?;
        let flags = behind.u32()?;
        self.rename(call, flags)
    }

    pub(super) fn rename(&self, call: &mut Call<'_>, flags: u32) -> Result<(), Errno> {
        let to = call.arguments.u64()?;
        if call.request.opcode == opcode::RENAME2 {
            call.arguments.skip(8)?;
        }
        let (name, new) = (call.arguments.text()?, call.arguments.text()?);
        // A whiteout is made in the caller's name.
        self.shared.serve_as(&caller(&call.request), |state| {
            state.check_image()?;
            let (from, dir) = (state.node(call.request.node)?, state.node(to)?);
            if flags & libc::RENAME_EXCHANGE == 0 {
                state.pin(&dir, new);
            }
            from.rename(name, &dir, new, flags)?;
            state.renamed(to, &dir, new);
            Ok(())
        })
    }

    pub(super) fn create(&self, call: &mut Call<'_>) -> Result<(), Errno> {
        let [flags, mode, umask, _] = words(call)?;
        let (parent, name) = (call.request.node, call.arguments.text()?);
        self.shared.serve(|state| {
            let who = self.opener(call, parent, (mode, umask), state);
            let dir = state.directory(parent, &who)?;
            let flags = state.serving_flags(flags as i32);
            let file = dir.create(name, flags, mode & 0o7777)?;
            let found = state.enter_file((parent, name), &file)?;
            answer_open(call, state, found, file);
            Ok(())
        })
    }

    /// Makes a file without a name (`O_TMPFILE`).
    pub(super) fn tmpfile(&self, call: &mut Call<'_>) -> Result<(), Errno> {
        let [flags, mode, umask, _] = words(call)?;
        let (parent, name) = (call.request.node, call.arguments.text()?);
        self.shared.serve(|state| {
            let who = self.opener(call, parent, (mode, umask), state);
            let dir = state.directory(parent, &who)?;
            let flags = state.serving_flags(flags as i32) & !libc::O_CREAT;
            let file = dir.create_unnamed(flags, mode & 0o7777)?;
            let found = state.enter_file((parent, name), &file)?;
            answer_open(call, state, found, file);
            Ok(())
        })
    }

    fn opener(
        &self,
        call: &Call<'_>,
        parent: u64,
        (mode, umask): (u32, u32),
        state: &State,
    ) -> Credentials {
        maker(&call.request, umask, mode, || state.group_of(parent))
    }
}

/// Answers with the entry and the handle of a file that was made and opened.
fn answer_open(call: &mut Call<'_>, state: &State, found: Found, file: drupe::File) {
    found.inode.was_written();
    call.answer.entry(state.entry(call.request.node, &found));
    let handle = state.files.insert(OpenFile {
        file,
        _inode: Arc::clone(&found.inode),
    });
    let flags = fopen::KEEP_CACHE | fopen::NOFLUSH;
    call.answer.open(handle, flags);
}

/// The first `N` arguments, each of 32 bits.
pub(super) fn words<const N: usize>(call: &mut Call<'_>) -> Result<[u32; N], Errno> {
    let mut words = [0; N];
    for word in &mut words {
        *word = call.arguments.u32()?;
    }
    Ok(words)
}
