"""UDP, and the groups that a host is in."""

import socket as host
import struct

from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.inet6 import ICMPv6DestUnreach, ICMPv6MLReport2, IPv6
from scapy.packet import Raw
from scapy.utils import checksum

from wire import KERNEL, frame, ip


def datagrams(kernel, wire):
    """What is sent arrives, of any size, nothing included."""
    for family in (4, 6):
        udp = kernel.socket(host.SOCK_DGRAM, family)
        udp.bind(7)
        for size in (0, 1, 2, 1000, 1452):
            data = bytes(range(256)) * 6
            wire.send(ip(family) / UDP(sport=5000, dport=7) / data[:size])
            assert udp.receive() == data[:size]
            udp.send_to(data[:size], 5000)
            packet = wire.expect(UDP, sport=7, dport=5000, len=8 + size)
            assert bytes(packet[UDP].payload)[:size] == data[:size], packet
        udp.close()


def large_datagrams(kernel, wire):
    """Larger than a frame: in fragments, both ways."""
    udp = kernel.socket(host.SOCK_DGRAM)
    udp.bind(7)
    data = bytes(range(256)) * 200
    whole = bytes(ip() / UDP(sport=5000, dport=7) / data)[20:]
    for start in range(0, len(whole), 1480):
        more = start + 1480 < len(whole)
        part = whole[start : start + 1480]
        wire.send(ip(id=5, proto=17, frag=start // 8, flags=int(more)) / part)
    assert udp.receive() == data
    udp.send_to(data, 5000)
    got = {packet[IP].frag: bytes(packet[IP].payload) for packet in wire.barrier()}
    whole = b"".join(got[start] for start in sorted(got))
    assert whole[8:] == data


def nobody_is_there(kernel, wire):
    """A port that nobody has is unreachable, and a sender is told."""
    wire.send(ip() / UDP(sport=5000, dport=99) / b"?")
    packet = wire.expect(IP, ICMP, type=3, code=3)
    assert packet["UDPerror"].dport == 99, packet
    wire.send(ip(6) / UDP(sport=5000, dport=99) / b"?")
    wire.expect(IPv6, ICMPv6DestUnreach, code=4)
    # Not when everybody was asked.
    broadcast = frame(ip(dst="10.0.0.255") / UDP(sport=5000, dport=99))
    broadcast.dst = "ff:ff:ff:ff:ff:ff"
    wire.send(broadcast)
    wire.nothing()
    assert kernel.counter("Udp.NoPorts") == 1

    udp = kernel.socket(host.SOCK_DGRAM)
    udp.bind(7)
    kernel.finish(udp.connect(5000))
    udp.send(b"?")
    packet = wire.expect(IP, UDP, Raw, load=b"?")
    wire.send(ip() / ICMP(type=3, code=3) / bytes(packet[IP])[:28])
    wire.nothing()
    assert udp.error() == "ECONNREFUSED"


def checksums_count(kernel, wire):
    """A datagram with a wrong one is dropped; over IPv4 it may have none."""
    udp = kernel.socket(host.SOCK_DGRAM)
    udp.bind(7)
    wire.send(ip() / UDP(sport=5000, dport=7, chksum=0x1234) / b"wrong")
    wire.nothing()
    udp.empty()
    assert kernel.counter("Udp.InCsumErrors") == 1
    wire.send(ip() / UDP(sport=5000, dport=7, chksum=0) / b"none")
    assert udp.receive() == b"none"
    udp6 = kernel.socket(host.SOCK_DGRAM, 6)
    udp6.bind(7)
    wire.send(ip(6) / UDP(sport=5000, dport=7, chksum=0x1234) / b"wrong")
    wire.send(ip(6) / UDP(sport=5000, dport=7, chksum=0) / b"none")
    wire.nothing()
    udp6.empty()
    assert kernel.counter("Udp6.InErrors") == 2


def lengths_count(kernel, wire):
    """A datagram shorter than it says is dropped; what follows it is not its."""
    udp = kernel.socket(host.SOCK_DGRAM)
    udp.bind(7)
    for length in (0, 7, 20, 65535):
        wire.send(ip() / UDP(sport=5000, dport=7, len=length, chksum=0) / b"four")
    wire.nothing()
    udp.empty()
    wire.send(ip() / UDP(sport=5000, dport=7, len=10, chksum=0) / b"four")
    assert udp.receive() == b"fo"


def groups(kernel, wire):
    """Joining a group is told to the routers, leaving it too; and only what is
    for a group that somebody is in arrives."""
    wire.chatter = True
    wire.discard()
    group = "239.1.2.3"
    udp = kernel.socket(host.SOCK_DGRAM)
    kernel.call("bind", udp.fd, struct.pack("=H", 2) + struct.pack(">H12x", 7), 16)
    _to_group(wire, group)
    wire.nothing()
    udp.empty()

    membership = host.inet_aton(group) + host.inet_aton(KERNEL)
    udp.set(host.IPPROTO_IP, host.IP_ADD_MEMBERSHIP, membership)
    # It says so twice, in case that one is lost.
    assert _reported(kernel, wire, group) == {4}
    assert _reported(kernel, wire, group) <= {4}
    _to_group(wire, group)
    assert udp.receive() == b"to all"
    # A router asks.
    wire.send(frame(ip(dst="224.0.0.1", ttl=1, proto=2) / _igmp_query()))
    assert _reported(kernel, wire, group) == {2}
    udp.set(host.IPPROTO_IP, host.IP_DROP_MEMBERSHIP, membership)
    assert _reported(kernel, wire, group) == {3}
    _to_group(wire, group)
    wire.discard()
    udp.empty()


def groups_ipv6(kernel, wire):
    """The same, by MLD."""
    wire.chatter = True
    wire.discard()
    group = "ff05::1:2"
    udp = kernel.socket(host.SOCK_DGRAM, 6)
    membership = host.inet_pton(host.AF_INET6, group) + struct.pack("=i", 2)
    udp.set(host.IPPROTO_IPV6, host.IPV6_JOIN_GROUP, membership)
    assert _mld(kernel, wire, group) == {4}
    udp.set(host.IPPROTO_IPV6, host.IPV6_LEAVE_GROUP, membership)
    assert _mld(kernel, wire, group) == {3}


def _to_group(wire, group):
    packet = frame(ip(dst=group, ttl=1) / UDP(sport=5000, dport=7) / b"to all")
    packet.dst = "01:00:5e:01:02:03"
    wire.send(packet)


def _igmp_query():
    """A general query, version 3, to be answered within a second."""
    query = bytes.fromhex("110a000000000000027d0000")
    return query[:2] + struct.pack(">H", checksum(query)) + query[4:]


def _reported(kernel, wire, group):
    """The kinds of record that IGMP reports have of a group: 2 is what there is,
    3 and 4 are what has changed, to the sources of nobody and of everybody."""
    kernel.advance(2)
    kinds = set()
    for packet in wire.barrier():
        if IP not in packet or packet[IP].proto != 2:
            continue
        assert packet[IP].ttl == 1 and packet[IP].dst == "224.0.0.22", packet
        report = bytes(packet[IP].payload)
        assert report[0] == 0x22, packet
        count, = struct.unpack_from(">H", report, 6)
        for number in range(count):
            kind, _, sources, address = struct.unpack_from(">BBH4s", report, 8 + 8 * number)
            if host.inet_ntoa(address) == group:
                kinds.add(kind)
    return kinds


def _mld(kernel, wire, group):
    """The kinds of record that MLD reports have of a group."""
    kernel.advance(2)
    kinds = set()
    for packet in wire.barrier():
        if ICMPv6MLReport2 in packet:
            assert packet[IPv6].hlim == 1 and packet[IPv6].dst == "ff02::16", packet
            for record in packet[ICMPv6MLReport2].records:
                if record.dst == group:
                    kinds.add(record.rtype)
    return kinds
