//! Options of IP sockets: ip(7), ipv6(7), udp(7).

use std::net::{Ipv4Addr, Ipv6Addr};

use super::value::options;
use crate::error::Result;
use crate::net::{Socket, named};

options! {
    /// Hops that packets may take, 1 to 255.
    ttl_v4, set_ttl_v4: u32 = IPPROTO_IP, IP_TTL;
    /// Type of service of all packets sent, 0 to 255: the DSCP in the upper six
    /// bits.
    tos_v4, set_tos_v4: u32 = IPPROTO_IP, IP_TOS;
    /// Bind to an address that the kernel does not have, or not yet.
    freebind_v4, set_freebind_v4: bool = IPPROTO_IP, IP_FREEBIND;
    /// Allows binding to, and accepting connections to, foreign addresses, as a
    /// transparent proxy does.
    transparent_v4, set_transparent_v4: bool = IPPROTO_IP, IP_TRANSPARENT;
    /// Hops of multicast packets, 0 to 255; 1 by default.
    multicast_ttl_v4, set_multicast_ttl_v4: u32 = IPPROTO_IP, IP_MULTICAST_TTL;
    /// Whether multicast packets reach the kernel's own sockets; true by
    /// default.
    multicast_loop_v4, set_multicast_loop_v4: bool = IPPROTO_IP, IP_MULTICAST_LOOP;
    /// The address of the interface for sending multicast packets.
    multicast_if_v4, set_multicast_if_v4: Ipv4Addr = IPPROTO_IP, IP_MULTICAST_IF;
    /// Each packet of a raw socket begins with its IP header.
    header_included_v4, set_header_included_v4: bool = IPPROTO_IP, IP_HDRINCL;
    /// Path MTU discovery and fragmentation: `IP_PMTUDISC_*`.
    mtu_discover_v4, set_mtu_discover_v4: u32 = IPPROTO_IP, IP_MTU_DISCOVER;
    /// Adds a control message with the receiving interface and the destination address.
    packet_info_v4, set_packet_info_v4: bool = IPPROTO_IP, IP_PKTINFO;
    /// Errors of ICMP are queued for `MSG_ERRQUEUE`.
    receive_errors_v4, set_receive_errors_v4: bool = IPPROTO_IP, IP_RECVERR;

    /// Only IPv6, so that another socket can use the same port with IPv4.
    only_v6, set_only_v6: bool = IPPROTO_IPV6, IPV6_V6ONLY;
    /// Hops that packets may take, 1 to 255.
    unicast_hops_v6, set_unicast_hops_v6: u32 = IPPROTO_IPV6, IPV6_UNICAST_HOPS;
    /// Traffic class of all packets sent, 0 to 255.
    tclass_v6, set_tclass_v6: u32 = IPPROTO_IPV6, IPV6_TCLASS;
    /// Bind to an address that the kernel does not have, or not yet.
    freebind_v6, set_freebind_v6: bool = IPPROTO_IPV6, IPV6_FREEBIND;
    /// Allows binding to, and accepting connections to, foreign addresses.
    transparent_v6, set_transparent_v6: bool = IPPROTO_IPV6, IPV6_TRANSPARENT;
    /// Hops of multicast packets, 0 to 255.
    multicast_hops_v6, set_multicast_hops_v6: u32 = IPPROTO_IPV6, IPV6_MULTICAST_HOPS;
    /// Whether multicast packets reach the kernel's own sockets; true by
    /// default.
    multicast_loop_v6, set_multicast_loop_v6: bool = IPPROTO_IPV6, IPV6_MULTICAST_LOOP;
    /// Index of the interface for sending multicast packets; 0: by the routing table.
    multicast_if_v6, set_multicast_if_v6: u32 = IPPROTO_IPV6, IPV6_MULTICAST_IF;
    /// Adds a control message with the receiving interface and the destination address.
    packet_info_v6, set_packet_info_v6: bool = IPPROTO_IPV6, IPV6_RECVPKTINFO;

    /// Holds back data until it is turned off again, and then sends it as one datagram.
    udp_cork, set_udp_cork: bool = SOL_UDP, UDP_CORK;
    /// Cuts longer datagrams into datagrams of this many bytes; 0: off.
    udp_segment, set_udp_segment: u32 = SOL_UDP, UDP_SEGMENT;
    /// Datagrams of one sender may be received joined; a control message has the size of
    /// each.
    udp_gro, set_udp_gro: bool = SOL_UDP, UDP_GRO;
}

impl Socket {
    /// Joins a multicast group on the interface with this address (unspecified: by the
    /// routing table). `IP_ADD_MEMBERSHIP`.
    pub fn join_multicast_v4(&self, group: &Ipv4Addr, interface: &Ipv4Addr) -> Result<()> {
        let value = [group.octets(), interface.octets()].concat();
        let name = libc::IP_ADD_MEMBERSHIP;
        let set = self
            .sys()
            .setsockopt(self.fd.raw(), libc::IPPROTO_IP, name, &value);
        named("join_multicast_v4", set)
    }

    /// Leaves a group that was joined with [`Socket::join_multicast_v4`].
    pub fn leave_multicast_v4(&self, group: &Ipv4Addr, interface: &Ipv4Addr) -> Result<()> {
        let value = [group.octets(), interface.octets()].concat();
        let name = libc::IP_DROP_MEMBERSHIP;
        let set = self
            .sys()
            .setsockopt(self.fd.raw(), libc::IPPROTO_IP, name, &value);
        named("leave_multicast_v4", set)
    }

    /// Joins a multicast group on the interface with this index (0: by the routing
    /// table). `IPV6_ADD_MEMBERSHIP`.
    pub fn join_multicast_v6(&self, group: &Ipv6Addr, interface: u32) -> Result<()> {
        let value = membership_v6(group, interface);
        let name = libc::IPV6_ADD_MEMBERSHIP;
        let set = self
            .sys()
            .setsockopt(self.fd.raw(), libc::IPPROTO_IPV6, name, &value);
        named("join_multicast_v6", set)
    }

    /// Leaves a group that was joined with [`Socket::join_multicast_v6`].
    pub fn leave_multicast_v6(&self, group: &Ipv6Addr, interface: u32) -> Result<()> {
        let value = membership_v6(group, interface);
        let name = libc::IPV6_DROP_MEMBERSHIP;
        let set = self
            .sys()
            .setsockopt(self.fd.raw(), libc::IPPROTO_IPV6, name, &value);
        named("leave_multicast_v6", set)
    }
}

/// `struct ipv6_mreq`.
fn membership_v6(group: &Ipv6Addr, interface: u32) -> [u8; 20] {
    let mut value = [0; 20];
    value[..16].copy_from_slice(&group.octets());
    value[16..].copy_from_slice(&interface.to_ne_bytes());
    value
}
