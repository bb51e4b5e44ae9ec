//! Serves requests on contents of files: opening, reading, writing, syncing.

use drupe::{Credentials, Errno, File};

use super::names::words;
use super::{Call, LARGEST, Outcome, Served};
use crate::caller::{caller, killing, without_fsetid};
use crate::state::{OpenFile, Shared};
use crate::wire::Answer;
use crate::wire::opcode::{self, fopen};

impl Served {
    pub(super) fn open(&self, call: &mut Call<'_>) -> Result<(), Errno> {
        let flags = call.arguments.u32()? as i32;
        self.shared.serve_as(&caller(&call.request), |state| {
            let inode = state.inode(call.request.node)?;
            let serving = state.serving_flags(flags);
            let file = match state.table.open(&inode, serving) {
                // A file that can only be appended to (chattr +a).
                Err(error) if flags & libc::O_APPEND != 0 && error.errno() == Some(Errno::PERM) => {
                    state.table.open(&inode, serving | libc::O_APPEND)?
                }
                file => file?,
            };
            let access = flags & libc::O_ACCMODE;
            let reads = access != libc::O_WRONLY;
            if access != libc::O_RDONLY {
                inode.was_written();
            }
            let keep = !reads || !state.renews_access(&file.metadata()?);
            let handle = state.files.insert(OpenFile {
                file,
                _inode: inode,
            });
            let cache = if keep { fopen::KEEP_CACHE } else { 0 };
            call.answer.open(handle, fopen::NOFLUSH | cache);
            Ok(())
        })
    }

    pub(super) fn release(&self, call: &mut Call<'_>) -> Result<(), Errno> {
        let handle = call.arguments.u64()?;
        self.shared.serve(|state| {
            state.files.remove(handle);
            Ok(())
        })
    }

    pub(super) fn read(&self, call: &mut Call<'_>) -> Result<Outcome, Errno> {
        let (handle, offset) = (call.arguments.u64()?, call.arguments.u64()?);
        let size = call.arguments.u32()?.min(LARGEST) as usize;
        let work = move |shared: &Shared, answer: &mut Answer| {
            with_file(shared, handle, |file| {
                answer.fill(size, |bytes| read_fully(file, bytes, offset))
            })
        };
        match self.workers.is_slow() {
            true => self.offload(call.request, work),
            false => {
                let result = self.workers.timed(size, || work(&self.shared, call.answer));
                Ok(result.into())
            }
        }
    }

    pub(super) fn write(&self, call: &mut Call<'_>) -> Result<Outcome, Errno> {
        let (handle, offset) = (call.arguments.u64()?, call.arguments.u64()?);
        let [size, flags] = words(call)?;
        // The owner of locks, the flags of the file.
        call.arguments.skip(16)?;
        let data = call.arguments.bytes(size as usize)?;
        let mut who = caller(&call.request);
        if flags & opcode::WRITE_KILL_SUIDGID != 0 {
            who = without_fsetid(who);
        }
        match self.workers.is_slow() {
            true => {
                let data = data.to_vec();
                self.offload(call.request, move |shared, answer| {
                    write(shared, answer, &who, (handle, offset), &data)
                })
            }
            false => {
                let place = (handle, offset);
                let result = self.workers.timed(data.len(), || {
                    write(&self.shared, call.answer, &who, place, data)
                });
                Ok(result.into())
            }
        }
    }

    pub(super) fn fsync(&self, call: &mut Call<'_>) -> Result<Outcome, Errno> {
        let handle = call.arguments.u64()?;
        let data_only = call.arguments.u32()? & opcode::FSYNC_FDATASYNC != 0;
        self.offload(call.request, move |shared, _| {
            shared.serve(|state| {
                let file = &state.files.get(handle)?.file;
                match data_only {
                    true => file.sync_data()?,
                    false => file.sync_all()?,
                }
                Ok(state.check_image()?)
            })
        })
    }

    pub(super) fn syncfs(&self, call: &mut Call<'_>) -> Result<Outcome, Errno> {
        self.offload(call.request, |shared, _| sync(shared))
    }

    pub(super) fn fallocate(&self, call: &mut Call<'_>) -> Result<Outcome, Errno> {
        let arguments = &mut call.arguments;
        let [handle, offset, length] = [arguments.u64()?, arguments.u64()?, arguments.u64()?];
        let mode = arguments.u32()? as i32;
        let who = killing(&call.request);
        self.offload(call.request, move |shared, _| {
            shared.serve_as(&who, |state| {
                state.check_image()?;
                let open = state.files.get(handle)?;
                Ok(open.file.fallocate(mode, offset, length)?)
            })
        })
    }

    pub(super) fn lseek(&self, call: &mut Call<'_>) -> Result<(), Errno> {
        let (handle, from) = (call.arguments.u64()?, call.arguments.u64()?);
        let found = match call.arguments.u32()? as i32 {
            libc::SEEK_DATA => with_file(&self.shared, handle, |file| file.seek_data(from)),
            libc::SEEK_HOLE => with_file(&self.shared, handle, |file| file.seek_hole(from)),
            _ => Err(Errno::INVAL),
        };
        call.answer.u64(found?.ok_or(Errno::NXIO)?);
        Ok(())
    }

    pub(super) fn copy_file_range(&self, call: &mut Call<'_>) -> Result<Outcome, Errno> {
        let arguments = &mut call.arguments;
        let (from, offset) = (arguments.u64()?, arguments.u64()?);
        let _node = arguments.u64()?;
        let [to, to_offset, len] = [arguments.u64()?, arguments.u64()?, arguments.u64()?];
        let who = killing(&call.request);
        self.offload(call.request, move |shared, answer| {
            let copied = shared.serve_as(&who, |state| {
                state.check_image()?;
                let (from, to) = (state.files.get(from)?, state.files.get(to)?);
                // The answer has 32 bits.
                let len = len.min(1 << 30) as usize;
                Ok(from.file.copy_range_to(offset, &to.file, to_offset, len)?)
            })?;
            answer.u32(copied as u32);
            answer.u32(0);
            Ok(())
        })
    }
}

/// Makes everything durable; an error if any write has failed.
fn sync(shared: &Shared) -> Result<(), Errno> {
    shared.serve(|state| {
        state.mount.sync()?;
        Ok(state.check_image()?)
    })
}

/// Calls a function with an open file.
fn with_file<T>(
    shared: &Shared,
    handle: u64,
    work: impl FnOnce(&File) -> drupe::Result<T>,
) -> Result<T, Errno> {
    shared.serve(|state| Ok(work(&state.files.get(handle)?.file)?))
}

/// Writes to a file with the given credentials.
fn write(
    shared: &Shared,
    answer: &mut Answer,
    who: &Credentials,
    (handle, offset): (u64, u64),
    bytes: &[u8],
) -> Result<(), Errno> {
    let written = shared.serve_as(who, |state| {
        state.check_image()?;
        let open = state.files.get(handle)?;
        Ok(write_fully(&open.file, bytes, offset)?)
    })?;
    answer.u32(written as u32);
    answer.u32(0);
    Ok(())
}

/// Reads up to the end of the file. An error at any point fails the whole read, because
/// the host takes a short read for the end of the file.
fn read_fully(file: &File, bytes: &mut [u8], offset: u64) -> drupe::Result<usize> {
    let mut done = 0;
    while done < bytes.len() {
        match file.read_at(&mut bytes[done..], offset + done as u64)? {
            0 => break,
            len => done += len,
        }
    }
    Ok(done)
}

/// Writes as much as possible. An error counts only if nothing was written.
fn write_fully(file: &File, bytes: &[u8], offset: u64) -> drupe::Result<usize> {
    let mut done = 0;
    while done < bytes.len() {
        match file.write_at(&bytes[done..], offset + done as u64) {
            Ok(0) => break,
            Ok(len) => done += len,
            Err(error) if done == 0 => return Err(error),
            Err(_) => break,
        }
    }
    Ok(done)
}
