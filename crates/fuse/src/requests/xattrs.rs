//! Serves requests on extended attributes.

use drupe::Errno;

use super::names::words;
use super::{Call, Served};
use crate::caller::{caller, is_in_group, without_fsetid};

impl Served {
    pub(super) fn setxattr(&self, call: &mut Call<'_>) -> Result<(), Errno> {
        let [size, flags] = words(call)?;
        let name = call.arguments.text()?;
        let value = call.arguments.bytes(size as usize)?;
        let (request, number) = (call.request, call.request.node);
        self.shared.serve(|state| {
            state.check_image()?;
            let mut who = caller(&request);
            // Whoever is not in the group cannot keep set-group-ID by way of an ACL.
            let access = who.uid != 0 && name == "system.posix_acl_access";
            let group = || state.group_of(number);
            if access && !group().is_some_and(|gid| is_in_group(&request, gid)) {
                who = without_fsetid(who);
            }
            state.mount.act_as(&who)?;
            let inode = state.inode(number)?;
            inode.was_written();
            Ok(state
                .table
                .node(&inode)?
                .set_xattr(name, value, flags as i32)?)
        })
    }

    pub(super) fn getxattr(&self, call: &mut Call<'_>) -> Result<(), Errno> {
        let [size, _] = words(call)?;
        let name = call.arguments.text()?;
        let value = self
            .shared
            .serve_as_root(|state| Ok(state.node(call.request.node)?.get_xattr(name)?))?;
        sized(call, &value, size)
    }

    pub(super) fn listxattr(&self, call: &mut Call<'_>) -> Result<(), Errno> {
        let [size, _] = words(call)?;
        // Only root is told of trusted.* attributes.
        let names = self.shared.serve_as(&caller(&call.request), |state| {
            Ok(state.node(call.request.node)?.list_xattr()?)
        })?;
        sized(call, &names, size)
    }

    pub(super) fn removexattr(&self, call: &mut Call<'_>) -> Result<(), Errno> {
        let name = call.arguments.text()?;
        self.shared.serve_as(&caller(&call.request), |state| {
            state.check_image()?;
            let inode = state.inode(call.request.node)?;
            inode.was_written();
            Ok(state.table.node(&inode)?.remove_xattr(name)?)
        })
    }
}

/// Answers with a value, or with its size if `size` is 0.
fn sized(call: &mut Call<'_>, value: &[u8], size: u32) -> Result<(), Errno> {
    match size as usize {
        0 => {
            call.answer.u32(value.len() as u32);
            call.answer.u32(0);
            Ok(())
        }
        size if value.len() <= size => {
            call.answer.bytes(value);
            Ok(())
        }
        _ => Err(Errno::RANGE),
    }
}
