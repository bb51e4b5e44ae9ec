//! System calls that change the credentials and capabilities of a thread's task.

use super::call::{Result, Sys};
use super::nr;

/// `SECBIT_NO_SETUID_FIXUP` (include/uapi/linux/securebits.h): capabilities do
/// not follow the user.
const NO_SETUID_FIXUP: usize = 1 << 2;
/// `PR_SET_SECUREBITS`.
const SET_SECUREBITS: usize = 28;
/// `_LINUX_CAPABILITY_VERSION_3`.
const CAPABILITY_VERSION: u32 = 0x2008_0522;

/// `CAP_CHECKPOINT_RESTORE`, the last one of Linux 6.12.
const LAST_CAPABILITY: u32 = 40;

impl Sys {
    /// Prepares the calling thread's task to act for other users: gives it its own umask,
    /// and capabilities that stay when its user changes.
    pub(crate) fn detach_credentials(&self) -> Result<()> {
        self.plain(nr::UNSHARE, [libc::CLONE_FS as usize])?;
        self.plain(nr::PRCTL, [SET_SECUREBITS, NO_SETUID_FIXUP, 0, 0, 0])
            .map(drop)
    }

    /// setfsuid(2), which never reports a failure.
    pub(crate) fn set_fsuid(&self, uid: u32) -> Result<()> {
        self.plain(nr::SETFSUID, [uid as usize]).map(drop)
    }

    /// setfsgid(2), as above.
    pub(crate) fn set_fsgid(&self, gid: u32) -> Result<()> {
        self.plain(nr::SETFSGID, [gid as usize]).map(drop)
    }

    /// Makes all capabilities effective except those in `without`, one bit each.
    pub(crate) fn set_capabilities(&self, without: u64) -> Result<()> {
        // The kernel writes its version here if it does not know ours.
        let mut header = [CAPABILITY_VERSION, 0];
        let permitted: u64 = (1 << (LAST_CAPABILITY + 1)) - 1;
        let effective = permitted & !without;
        // Effective, permitted, inheritable; the low words, then the high ones.
        let data = [
            effective as u32,
            permitted as u32,
            0,
            (effective >> 32) as u32,
            (permitted >> 32) as u32,
            0,
        ];
        let args = [header.as_mut_ptr() as usize, data.as_ptr() as usize];
        // SAFETY: reads and writes the header, reads two triples of words.
        unsafe { self.raw(nr::CAPSET, args) }.map(drop)
    }
}
