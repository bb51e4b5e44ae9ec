//! Serves requests on attributes: GETATTR, STATX, SETATTR and the like.

use std::os::unix::ffi::OsStrExt;

use drupe::Errno;

use super::{Call, Served};
use crate::attr::times;
use crate::caller::{caller, killing};
use crate::state::Change;
use crate::wire::opcode::fattr;

impl Served {
    pub(super) fn getattr(&self, call: &mut Call<'_>) -> Result<(), Errno> {
        self.shared.serve(|state| {
            let (inode, metadata) = state.known(call.request.node)?;
            call.answer.attributes(state.attributes(&inode, &metadata));
            Ok(())
        })
    }

    pub(super) fn statx(&self, call: &mut Call<'_>) -> Result<(), Errno> {
        self.shared.serve(|state| {
            let (inode, metadata) = state.known(call.request.node)?;
            call.answer.statx(state.attributes(&inode, &metadata));
            Ok(())
        })
    }

    pub(super) fn setattr(&self, call: &mut Call<'_>) -> Result<(), Errno> {
        let arguments = &mut call.arguments;
        let valid = arguments.u32()?;
        arguments.skip(4)?;
        let (handle, size, _lock_owner) = (arguments.u64()?, arguments.u64()?, arguments.u64()?);
        let [accessed, modified] = [arguments.u64()?, arguments.u64()?].map(|it| it as i64);
        let _changed = arguments.u64()?;
        let [accessed_nanos, modified_nanos, _, mode, _, uid, gid] = super::names::words(call)?;
        let given = |bit: u32| valid & bit != 0;
        let time = |(bit, now), at| {
            given(bit).then_some(match given(now) {
                true => None,
                false => Some(at),
            })
        };
        let change = Change {
            mode: given(fattr::MODE).then_some(mode),
            uid: given(fattr::UID).then_some(uid),
            gid: given(fattr::GID).then_some(gid),
            size: given(fattr::SIZE).then_some(size),
            times: times(
                time((fattr::ATIME, fattr::ATIME_NOW), (accessed, accessed_nanos)),
                time((fattr::MTIME, fattr::MTIME_NOW), (modified, modified_nanos)),
            ),
        };
        let who = match change.size {
            Some(_) => killing(&call.request),
            None => caller(&call.request),
        };
        self.shared.serve_as(&who, |state| {
            let number = call.request.node;
            let file = given(fattr::FH).then(|| state.files.get(handle).ok());
            let file = file.flatten();
            state.change(number, &change, file.as_ref().map(|open| &open.file))?;
            let (inode, metadata) = state.known(number)?;
            call.answer.attributes(state.attributes(&inode, &metadata));
            Ok(())
        })
    }

    pub(super) fn readlink(&self, call: &mut Call<'_>) -> Result<(), Errno> {
        self.shared.serve(|state| {
            let target = state.node(call.request.node)?.read_link()?;
            call.answer.bytes(target.as_os_str().as_bytes());
            Ok(())
        })
    }

    pub(super) fn statfs(&self, call: &mut Call<'_>) -> Result<(), Errno> {
        let room = self.shared.serve(|state| Ok(state.mount.statfs()?))?;
        let unit = room.block_size().max(1);
        for blocks in [room.total(), room.free(), room.available()] {
            call.answer.u64(blocks / unit);
        }
        call.answer.u64(room.files());
        call.answer.u64(room.files_free());
        for word in [unit, room.name_max(), unit] {
            call.answer.u32(word.try_into().unwrap_or(u32::MAX));
        }
        call.answer.bytes(&[0; 4 + 6 * 4]);
        Ok(())
    }
}
