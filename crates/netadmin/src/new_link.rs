//! [`NewLink`]: the kinds of virtual interfaces, and making them.

use std::net::IpAddr;

use drupe::Result;
use drupe::net::Namespace;

use crate::netlink::{Body, CREATE, EXCLUSIVE};
use crate::network::ifinfomsg;
use crate::prefix::octets;
use crate::{Interface, Network};

/// An interface to be made by [`Network::create`](crate::Network::create), as ip-link(8) has it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum NewLink<'a> {
    /// Drops all packets.
    Dummy,
    /// A pair of interfaces: packets sent on one are received on the other.
    Veth {
        /// Name of the other interface.
        peer: &'a str,
        /// Namespace of the other interface; `None`: the same namespace.
        namespace: Option<&'a Namespace>,
    },
    /// A switch between the interfaces whose master it is.
    Bridge {
        /// Whether ports have VLANs (`vlan_filtering`).
        vlan_filtering: bool,
        /// Whether the spanning tree protocol runs. Without it, ports forward
        /// at once.
        stp: bool,
    },
    /// The packets with one VLAN tag on another interface (802.1Q).
    Vlan {
        /// The other interface.
        parent: &'a Interface,
        /// The tag, 1 to 4094.
        id: u16,
    },
    /// Ethernet over UDP.
    Vxlan {
        /// The network's number, up to 2²⁴ − 1.
        id: u32,
        /// The address that packets come from.
        local: Option<IpAddr>,
        /// Destination of packets to unknown hardware addresses: an address, or a
        /// multicast group, which needs `parent`.
        remote: Option<IpAddr>,
        /// UDP port; 4789 is the one of RFC 7348.
        port: u16,
        /// The interface for sending.
        parent: Option<&'a Interface>,
    },
    /// An interface with its own hardware address on another interface (in bridge mode).
    Macvlan {
        /// The other interface.
        parent: &'a Interface,
    },
    /// A WireGuard tunnel, which is configured by
    /// [`Interface::set_wireguard`](crate::Interface::set_wireguard).
    WireGuard,
    /// A separate routing table for the interfaces whose master it is.
    Vrf {
        /// The routing table.
        table: u32,
    },
    /// Combines several interfaces into one.
    Bond {
        /// How the interfaces are used.
        mode: BondMode,
    },
    /// An intermediate device: received packets can be redirected to it, and shaped like
    /// sent ones.
    Ifb,
    /// Any other kind that needs no options, by its name.
    Other(&'a str),
}

/// How a bond uses its interfaces (`Documentation/networking/bonding.rst`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(missing_docs, reason = "the names are the kernel's")]
pub enum BondMode {
    #[default]
    BalanceRoundRobin = 0,
    ActiveBackup = 1,
    BalanceXor = 2,
    Broadcast = 3,
    Ieee802_3ad = 4,
    BalanceTlb = 5,
    BalanceAlb = 6,
}

/// `VETH_INFO_PEER`, include/uapi/linux/veth.h.
const VETH_PEER: u16 = 1;
/// `IFLA_BR_*`, `IFLA_VLAN_*` and so on, include/uapi/linux/if_link.h.
const BRIDGE_STP: u16 = 5;
const BRIDGE_VLAN_FILTERING: u16 = 7;
const VLAN_ID: u16 = 1;
const VXLAN_ID: u16 = 1;
const VXLAN_GROUP: u16 = 2;
const VXLAN_LINK: u16 = 3;
const VXLAN_LOCAL: u16 = 4;
const VXLAN_PORT: u16 = 15;
const VXLAN_GROUP6: u16 = 16;
const VXLAN_LOCAL6: u16 = 17;
const MACVLAN_MODE: u16 = 1;
const MACVLAN_BRIDGE: u32 = 4;
const VRF_TABLE: u16 = 1;
const BOND_MODE: u16 = 1;

impl NewLink<'_> {
    fn name(&self) -> &str {
        match self {
            NewLink::Dummy => "dummy",
            NewLink::Veth { .. } => "veth",
            NewLink::Bridge { .. } => "bridge",
            NewLink::Vlan { .. } => "vlan",
            NewLink::Vxlan { .. } => "vxlan",
            NewLink::Macvlan { .. } => "macvlan",
            NewLink::WireGuard => "wireguard",
            NewLink::Vrf { .. } => "vrf",
            NewLink::Bond { .. } => "bond",
            NewLink::Ifb => "ifb",
            NewLink::Other(name) => name,
        }
    }

    /// Adds the attributes of an `RTM_NEWLINK` for it.
    fn put(&self, body: &mut Body) {
        if let NewLink::Vlan { parent, .. } | NewLink::Macvlan { parent } = self {
            body.put_u32(libc::IFLA_LINK, parent.index());
        }
        body.nest(libc::IFLA_LINKINFO, |info| {
            info.put_str(libc::IFLA_INFO_KIND, self.name());
            info.nest(libc::IFLA_INFO_DATA, |data| self.data(data));
        });
    }

    fn data(&self, data: &mut Body) {
        match self {
            NewLink::Veth { peer, namespace } => {
                // A struct ifinfomsg, then attributes of its own.
                let mut inner = Body::new(&[0; 16]);
                inner.put_str(libc::IFLA_IFNAME, peer);
                if let Some(namespace) = namespace {
                    inner.put_u32(libc::IFLA_NET_NS_FD, namespace.raw_fd() as u32);
                }
                data.put_body(VETH_PEER, &inner);
            }
            NewLink::Bridge {
                vlan_filtering,
                stp,
            } => {
                data.put_u8(BRIDGE_VLAN_FILTERING, (*vlan_filtering).into());
                data.put_u32(BRIDGE_STP, (*stp).into());
            }
            NewLink::Vlan { id, .. } => {
                data.put_u16(VLAN_ID, *id);
            }
            NewLink::Vxlan {
                id,
                local,
                remote,
                port,
                parent,
            } => {
                data.put_u32(VXLAN_ID, *id);
                data.put(VXLAN_PORT, &port.to_be_bytes());
                let mut address = |address: &Option<IpAddr>, v4, v6| {
                    if let Some(address) = address {
                        let kind = if address.is_ipv4() { v4 } else { v6 };
                        data.put(kind, &octets(*address));
                    }
                };
                address(local, VXLAN_LOCAL, VXLAN_LOCAL6);
                address(remote, VXLAN_GROUP, VXLAN_GROUP6);
                if let Some(parent) = parent {
                    data.put_u32(VXLAN_LINK, parent.index());
                }
            }
            NewLink::Macvlan { .. } => {
                data.put_u32(MACVLAN_MODE, MACVLAN_BRIDGE);
            }
            NewLink::Vrf { table } => {
                data.put_u32(VRF_TABLE, *table);
            }
            NewLink::Bond { mode } => {
                data.put_u8(BOND_MODE, *mode as u8);
            }
            NewLink::Dummy | NewLink::WireGuard | NewLink::Ifb | NewLink::Other(_) => {}
        }
    }
}

impl Network {
    /// Makes an interface, which is down. EEXIST if the name is taken; EINVAL if it has
    /// more than 15 bytes.
    pub fn create(&self, name: &str, kind: &NewLink<'_>) -> Result<Interface> {
        let mut body = ifinfomsg(0, 0, 0);
        body.put_str(libc::IFLA_IFNAME, name);
        kind.put(&mut body);
        let flags = CREATE | EXCLUSIVE;
        self.change("create link", libc::RTM_NEWLINK, flags, &body)
            .map_err(|e| e.with_path(name))?;
        self.link(name)
    }
}
