"""ARP, IPv6 neighbour discovery, ping."""

import socket as host

from scapy.layers.inet import ICMP, IP
from scapy.layers.inet6 import (
    ICMPv6EchoReply,
    ICMPv6EchoRequest,
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6NDOptDstLLAddr,
    ICMPv6NDOptSrcLLAddr,
    IPv6,
)
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Raw

from wire import ADDRESS, ADDRESS6, KERNEL, KERNEL6, KERNEL_MAC, MAC, ip


def arp(kernel, wire):
    """It asks before it sends, three times, and answers for its own address."""
    wire.answers = ()
    udp = kernel.socket(host.SOCK_DGRAM)
    udp.set(host.IPPROTO_IP, 11, 1)  # IP_RECVERR: of errors that may pass, too
    kernel.finish(udp.connect(9))
    udp.send(b"first")
    udp.send(b"second")
    for _ in range(3):
        packet = wire.expect(Ether, ARP, op=1, hwsrc=KERNEL_MAC, psrc=KERNEL, pdst=ADDRESS)
        assert packet.dst == "ff:ff:ff:ff:ff:ff", packet
        kernel.advance(1.1)
    # Nobody is there: the packets are lost, and whoever has sent them is told.
    udp.wait_for_error("EHOSTUNREACH")

    udp.send(b"third")
    wire.expect(Ether, ARP, op=1)
    answer = ARP(op=2, hwsrc=MAC, psrc=ADDRESS, hwdst=KERNEL_MAC, pdst=KERNEL)
    wire.send(Ether(src=MAC, dst=KERNEL_MAC) / answer)
    packet = wire.expect(Ether, IP, Raw, load=b"third")
    assert (packet.src, packet.dst) == (KERNEL_MAC, MAC), packet

    question = ARP(op=1, hwsrc=MAC, psrc=ADDRESS, pdst=KERNEL)
    wire.send(Ether(src=MAC, dst="ff:ff:ff:ff:ff:ff") / question)
    packet = wire.expect(Ether, ARP, op=2, hwsrc=KERNEL_MAC, psrc=KERNEL, pdst=ADDRESS)
    assert packet.dst == MAC, packet
    question.pdst = "10.0.0.77"
    wire.send(Ether(src=MAC, dst="ff:ff:ff:ff:ff:ff") / question)
    wire.nothing()


def neighbour_discovery(kernel, wire):
    """The same for IPv6: solicitations go to the solicited-node group."""
    wire.answers = (4,)
    udp = kernel.socket(host.SOCK_DGRAM, 6)
    udp.send_to(b"first", 9)
    packet = wire.expect(Ether, IPv6, ICMPv6ND_NS, tgt=ADDRESS6)
    assert packet.dst == "33:33:ff:00:00:02", packet
    assert (packet[IPv6].dst, packet[IPv6].src) == ("ff02::1:ff00:2", KERNEL6), packet
    assert packet[IPv6].hlim == 255, packet
    assert packet[ICMPv6NDOptSrcLLAddr].lladdr == KERNEL_MAC, packet

    advert = ICMPv6ND_NA(tgt=ADDRESS6, R=0, S=1, O=1) / ICMPv6NDOptDstLLAddr(lladdr=MAC)
    # From farther away than a neighbour is: it is none.
    wire.send(ip(6, hlim=254) / advert)
    wire.nothing()
    wire.send(ip(6, hlim=255) / advert)
    packet = wire.expect(Ether, IPv6, Raw, load=b"first")
    assert (packet.src, packet.dst) == (KERNEL_MAC, MAC), packet

    solicit = ICMPv6ND_NS(tgt=KERNEL6) / ICMPv6NDOptSrcLLAddr(lladdr=MAC)
    wire.send(ip(6, dst="ff02::1:ff00:1", hlim=255) / solicit)
    packet = wire.expect(IPv6, ICMPv6ND_NA, tgt=KERNEL6, S=1)
    assert packet[ICMPv6NDOptDstLLAddr].lladdr == KERNEL_MAC, packet
    wire.send(ip(6, dst="ff02::1:ff00:1", hlim=64) / solicit)
    wire.nothing()


def ping(kernel, wire):
    """It answers with what it was sent, whatever that was."""
    for size in (0, 1, 56, 1472):
        data = bytes(range(256)) * 6
        wire.send(ip() / ICMP(id=7, seq=size) / data[:size])
        packet = wire.expect(IP, ICMP, type=0, id=7, seq=size)
        assert bytes(packet[ICMP].payload)[:size] == data[:size], packet
        assert packet[IP].len == 28 + size, packet
    # A broadcast is not answered.
    wire.send(ip(dst="10.0.0.255") / ICMP(id=7))
    wire.nothing()


def ping_ipv6(kernel, wire):
    """The same for IPv6."""
    for size in (0, 1, 56, 1452):
        data = bytes(range(256)) * 6
        wire.send(ip(6) / ICMPv6EchoRequest(id=7, seq=size, data=data[:size]))
        wire.expect(IPv6, ICMPv6EchoReply, id=7, seq=size, data=data[:size])
