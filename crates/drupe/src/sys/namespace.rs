//! System calls that move the calling thread's task between network namespaces.

use std::sync::Arc;

use super::call::{Result, Sys, fd};
use super::{AT_FDCWD, OwnedFd, nr};

impl Sys {
    /// The network namespace that the calling thread's task is in. /proc must
    /// be mounted.
    pub(crate) fn network_namespace(self: &Arc<Self>) -> Result<OwnedFd> {
        self.openat(AT_FDCWD, c"/proc/thread-self/ns/net", libc::O_RDONLY, 0)
    }

    /// Puts the calling thread's task into a new network namespace.
    pub(crate) fn unshare_network(&self) -> Result<()> {
        self.plain(nr::UNSHARE, [libc::CLONE_NEWNET as usize])
            .map(drop)
    }

    /// Puts the calling thread's task into the network namespace `raw`.
    pub(crate) fn enter_network(&self, raw: i32) -> Result<()> {
        self.plain(nr::SETNS, [fd(raw), libc::CLONE_NEWNET as usize])
            .map(drop)
    }
}
