//! [`AttachedLink`]: a network link that was added to a kernel.

use std::fmt;
use std::sync::Arc;

use drupe_host::link::Link;
use drupe_machine::LinkId;

use crate::error::{Error, Result};
use crate::kernel::{Kernel, KernelInner};

/// A link that was added to a kernel: an Ethernet interface `eth0`, `eth1` and so on,
/// which has no address yet and is not up. From [`Kernel::add_link`].
///
/// Dropping this changes nothing: the interface stays until it is removed or the
/// kernel is halted.
pub struct AttachedLink {
    kernel: Arc<KernelInner>,
    id: LinkId,
}

impl Kernel {
    /// Adds a network link, in the network namespace of the calling thread.
    ///
    /// Errors: ENOSPC when there are 64, EINVAL for an invalid MTU, EADDRNOTAVAIL for a
    /// multicast or zero hardware address.
    pub fn add_link(&self, link: impl Link + 'static) -> Result<AttachedLink> {
        let machine = self.inner.sys.machine();
        let id = machine.add_link(Arc::new(link));
        Ok(AttachedLink {
            id: id.map_err(|e| Error::new("add_link", e))?,
            kernel: Arc::clone(&self.inner),
        })
    }
}

impl AttachedLink {
    /// Index of the interface in its namespace (`netdevice(7)`), from 1 on.
    pub fn index(&self) -> u32 {
        self.id.index()
    }

    /// The kernel to which the link was added.
    pub fn kernel(&self) -> Kernel {
        Kernel {
            inner: Arc::clone(&self.kernel),
        }
    }

    /// Removes the interface, also while it is in use, and drops the link.
    ///
    /// Errors: ENODEV when it was removed before.
    pub fn remove(self) -> Result<()> {
        let removed = self.kernel.sys.machine().remove_link(self.id);
        removed.map_err(|e| Error::new("remove_link", e))
    }
}

impl fmt::Debug for AttachedLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "link {}", self.index())
    }
}
