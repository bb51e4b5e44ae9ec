//! [`Credentials`]: the user, group and capabilities of a thread's calls.

use std::cell::RefCell;

use super::file::named;
use crate::Mount;
use crate::error::Result;
use crate::sys::{self, Sys};

/// The user, group, umask and capabilities of a thread's calls.
///
/// New files belong to this user and group. Permissions are not checked unless
/// `CAP_DAC_OVERRIDE` is removed: this is for a server whose clients' permissions are
/// checked elsewhere, as the host's kernel does for FUSE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Credentials {
    /// Owner of new files (setfsuid(2)).
    pub uid: u32,
    /// Group of new files, unless the directory has its set-group-ID bit set
    /// (setfsgid(2)).
    pub gid: u32,
    /// Permission bits that are cleared in the modes of new files, unless the directory
    /// has a default ACL (umask(2)).
    pub umask: u32,
    /// The capabilities that the thread lacks: bits of [`capability`].
    pub without: u64,
}

impl Credentials {
    /// The credentials that every thread starts with: root, no umask, all capabilities.
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
    /// `CAP_SYS_ADMIN`: among others, setting `trusted.*` and `security.*` attributes.
    pub const SYS_ADMIN: u64 = 1 << 21;
    /// `CAP_SYS_RESOURCE`: using reserved blocks, and ignoring quotas.
    pub const SYS_RESOURCE: u64 = 1 << 24;
}

thread_local! {
    /// The current credentials of this thread's tasks, by kernel. Ended kernels stay in
    /// the list, which is short: few threads act for others in many kernels.
    static CURRENT: RefCell<Vec<(u64, Credentials)>> = const { RefCell::new(Vec::new()) };
}

impl Mount {
    /// Sets the credentials of the calling thread's further calls into this kernel, for
    /// all mounts. Makes a system call for each field that differs from the current
    /// credentials.
    ///
    /// After an error, some of the fields may be set.
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

/// Changes the fields that differ, and updates `now`.
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
