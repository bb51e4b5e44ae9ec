//! [`Table`]: the ports of a switch, and which address is behind which. It is
//! never changed: there is a new one instead, so that frames are sent with no
//! lock held.

use std::collections::HashMap;
use std::sync::Arc;

use super::port::Cable;

/// Addresses that are remembered. One more, and all are learned anew.
const MAX_ADDRESSES: usize = 1024;

/// A hardware address.
pub(super) type Mac = [u8; 6];

/// Whether frames to it go to all, or to more than one.
pub(super) fn is_group(mac: Mac) -> bool {
    mac[0] & 1 != 0
}

#[derive(Clone, Default)]
pub(super) struct Table {
    pub(super) ports: Vec<Arc<Cable>>,
    /// Of the next port: no number is used twice.
    pub(super) next: usize,
    behind: HashMap<Mac, Arc<Cable>>,
}

impl Table {
    /// Which port an address is behind.
    pub(super) fn find(&self, mac: Mac) -> Option<&Arc<Cable>> {
        self.behind.get(&mac)
    }

    pub(super) fn knows(&self, mac: Mac, port: usize) -> bool {
        is_group(mac) || self.find(mac).is_some_and(|found| found.number == port)
    }

    /// `mac` is behind the port, whatever was known before.
    pub(super) fn learn(&mut self, mac: Mac, port: usize) {
        // A port that is gone meanwhile has no address.
        let Some(cable) = self.ports.iter().find(|other| other.number == port) else {
            return;
        };
        if self.behind.len() >= MAX_ADDRESSES {
            self.behind.clear();
        }
        self.behind.insert(mac, Arc::clone(cable));
    }

    pub(super) fn remove(&mut self, port: usize) {
        self.ports.retain(|other| other.number != port);
        self.behind.retain(|_, behind| behind.number != port);
    }
}
