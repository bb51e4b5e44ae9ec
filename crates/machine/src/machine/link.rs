//! Methods of [`Machine`] that add and remove network links, and the links' waker.

use super::Machine;
use crate::devices::netdevs::{self, LinkId};
use crate::error::Error;
use crate::instance::Instance;
use crate::thread::{context, deferred};
use drupe_abi::{irq, op};
use drupe_host::link::{Link, LinkWaker};
use std::sync::Arc;

impl Machine {
    /// Adds a network link. It becomes an Ethernet interface, not yet up, in the network
    /// namespace of the calling thread's task.
    ///
    /// # Errors
    ///
    /// `ENOSPC` when there are 64 links; `EADDRNOTAVAIL` for an invalid hardware address,
    /// `EINVAL` for an invalid MTU; or the kernel's error.
    pub fn add_link(&self, link: Arc<dyn Link>) -> Result<LinkId, Error> {
        self.kernel.check_forked()?;
        let info = link.info();
        let kernel = Arc::downgrade(&self.kernel);
        let waker = |number| {
            LinkWaker::new(move || match kernel.upgrade() {
                Some(kernel) => wake(kernel, number),
                None => false,
            })
        };
        let number = self.kernel.netdevs.insert(Arc::clone(&link), waker)?;
        let mac = info.mac.as_ref().map_or(0, |mac| mac.as_ptr() as u64);
        let flags = netdevs::flags(info.offloads);
        let args = [number.into(), mac, info.mtu.into(), flags, 0, 0];
        // SAFETY: the address is in place until the call is over.
        match unsafe { self.request(op::LINK_ADD, args) } {
            Ok(index) => Ok(LinkId {
                number,
                index: index as u32,
            }),
            Err(error) => {
                self.kernel.netdevs.remove(number);
                Err(error)
            }
        }
    }

    /// Removes a link, also while it is in use.
    ///
    /// # Errors
    ///
    /// `ENODEV` when there is none.
    pub fn remove_link(&self, id: LinkId) -> Result<(), Error> {
        let args = [id.number.into(), 0, 0, 0, 0, 0];
        // SAFETY: the arguments are numbers.
        unsafe { self.request(op::LINK_REMOVE, args)? };
        self.kernel.netdevs.remove(id.number);
        Ok(())
    }
}

/// Tells the kernel of a link's news. Returns whether the kernel may still use the link.
fn wake(kernel: Arc<Instance>, number: u32) -> bool {
    if kernel.end.get().is_some() || kernel.is_forked() {
        return false;
    }
    kernel.netdevs.has_news(number);
    if context().is_inside() {
        deferred::interrupt(kernel);
    } else {
        kernel.vcpu().interrupt(irq::LINK);
    }
    true
}
