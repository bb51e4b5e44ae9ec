//! Serves ioctl(2): chattr(1), lsattr(1), project IDs, fstrim(8).
//!
//! The host has checked that the caller may change flags. It passes on any other ioctl
//! without a check, so only those listed here reach the image.

use drupe::{Errno, File};

use super::{Call, Outcome, Served};
use crate::caller::caller;
use crate::state::{Answer as StateAnswer, State};
use crate::table::CASEFOLD;
use crate::wire::{Answer, notice, opcode};

/// `FS_IOC_GETFLAGS` and `FS_IOC_SETFLAGS`: the size of a long in their numbers, but an
/// int as argument.
const GETFLAGS: u32 = 0x8008_6601;
const SETFLAGS: u32 = 0x4008_6602;
/// `FS_IOC_FSGETXATTR` and `FS_IOC_FSSETXATTR`: a struct fsxattr.
const FSGETXATTR: u32 = 0x801c_581f;
const FSSETXATTR: u32 = 0x401c_5820;
/// `FITRIM`: a struct fstrim_range.
const FITRIM: u32 = 0xc018_5879;

impl Served {
    pub(super) fn ioctl(&self, call: &mut Call<'_>) -> Result<Outcome, Errno> {
        let arguments = &mut call.arguments;
        let handle = arguments.u64()?;
        let (flags, command) = (arguments.u32()?, arguments.u32()?);
        let _pointer = arguments.u64()?;
        let (len, _room) = (arguments.u32()? as usize, arguments.u32()?);
        let place = Place {
            handle,
            is_dir: flags & opcode::IOCTL_DIR != 0,
        };
        let who = caller(&call.request);
        let given = arguments.bytes(len)?;
        let shared = &self.shared;
        match command {
            GETFLAGS => {
                let flags = shared.serve(|state| Ok(place.file(state)?.flags()?))?;
                results(call.answer, &flags.to_ne_bytes());
            }
            SETFLAGS => {
                let flags = u32::from_ne_bytes(*given.first_chunk().ok_or(Errno::INVAL)?);
                shared.serve_as(&who, |state| {
                    state.check_image()?;
                    let file = place.file(state)?;
                    // The host may know names as not there that this would make there.
                    if (file.flags()? ^ flags) & CASEFOLD != 0 {
                        return Err(Errno::OPNOTSUPP.into());
                    }
                    Ok(file.set_flags(flags)?)
                })?;
                self.changed(call.request.node);
                results(call.answer, &[]);
            }
            FSGETXATTR => {
                let attributes = shared.serve(|state| Ok(place.file(state)?.fsxattr()?))?;
                results(call.answer, &attributes);
            }
            FSSETXATTR => {
                let attributes = given.first_chunk().ok_or(Errno::INVAL)?;
                shared.serve_as(&who, |state| {
                    state.check_image()?;
                    Ok(place.file(state)?.set_fsxattr(attributes)?)
                })?;
                self.changed(call.request.node);
                results(call.answer, &[]);
            }
            // The host passes it on for anybody.
            FITRIM if who.uid != 0 => return Err(Errno::PERM),
            FITRIM => {
                let mut range = [0; 3];
                for (word, bytes) in range.iter_mut().zip(given.as_chunks().0) {
                    *word = u64::from_ne_bytes(*bytes);
                }
                return self.offload(call.request, move |shared, answer| {
                    let trimmed = shared.serve(|state| Ok(state.mount.trim_range(range)?))?;
                    let words = [range[0], trimmed, range[2]].map(u64::to_ne_bytes);
                    results(answer, words.as_flattened());
                    Ok(())
                });
            }
            _ => return Err(Errno::NOTTY),
        }
        Ok(Outcome::Done(Ok(())))
    }

    /// Makes the host forget the attributes that an ioctl has changed.
    fn changed(&self, node: u64) {
        self.channel.send(&notice::forget_attributes(node));
    }
}

/// An open file or directory.
#[derive(Clone, Copy)]
struct Place {
    handle: u64,
    is_dir: bool,
}

impl Place {
    fn file(self, state: &State) -> StateAnswer<File> {
        if self.is_dir {
            let dir = state.dirs.get(self.handle)?;
            let flags = libc::O_RDONLY | libc::O_DIRECTORY;
            return Ok(state.table.open(&dir.inode, flags)?);
        }
        Ok(state.files.get(self.handle)?.file.try_clone()?)
    }
}

/// Adds `struct fuse_ioctl_out`, and the bytes for the program's buffer.
fn results(answer: &mut Answer, bytes: &[u8]) {
    answer.bytes(&[0; 16]);
    answer.bytes(bytes);
}
