//! [`Table`]: the ports of a switch, and the hardware addresses behind them. It is never
//! changed but replaced, so that frames are sent without holding a lock.

use std::collections::HashMap;
use std::sync::Arc;

use super::port::Cable;

/// How many addresses are remembered. With one more, all are forgotten and learned again.
const MAX_ADDRESSES: usize = 1024;

/// A hardware address.
pub(super) type Mac = [u8; 6];

/// Whether it is a broadcast or multicast address.
pub(super) fn is_group(mac: Mac) -> bool {
    mac[0] & 1 != 0
}

#[derive(Clone, Default)]
pub(super) struct Table {
    pub(super) ports: Vec<Arc<Cable>>,
    /// The number of the next port: no number is used twice.
    pub(super) next: usize,
    behind: HashMap<Mac, Arc<Cable>>,
}

impl Table {
    /// The port behind which an address is.
    pub(super) fn find(&self, mac: Mac) -> Option<&Arc<Cable>> {
        self.behind.get(&mac)
    }

    pub(super) fn knows(&self, mac: Mac, port: usize) -> bool {
        is_group(mac) || self.find(mac).is_some_and(|found| found.number == port)
    }

    /// Notes that `mac` is behind the port.
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
