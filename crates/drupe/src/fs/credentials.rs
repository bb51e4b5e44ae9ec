//! [`Credentials`]: in whose name a thread makes its calls.

use std::cell::RefCell;

use super::file::named;
use crate::Mount;
use crate::error::Result;
use crate::sys::{self, Sys};

/// In whose name a thread makes calls, and what it may do.
///
/// Files that it makes belong to this user and group. Permissions are not
/// checked, as long as `CAP_DAC_OVERRIDE` is not taken away: this is for a
/// server whose clients' permissions somebody else has checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Credentials {
    /// Owner of new files (setfsuid(2)).
    pub uid: u32,
    /// Their group, where the directory does not say otherwise (setfsgid(2)).
    pub gid: u32,
    /// Permissions that new files do not get, unless the directory has a
    /// default ACL (umask(2)).
    pub umask: u32,
    /// The capabilities it does not have, of all: a bit each, from
    /// [`capability`].
    pub without: u64,
}

impl Credentials {
    /// What every thread starts with: root, no umask, everything allowed.
    pub const ROOT: Credentials = Credentials {
        uid: 0,
        gid: 0,
        umask: 0,
        without: 0,
    };
}

/// Bits of [`Credentials::without`] (capabilities(7)).
pub mod capability {
    /// `CAP_FSETID`: set-user-ID and set-group-ID bits survive writing.
    pub const FSETID: u64 = 1 << 4;
    /// `CAP_SYS_ADMIN`: `trusted.*` and `security.*` attributes, for one.
    pub const SYS_ADMIN: u64 = 1 << 21;
    /// `CAP_SYS_RESOURCE`: reserved blocks, and no quota.
    pub const SYS_RESOURCE: u64 = 1 << 24;
}

thread_local! {
    /// What this thread's tasks have, by kernel. Kernels that are gone stay in
    /// the list: threads that call so many of them in this way are unheard of.
    static CURRENT: RefCell<Vec<(u64, Credentials)>> = const { RefCell::new(Vec::new()) };
}

impl Mount {
    /// Makes the calling thread's further calls into this kernel, of whatever
    /// mount, those of `credentials`. Costs a system call for each field that
    /// differs from the last ones, and nothing when none does.
    ///
    /// On an error some of them may hold.
    pub fn act_as(&self, credentials: &Credentials) -> Result<()> {
        let sys = self.inner.root.sys();
        CURRENT.with_borrow_mut(|current| {
            let known = current.iter().position(|(id, _)| *id == sys.id());
            let index = match known {
                Some(index) => index,
                None => {
                    named("detach credentials", sys.detach_credentials())?;
                    current.push((sys.id(), Credentials::ROOT));
                    current.len() - 1
                }
            };
            named("act as", change(sys, &mut current[index].1, credentials))
        })
    }
}

/// Changes what differs, and notes it.
fn change(sys: &Sys, now: &mut Credentials, wanted: &Credentials) -> sys::Result<()> {
    if now.uid != wanted.uid {
        sys.set_fsuid(wanted.uid)?;
        now.uid = wanted.uid;
    }
    if now.gid != wanted.gid {
        sys.set_fsgid(wanted.gid)?;
        now.gid = wanted.gid;
    }
    if now.umask != wanted.umask {
        sys.umask(wanted.umask)?;
        now.umask = wanted.umask;
    }
    if now.without != wanted.without {
        sys.set_capabilities(wanted.without)?;
        now.without = wanted.without;
    }
    Ok(())
}
