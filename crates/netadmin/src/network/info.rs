//! [`InterfaceInfo`]: the state and counters of an interface.

use crate::netlink::Attributes;

/// The state of an interface, as `ip -s link` shows it. From
/// [`Network::links`](crate::Network::links).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct InterfaceInfo {
    /// Its number in its namespace, from 1.
    pub index: u32,
    /// Its name, of up to 15 bytes.
    pub name: String,
    /// Its kind, "veth", "bridge" and so on; `None`: not a virtual interface.
    pub kind: Option<String>,
    /// Its hardware address: six bytes for Ethernet, none for a tunnel.
    pub mac: Vec<u8>,
    /// Largest packet in bytes.
    pub mtu: u32,
    /// Whether it is up (`IFF_UP`).
    pub up: bool,
    /// Whether it has a carrier (`IFF_LOWER_UP`).
    pub carrier: bool,
    /// Index of its bridge, bond or VRF.
    pub master: Option<u32>,
    /// Index of its parent interface, or of its peer, which may be in another namespace.
    pub parent: Option<u32>,
    /// Packets received.
    pub rx_packets: u64,
    /// Packets sent.
    pub tx_packets: u64,
    /// Bytes received.
    pub rx_bytes: u64,
    /// Bytes sent.
    pub tx_bytes: u64,
    /// Received packets that were dropped.
    pub rx_dropped: u64,
    /// Packets that were dropped instead of sent.
    pub tx_dropped: u64,
}

impl InterfaceInfo {
    /// Parses a message with a `struct ifinfomsg`.
    pub(super) fn parse(payload: &[u8]) -> Option<InterfaceInfo> {
        let word = |at: usize| {
            let word = payload.get(at..at + 4)?;
            Some(u32::from_ne_bytes(word.try_into().ok()?))
        };
        let flags = word(8)?;
        let mut info = InterfaceInfo {
            index: word(4)?,
            up: flags & libc::IFF_UP as u32 != 0,
            carrier: flags & libc::IFF_LOWER_UP as u32 != 0,
            ..InterfaceInfo::default()
        };
        for attribute in Attributes::behind(16, payload) {
            match attribute.kind {
                libc::IFLA_IFNAME => info.name = attribute.text(),
                libc::IFLA_ADDRESS => info.mac = attribute.value.to_vec(),
                libc::IFLA_MTU => info.mtu = attribute.u32(),
                libc::IFLA_MASTER => info.master = Some(attribute.u32()),
                libc::IFLA_LINK => info.parent = Some(attribute.u32()),
                libc::IFLA_LINKINFO => {
                    let kind = attribute.nested().find(libc::IFLA_INFO_KIND);
                    info.kind = kind.map(|kind| kind.text());
                }
                libc::IFLA_STATS64 => info.count(attribute.value),
                _ => {}
            }
        }
        Some(info)
    }

    /// `struct rtnl_link_stats64`: received and sent packets, bytes, errors,
    /// dropped.
    fn count(&mut self, statistics: &[u8]) {
        let long = |number: usize| {
            let long = statistics.get(number * 8..number * 8 + 8);
            long.and_then(|long| long.try_into().ok())
                .map_or(0, u64::from_ne_bytes)
        };
        (self.rx_packets, self.tx_packets) = (long(0), long(1));
        (self.rx_bytes, self.tx_bytes) = (long(2), long(3));
        (self.rx_dropped, self.tx_dropped) = (long(6), long(7));
    }
}
