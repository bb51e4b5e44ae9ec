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
    /// Bind to, and accept for, addresses of others: what a transparent proxy
    /// does.
    transparent_v4, set_transparent_v4: bool = IPPROTO_IP, IP_TRANSPARENT;
    /// Hops of multicast packets, 0 to 255; 1 by default.
    multicast_ttl_v4, set_multicast_ttl_v4: u32 = IPPROTO_IP, IP_MULTICAST_TTL;
    /// Whether multicast packets reach the kernel's own sockets; true by
    /// default.
    multicast_loop_v4, set_multicast_loop_v4: bool = IPPROTO_IP, IP_MULTICAST_LOOP;
    /// The address of the interface that multicast packets leave by.
    multicast_if_v4, set_multicast_if_v4: Ipv4Addr = IPPROTO_IP, IP_MULTICAST_IF;
    /// Each packet of a raw socket begins with its IP header.
    header_included_v4, set_header_included_v4: bool = IPPROTO_IP, IP_HDRINCL;
    /// `IP_PMTUDISC_*`: how the size of the path is found, and fragments made.
    mtu_discover_v4, set_mtu_discover_v4: u32 = IPPROTO_IP, IP_MTU_DISCOVER;
    /// Control messages say the interface and the destination address.
    packet_info_v4, set_packet_info_v4: bool = IPPROTO_IP, IP_PKTINFO;
    /// Errors of ICMP are queued for `MSG_ERRQUEUE`.
    receive_errors_v4, set_receive_errors_v4: bool = IPPROTO_IP, IP_RECVERR;

    /// Only IPv6, so that another socket can have the same port of IPv4.
    only_v6, set_only_v6: bool = IPPROTO_IPV6, IPV6_V6ONLY;
    /// Hops that packets may take, 1 to 255.
    unicast_hops_v6, set_unicast_hops_v6: u32 = IPPROTO_IPV6, IPV6_UNICAST_HOPS;
    /// Traffic class of all packets sent, 0 to 255.
    tclass_v6, set_tclass_v6: u32 = IPPROTO_IPV6, IPV6_TCLASS;
    /// Bind to an address that the kernel does not have, or not yet.
    freebind_v6, set_freebind_v6: bool = IPPROTO_IPV6, IPV6_FREEBIND;
    /// Bind to, and accept for, addresses of others.
    transparent_v6, set_transparent_v6: bool = IPPROTO_IPV6, IPV6_TRANSPARENT;
    /// Hops of multicast packets, 0 to 255.
    multicast_hops_v6, set_multicast_hops_v6: u32 = IPPROTO_IPV6, IPV6_MULTICAST_HOPS;
    /// Whether multicast packets reach the kernel's own sockets; true by
    /// default.
    multicast_loop_v6, set_multicast_loop_v6: bool = IPPROTO_IPV6, IPV6_MULTICAST_LOOP;
    /// Index of the interface that multicast packets leave by; 0: as routed.
    multicast_if_v6, set_multicast_if_v6: u32 = IPPROTO_IPV6, IPV6_MULTICAST_IF;
    /// Control messages say the interface and the destination address.
    packet_info_v6, set_packet_info_v6: bool = IPPROTO_IPV6, IPV6_RECVPKTINFO;

    /// Datagrams held back until this is off again are sent as one.
    udp_cork, set_udp_cork: bool = SOL_UDP, UDP_CORK;
    /// A longer datagram is cut into ones of this many bytes; 0: never.
    udp_segment, set_udp_segment: u32 = SOL_UDP, UDP_SEGMENT;
    /// Datagrams of one sender may arrive joined; a control message has the size.
    udp_gro, set_udp_gro: bool = SOL_UDP, UDP_GRO;
}

impl Socket {
    /// Receives what is sent to a group, on the interface that has this address
    /// (unspecified: as routed). `IP_ADD_MEMBERSHIP`.
    pub fn join_multicast_v4(&self, group: &Ipv4Addr, interface: &Ipv4Addr) -> Result<()> {
        let value = [group.octets(), interface.octets()].concat();
        let name = libc::IP_ADD_MEMBERSHIP;
        let set = self
            .sys()
            .setsockopt(self.fd.raw(), libc::IPPROTO_IP, name, &value);
        named("join_multicast_v4", set)
    }

    /// The opposite of [`Socket::join_multicast_v4`].
    pub fn leave_multicast_v4(&self, group: &Ipv4Addr, interface: &Ipv4Addr) -> Result<()> {
        let value = [group.octets(), interface.octets()].concat();
        let name = libc::IP_DROP_MEMBERSHIP;
        let set = self
            .sys()
            .setsockopt(self.fd.raw(), libc::IPPROTO_IP, name, &value);
        named("leave_multicast_v4", set)
    }

    /// Receives what is sent to a group, on the interface of this index (0: as
    /// routed). `IPV6_ADD_MEMBERSHIP`.
    pub fn join_multicast_v6(&self, group: &Ipv6Addr, interface: u32) -> Result<()> {
        let value = membership_v6(group, interface);
        let name = libc::IPV6_ADD_MEMBERSHIP;
        let set = self
            .sys()
            .setsockopt(self.fd.raw(), libc::IPPROTO_IPV6, name, &value);
        named("join_multicast_v6", set)
    }

    /// The opposite of [`Socket::join_multicast_v6`].
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
