"""Headers of unfinished frames that make no sense. A link is trusted no more than
a network: such frames are dropped and counted, and nothing is read that is not
theirs.
"""

import itertools
import random
import socket as host

from scapy.layers.inet import TCP, UDP

from alive import PORT, begin, still_alive
from malformed import correct_neighbours, frames, spoil
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
    """Ten thousand frames, spoiled or not, behind headers of any kind."""
    alive = begin(kernel, wire)
    tcp, socket = listened(kernel, wire)
    numbers = random.Random(2)
    originals = frames() + [bytes(packet) for packet, _, _ in _targets(tcp)] * 10
    before = kernel.memory()
    for number in range(10_000):
        whole = numbers.choice(originals)
        if numbers.random() < 0.5:
            whole = spoil(numbers, whole)
        if numbers.random() < 0.2:
            header = numbers.randbytes(HEADER.size)
        else:
            header = _header(
                numbers.choice((0, 1, 1, 1, 2, 3)),
                numbers.choice((0, TCPV4, TCPV6, UDP_L4, UDP_FRAGMENTS, TCPV4 | ECN)),
                numbers.choice((0, 14, 54, 1000)),
                numbers.choice((1, 8, 100, 1000, 1448)),
                numbers.choice((14, 34, 34, 54, 54, len(whole))),
                numbers.choice((0, 2, 6, 6, 16, 16)),
            )
        wire.send(whole or b"x", header)
        if number % 1000 == 999:
            kernel.advance(1)
            correct_neighbours(wire)
            wire.discard()
    for _ in range(30):
        kernel.advance(10)
        correct_neighbours(wire)
        wire.discard()
    assert before - kernel.memory() < 8 << 20
    still_alive(kernel, wire, alive)


def _waiting(udp):
    """Whether there is a datagram to be received."""
    try:
        udp.receive(0, host.MSG_PEEK | host.MSG_DONTWAIT)
        return True
    except BlockingIOError:
        return False


def _counted(kernel):
    assert kernel.device("frame") > 0
