//! [`Interface`]: a network interface, its settings and addresses.

use std::fmt;
use std::net::IpAddr;

use drupe::net::Namespace;
use drupe::{Errno, Error, Result};

use super::{InterfaceInfo, Network, ifinfomsg};
use crate::Prefix;
use crate::netlink::{Attributes, Body};
use crate::netlink::{CREATE, EXCLUSIVE, REPLACE};
use crate::prefix::{address, octets};

/// An interface of a [`Network`], by its index. From [`Network::link`] and
/// [`Network::create`]. A handle: dropping it does nothing to the interface.
#[derive(Clone)]
pub struct Interface {
    pub(super) network: Network,
    pub(super) index: u32,
}

impl Interface {
    pub(super) fn new(network: &Network, index: u32) -> Interface {
        Interface {
            network: network.clone(),
            index,
        }
    }

    /// Its index.
    pub fn index(&self) -> u32 {
        self.index
    }

    /// The network that it belongs to.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// Its current state; ENODEV if it was removed.
    pub fn info(&self) -> Result<InterfaceInfo> {
        let body = ifinfomsg(self.index, 0, 0);
        let found = self.network.netlink.request(libc::RTM_GETLINK, 0, &body);
        found
            .map_err(|e| e.with_operation("link info"))?
            .iter()
            .find_map(|message| InterfaceInfo::parse(&message.payload))
            .ok_or_else(|| Error::new("link info", Errno::NODEV))
    }

    /// Its name.
    pub fn name(&self) -> Result<String> {
        Ok(self.info()?.name)
    }

    fn change(&self, operation: &'static str, body: &Body) -> Result<()> {
        self.network.change(operation, libc::RTM_NEWLINK, 0, body)
    }

    fn set(&self, operation: &'static str, put: impl FnOnce(&mut Body)) -> Result<()> {
        let mut body = ifinfomsg(self.index, 0, 0);
        put(&mut body);
        self.change(operation, &body)
    }

    /// Sets it up, so that it can send and receive.
    pub fn set_up(&self) -> Result<()> {
        let up = libc::IFF_UP as u32;
        self.change("set up", &ifinfomsg(self.index, up, up))
    }

    /// Sets it down, which removes its routes and IPv6 addresses.
    pub fn set_down(&self) -> Result<()> {
        let up = libc::IFF_UP as u32;
        self.change("set down", &ifinfomsg(self.index, 0, up))
    }

    /// Sets its largest packet in bytes; EINVAL beyond its limits.
    pub fn set_mtu(&self, bytes: u32) -> Result<()> {
        self.set("set mtu", |body| {
            body.put_u32(libc::IFLA_MTU, bytes);
        })
    }

    /// Sets its hardware address. EBUSY for some kinds while they are up.
    pub fn set_mac(&self, mac: [u8; 6]) -> Result<()> {
        self.set("set mac", |body| {
            body.put(libc::IFLA_ADDRESS, &mac);
        })
    }

    /// Renames it; the name has up to 15 bytes.
    pub fn rename(&self, name: &str) -> Result<()> {
        self.set("rename link", |body| {
            body.put_str(libc::IFLA_IFNAME, name);
        })
        .map_err(|e| e.with_path(name))
    }

    /// Sets how many packets may wait to be sent (`txqueuelen`), for queueing disciplines
    /// that use it.
    pub fn set_queue_len(&self, packets: u32) -> Result<()> {
        self.set("set queue length", |body| {
            body.put_u32(libc::IFLA_TXQLEN, packets);
        })
    }

    /// Adds it to a bridge, bond or VRF; `None` removes it from that.
    pub fn set_master(&self, master: Option<&Interface>) -> Result<()> {
        self.set("set master", |body| {
            body.put_u32(libc::IFLA_MASTER, master.map_or(0, |master| master.index));
        })
    }

    /// Moves it to another namespace, where it has the same name, is down and has no
    /// addresses. Returns its handle there. EEXIST if the name is taken there.
    pub fn set_namespace(&self, namespace: &Namespace) -> Result<Interface> {
        let name = self.name()?;
        self.set("set namespace", |body| {
            body.put_u32(libc::IFLA_NET_NS_FD, namespace.raw_fd() as u32);
        })?;
        Network::of(namespace)?.link(&name)
    }

    /// Removes it, and with a veth its peer. EOPNOTSUPP if it is not a virtual interface.
    pub fn delete(&self) -> Result<()> {
        let body = ifinfomsg(self.index, 0, 0);
        self.network
            .change("delete link", libc::RTM_DELLINK, 0, &body)
    }

    /// Adds an address: "10.0.0.1/24", and a route to that network while the interface is
    /// up. EEXIST if it has the address.
    ///
    /// An IPv6 address is usable at once, without duplicate address detection
    /// (`IFA_F_NODAD`).
    pub fn add_address(&self, address: &str) -> Result<()> {
        let failed = |e: Error| e.with_operation("add address").with_path(address);
        let prefix: Prefix = address.parse().map_err(failed)?;
        let flags = CREATE | EXCLUSIVE;
        self.network
            .change(
                "add address",
                libc::RTM_NEWADDR,
                flags,
                &self.address(prefix),
            )
            .map_err(failed)
    }

    /// Removes an address: EADDRNOTAVAIL if it does not have it.
    pub fn remove_address(&self, address: &str) -> Result<()> {
        let failed = |e: Error| e.with_operation("remove address").with_path(address);
        let prefix: Prefix = address.parse().map_err(failed)?;
        self.network
            .change(
                "remove address",
                libc::RTM_DELADDR,
                0,
                &self.address(prefix),
            )
            .map_err(failed)
    }

    /// Adds an IPv4 address with a lifetime in seconds (`u32::MAX`: for ever), or changes
    /// its lifetime.
    pub(crate) fn put_address(&self, prefix: Prefix, seconds: u32) -> Result<()> {
        let mut body = self.address(prefix);
        // struct ifa_cacheinfo: preferred, valid, and two times.
        let info = [seconds, seconds, 0, 0];
        let info: Vec<u8> = info.iter().flat_map(|word| word.to_ne_bytes()).collect();
        body.put(libc::IFA_CACHEINFO, &info);
        let flags = CREATE | REPLACE;
        self.network
            .change("add address", libc::RTM_NEWADDR, flags, &body)
            .map_err(|e| e.with_path(prefix.to_string()))
    }

    fn address(&self, prefix: Prefix) -> Body {
        // struct ifaddrmsg: family, prefix length, flags, scope, index.
        let mut header = [prefix.family(), prefix.len, 0, 0, 0, 0, 0, 0];
        header[4..].copy_from_slice(&self.index.to_ne_bytes());
        let mut body = Body::new(&header);
        let bytes = octets(prefix.address);
        body.put(libc::IFA_LOCAL, &bytes);
        body.put(libc::IFA_ADDRESS, &bytes);
        if let IpAddr::V4(address) = prefix.address
            && prefix.len < 31
        {
            let mask = u32::MAX.checked_shr(prefix.len.into()).unwrap_or(0);
            let broadcast = u32::from(address) | mask;
            body.put(libc::IFA_BROADCAST, &broadcast.to_be_bytes());
        } else if prefix.address.is_ipv6() {
            body.put_u32(libc::IFA_FLAGS, libc::IFA_F_NODAD);
        }
        body
    }

    /// Its addresses.
    pub fn addresses(&self) -> Result<Vec<Address>> {
        let mut all = self.network.addresses()?;
        all.retain(|address| address.interface == self.index);
        Ok(all)
    }
}

impl fmt::Debug for Interface {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Interface({})", self.index)
    }
}

/// An address of an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Address {
    /// Index of the interface.
    pub interface: u32,
    /// The address, and the length of its network.
    pub prefix: Prefix,
    /// Whether duplicate address detection is not finished, so that it cannot be used yet
    /// (`IFA_F_TENTATIVE`).
    pub tentative: bool,
    /// Whether it has a lifetime: from a router's advertisement or from DHCP (no
    /// `IFA_F_PERMANENT`).
    pub dynamic: bool,
}

impl Address {
    /// Parses a message with a `struct ifaddrmsg`.
    pub(super) fn parse(payload: &[u8]) -> Option<Address> {
        let [_, len, flags, ..] = *payload else {
            return None;
        };
        let attributes = Attributes::behind(8, payload);
        let find = |kind| attributes.clone().find(kind);
        let own = find(libc::IFA_LOCAL).or_else(|| find(libc::IFA_ADDRESS))?;
        let flags = find(libc::IFA_FLAGS).map_or(u32::from(flags), |flags| flags.u32());
        Some(Address {
            interface: u32::from_ne_bytes(payload.get(4..8)?.try_into().ok()?),
            prefix: Prefix {
                address: address(own.value)?,
                len,
            },
            tentative: flags & libc::IFA_F_TENTATIVE != 0,
            dynamic: flags & libc::IFA_F_PERMANENT == 0,
        })
    }
}
