"""Headers of unfinished frames that make no sense. A link is trusted no more than
a network: such frames are dropped and counted, and nothing is read that is not
theirs.
"""

import itertools
import socket as host

from scapy.layers.inet import TCP, UDP

from alive import PORT, begin, still_alive
from malformed import fuzz
from tcp import listened
from wire import HEADER, frame, ip

NEEDS_CSUM, DATA_VALID = 1, 2
TCPV4, UDP_FRAGMENTS, TCPV6, UDP_L4, ECN = 1, 3, 4, 5, 0x80


def _header(flags=0, kind=0, headers=0, size=0, start=0, offset=0):
    return HEADER.pack(flags, kind, headers, size, start, offset)


def _targets(tcp):
    """Frames to put the headers before, and where their checksums are."""
    udp = UDP(sport=5000, dport=7)
    return [
        (frame(tcp.segment("A", b"x" * 3000, at=1 << 24)), 34, 16),
        (frame(ip(6) / TCP(sport=5000, dport=PORT, flags="A") / (b"x" * 3000)), 54, 16),
        (frame(ip() / udp / (b"x" * 3000)), 34, 6),
        (frame(ip(6) / udp / (b"x" * 3000)), 54, 6),
        (frame(b"neither", type=0x1234), 14, 0),
    ]


def all_kinds(kernel, wire):
    """Every kind of segmentation before every kind of frame, with all sizes."""
    alive = begin(kernel, wire)
    tcp, socket = listened(kernel, wire)
    udp = kernel.socket(host.SOCK_DGRAM)
    udp.bind(7)
    for packet, start, offset in _targets(tcp):
        whole = bytes(packet)
        for flags, kind, size in itertools.product(
            (0, NEEDS_CSUM, DATA_VALID, 3, 0xFF),
            (0, TCPV4, 2, UDP_FRAGMENTS, TCPV6, UDP_L4, 6, 0x7F, TCPV4 | ECN, UDP_L4 | ECN, 0xFF),
            (0, 1, 7, 500, 1448, 65535),
        ):
            wire.send(whole, _header(flags, kind, 0, size, start, offset))
        wire.discard()
    assert socket.state() == "ESTABLISHED"
    while _waiting(udp):
        assert set(udp.receive()) <= set(b"x")
    _counted(kernel)
    still_alive(kernel, wire, alive)


def all_places(kernel, wire):
    """Checksums that begin or lie outside of the frame, or in its headers."""
    alive = begin(kernel, wire)
    tcp, socket = listened(kernel, wire)
    for packet, start, offset in _targets(tcp):
        whole = bytes(packet)
        places = (0, 1, 13, 14, 33, start, start + 1, len(whole) - 1, len(whole), 0xFFFE, 0xFFFF)
        offsets = (0, 1, offset, 17, 1000, 0xFFFD, 0xFFFE, 0xFFFF)
        for kind, place, further in itertools.product((0, TCPV4, TCPV6, UDP_L4), places, offsets):
            wire.send(whole, _header(NEEDS_CSUM, kind, 0xFFFF, 1000, place, further))
        wire.discard()
    # A frame that is shorter than its headers are said to be.
    for length in range(0, 60):
        for kind in (0, TCPV4, TCPV6, UDP_L4):
            wire.send(whole[:length] or b"x", _header(NEEDS_CSUM, kind, 54, 1, 14, 16))
            wire.send(whole[:length] or b"x", _header(0, kind, 54, 1, 0, 0))
    wire.discard()
    assert socket.state() == "ESTABLISHED"
    _counted(kernel)
    still_alive(kernel, wire, alive)


def datagrams_that_claim_to_be_cut(kernel, wire):
    """More than 128 datagrams, or none: not taken for a series."""
    alive = begin(kernel, wire)
    udp = kernel.socket(host.SOCK_DGRAM)
    udp.bind(7)
    whole = bytes(frame(ip() / UDP(sport=5000, dport=7) / bytes(10_000)))
    for size in (1, 10, 70):
        wire.send(whole, _header(NEEDS_CSUM, UDP_L4, 42, size, 34, 6))
        # Nor without a checksum that is to be made for each.
        wire.send(whole, _header(0, UDP_L4, 42, 5000, 34, 6))
    wire.nothing()
    udp.empty()
    _counted(kernel)
    still_alive(kernel, wire, alive)


def noise(kernel, wire):
    """Twenty thousand frames, spoiled or not, behind headers of any kind."""
    fuzz(kernel, wire, 20_000, seed=2)
    _counted(kernel)


def _waiting(udp):
    """Whether there is a datagram to be received."""
    try:
        udp.receive(0, host.MSG_PEEK | host.MSG_DONTWAIT)
        return True
    except BlockingIOError:
        return False


def _counted(kernel):
    assert kernel.device("frame") > 0
