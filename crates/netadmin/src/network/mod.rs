//! [`Network`]: the interfaces, routes and rules of a namespace.

mod info;
mod interface;

pub use info::InterfaceInfo;
pub use interface::{Address, Interface};

use std::sync::Arc;

use drupe::net::Namespace;
use drupe::{Errno, Error, Result};

use crate::netlink::{Body, Message, Netlink};

/// The network of a [`Namespace`], to read and change it, as ip(8), tc(8), wg(8) and
/// sysctl(8) do. Clones are handles to the same network.
///
/// Errors have the kernel's message, if there is one
/// ([`Cause::Netlink`](drupe::Cause::Netlink)).
#[derive(Debug, Clone)]
pub struct Network {
    pub(super) netlink: Arc<Netlink>,
    pub(super) namespace: Namespace,
}

/// `struct ifinfomsg`, with nothing but an index.
pub(super) fn ifinfomsg(index: u32, flags: u32, change: u32) -> Body {
    let mut header = [0; 16];
    header[4..8].copy_from_slice(&index.to_ne_bytes());
    header[8..12].copy_from_slice(&flags.to_ne_bytes());
    header[12..].copy_from_slice(&change.to_ne_bytes());
    Body::new(&header)
}

impl Network {
    /// The network of a namespace.
    pub fn of(namespace: &Namespace) -> Result<Network> {
        let kernel = namespace.kernel();
        let netlink = namespace.run(|| Netlink::new(&kernel, libc::NETLINK_ROUTE))??;
        Ok(Network {
            netlink: Arc::new(netlink),
            namespace: namespace.clone(),
        })
    }

    /// The namespace of the network.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Its rtnetlink(7) socket, for requests that have no method here.
    pub fn netlink(&self) -> &Netlink {
        &self.netlink
    }

    pub(super) fn change(
        &self,
        operation: &'static str,
        kind: u16,
        flags: u16,
        body: &Body,
    ) -> Result<()> {
        let done = self.netlink.request(kind, flags, body);
        done.map(drop).map_err(|e| e.with_operation(operation))
    }

    pub(super) fn all(
        &self,
        operation: &'static str,
        kind: u16,
        body: &Body,
    ) -> Result<Vec<Message>> {
        let all = self.netlink.dump(kind, body);
        all.map_err(|e| e.with_operation(operation))
    }

    /// All interfaces, up or not.
    pub fn links(&self) -> Result<Vec<InterfaceInfo>> {
        let all = self.all("links", libc::RTM_GETLINK, &ifinfomsg(0, 0, 0))?;
        Ok(all
            .iter()
            .filter_map(|message| InterfaceInfo::parse(&message.payload))
            .collect())
    }

    /// The interface of this name; ENODEV if there is none.
    pub fn link(&self, name: &str) -> Result<Interface> {
        let mut body = ifinfomsg(0, 0, 0);
        body.put_str(libc::IFLA_IFNAME, name);
        let found = self.netlink.request(libc::RTM_GETLINK, 0, &body);
        let found = found.map_err(|e| e.with_operation("link").with_path(name))?;
        let info = found
            .iter()
            .find_map(|message| InterfaceInfo::parse(&message.payload));
        match info {
            Some(info) => Ok(Interface::new(self, info.index)),
            None => Err(Error::at("link", name, Errno::NODEV)),
        }
    }

    /// The interface of this index (`if_nametoindex(3)`). Its methods fail with ENODEV if
    /// there is none.
    pub fn link_by_index(&self, index: u32) -> Interface {
        Interface::new(self, index)
    }

    /// The addresses of all interfaces.
    pub fn addresses(&self) -> Result<Vec<Address>> {
        let all = self.all("addresses", libc::RTM_GETADDR, &Body::new(&[0; 8]))?;
        Ok(all
            .iter()
            .filter_map(|message| Address::parse(&message.payload))
            .collect())
    }
}
