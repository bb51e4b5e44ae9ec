"""The size of packets: path MTU, fragments, reassembly."""

import random
import socket as host

from scapy.layers.inet import ICMP, IP
from scapy.layers.inet6 import (
    ICMPv6EchoReply,
    ICMPv6EchoRequest,
    ICMPv6PacketTooBig,
    ICMPv6ParamProblem,
    ICMPv6TimeExceeded,
    IPv6,
    IPv6ExtHdrFragment,
)
from scapy.packet import Raw

from tcp import connected, listened, payload
from wire import ip

ROUTER = "10.0.0.254"
LARGE = [("MSS", 1460)]


def fragmentation_needed(kernel, wire):
    """A router on the way has a smaller MTU: segments become smaller, at once."""
    tcp, socket = listened(kernel, wire, LARGE)
    socket.send(b"x" * 2920)
    packet = tcp.expect("A", b"x" * 1460)
    assert packet[IP].flags == "DF", packet
    tcp.expect("A", b"x" * 1460)
    wire.send(ip(src=ROUTER) / ICMP(type=3, code=4, nexthopmtu=1000) / bytes(packet[IP])[:28])
    seen = wire.barrier()
    assert seen and tcp.place(seen[0]) == 0, seen
    assert all(packet[IP].len <= 1000 for packet in seen), seen
    tcp.send("A")
    socket.send(b"y" * 1460)
    tcp.expect("A", b"y" * 960)
    tcp.expect("A", b"y" * 500)
    # What others send to this address is cut, too.
    udp = kernel.socket(host.SOCK_DGRAM)
    udp.send_to(b"z" * 1200, 9)
    sizes = [packet[IP].len for packet in wire.barrier()]
    assert len(sizes) == 2 and max(sizes) <= 1000, sizes


def fragmentation_needed_for_what_was_not_sent(kernel, wire):
    """Not everybody may say so: the packet that was too big has to be ours. And
    there is a size below which nobody is believed."""
    tcp, socket = listened(kernel, wire, LARGE)
    socket.send(b"x" * 1460)
    packet = tcp.expect("A", b"x" * 1460)
    forged = bytearray(bytes(packet[IP])[:28])
    forged[24:28] = b"\x12\x34\x56\x78"
    wire.send(ip(src=ROUTER) / ICMP(type=3, code=4, nexthopmtu=600) / bytes(forged))
    wire.nothing()
    tcp.send("A")
    socket.send(b"y" * 1460)
    packet = tcp.expect("A", b"y" * 1460)
    wire.send(ip(src=ROUTER) / ICMP(type=3, code=4, nexthopmtu=68) / bytes(packet[IP])[:28])
    seen = wire.barrier()
    # min_pmtu, and then fragments are allowed.
    assert seen and all(packet[IP].len <= 552 for packet in seen), seen


def packet_too_big(kernel, wire):
    """The same for IPv6, where 1280 bytes always pass: who says otherwise is not
    believed."""
    tcp, socket = connected(kernel, wire, [("MSS", 1440)], 6)
    for mtu, expected in [(1400, 1400), (1280, 1280), (1000, 1280)]:
        socket.send(b"x" * 1200)
        packet = wire.expect(IPv6, Raw)
        tcp.got += 1200
        wire.send(ip(6, src="fd00::99") / ICMPv6PacketTooBig(mtu=mtu) / bytes(packet[IPv6])[:1000])
        wire.discard()
        tcp.send("A")
        socket.send(b"y" * 1400)
        got = tcp.got
        for packet in wire.barrier():
            assert packet[IPv6].plen + 40 <= expected, packet
            got = max(got, tcp.place(packet) + len(payload(packet)))
        assert got == tcp.got + 1400, got
        tcp.got = got
        tcp.send("A")


def ping_in_fragments(kernel, wire):
    """Fragments in any order become one packet, which is answered in fragments."""
    data = bytes(range(256)) * 40
    packet = ip(id=77) / ICMP(id=1) / data
    pieces = _fragments(packet, 1400)
    for order in (1, -1):
        for piece in pieces[::order]:
            wire.send(piece)
        assert _reassembled(wire) == bytes(ICMP(type=0, id=1) / data)
    random.Random(3).shuffle(pieces)
    for piece in pieces:
        wire.send(piece)
        wire.send(piece)
    assert _reassembled(wire) == bytes(ICMP(type=0, id=1) / data)
    assert kernel.counter("Ip.ReasmOKs") == 3


def fragments_that_are_missing(kernel, wire):
    """They are given up after half a minute, and whoever sent the first is told."""
    pieces = _fragments(ip(id=78) / ICMP(id=1) / (b"x" * 4000), 1400)
    for piece in pieces[:-1]:
        wire.send(piece)
    wire.nothing()
    kernel.until_timer(30)
    wire.expect(IP, ICMP, type=11, code=1)
    wire.send(pieces[-1])
    kernel.until_timer(30)
    # Of the last alone nobody is told.
    wire.nothing()
    assert kernel.counter("Ip.ReasmTimeout") == 2


def fragments_that_overlap(kernel, wire):
    """The packet is dropped: nobody can tell which bytes were meant."""
    pieces = _fragments(ip(id=79) / ICMP(id=1) / (b"x" * 3000), 1200)
    liar = pieces[1].copy()
    liar[IP].frag -= 1
    for piece in [pieces[0], liar, *pieces[1:]]:
        wire.send(piece)
    wire.nothing()
    assert kernel.counter("Ip.ReasmOKs") == 0
    assert kernel.counter("Ip.ReasmFails") > 0


def fragments_that_make_no_sense(kernel, wire):
    """No multiple of eight bytes, beyond 64 KiB, too small, two ends, no end."""
    data = b"x" * 64
    for number, (offset, more, size) in enumerate(
        [
            (0, 1, 20),  # not a multiple of eight, and more to come
            (8191, 0, 64),  # ends beyond 65,535 bytes
            (8189, 1, 64),
            (0, 1, 8),  # a header in pieces
            (8191, 0, 0),
            (0, 1, 0),
        ]
    ):
        wire.send(ip(id=100 + number, frag=offset, flags=more, proto=1) / data[:size])
    # A tiny first fragment of TCP, then the rest of its header.
    header = bytes.fromhex("1388005000000001000000005002ffff00000000")
    wire.send(ip(id=200, frag=0, flags=1, proto=6) / header[:8])
    wire.send(ip(id=200, frag=1, flags=0, proto=6) / header[8:])
    # Two different ends.
    wire.send(ip(id=201, frag=8, flags=0, proto=1) / data)
    wire.send(ip(id=201, frag=16, flags=0, proto=1) / data)
    # A mebibyte of fragments that never meet.
    for number in range(700):
        wire.send(ip(id=1000 + number, frag=2, flags=1, proto=17) / (b"y" * 1480))
    wire.discard()
    assert kernel.counter("Ip.ReasmFails") > 0
    wire.send(ip(id=300) / ICMP(id=9, seq=9))
    wire.expect(IP, ICMP, type=0, id=9)


def ping_ipv6_in_fragments(kernel, wire):
    """IPv6 has a header for it."""
    data = bytes(range(256)) * 20
    wire.send(ip(6) / ICMPv6EchoRequest(id=1, data=data[:1200]))
    wire.expect(IPv6, ICMPv6EchoReply, data=data[:1200])
    whole = bytes((ip(6) / ICMPv6EchoRequest(id=1, data=data)))[40:]
    pieces = [(start, whole[start : start + 1200]) for start in range(0, len(whole), 1200)]
    for order in (1, -1):
        for start, piece in pieces[::order]:
            wire.send(_fragment6(start, piece, len(whole)))
        got = {}
        for packet in wire.barrier():
            fragment = packet[IPv6ExtHdrFragment]
            got[fragment.offset * 8] = bytes(fragment.payload)
        answer = b"".join(got[start] for start in sorted(got))
        assert answer[0] == 129 and answer[8:] == data, len(answer)
    # Overlapping ones: all of the packet goes.
    (start, piece), *rest = pieces
    wire.send(_fragment6(start, piece, len(whole), 2))
    wire.send(_fragment6(start + 1192, piece, len(whole), 2))
    for start, piece in rest:
        wire.send(_fragment6(start, piece, len(whole), 2))
    wire.nothing()
    # An odd size, with more to come: the sender is told where the mistake is.
    wire.send(ip(6) / IPv6ExtHdrFragment(nh=17, m=1, id=3) / (b"x" * 13))
    wire.expect(IPv6, ICMPv6ParamProblem, code=0, ptr=4)
    # One that is whole in itself.
    wire.send(ip(6) / IPv6ExtHdrFragment(nh=58, id=4) / ICMPv6EchoRequest(id=5))
    wire.discard()
    # And what never becomes whole.
    kernel.advance(2)
    wire.send(_fragment6(0, pieces[0][1], len(whole), 6))
    wire.nothing()
    kernel.advance(70)
    wire.expect(IPv6, ICMPv6TimeExceeded, code=1)


def _fragment6(start, piece, size, number=1):
    more = start + len(piece) < size
    return ip(6) / IPv6ExtHdrFragment(nh=58, offset=start // 8, m=more, id=number) / piece


def _fragments(packet, size):
    """The fragments of a packet; all but the last have `size` bytes."""
    whole = bytes(packet[IP].payload)
    header = packet[IP].copy()
    header.remove_payload()
    header.proto = 1
    pieces = []
    for start in range(0, len(whole), size):
        piece = header.copy()
        piece.frag, piece.flags = start // 8, int(start + size < len(whole))
        pieces.append(piece / whole[start : start + size])
    return pieces


def _reassembled(wire):
    """The one packet that the kernel has sent in fragments."""
    got, end = {}, None
    for packet in wire.barrier():
        part = bytes(packet[IP].payload)[: packet[IP].len - 20]
        got[packet[IP].frag * 8] = part
        if not packet[IP].flags.MF:
            end = packet[IP].frag * 8 + len(part)
    whole = b"".join(got[start] for start in sorted(got))
    assert len(whole) == end, (len(whole), end)
    return whole
