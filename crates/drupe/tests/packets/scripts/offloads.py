"""Frames that are left unfinished: who is to finish them is told exactly what to
do.
"""

import socket as host
import struct

from scapy.layers.inet import TCP, UDP

from headers import DATA_VALID, ECN, NEEDS_CSUM, TCPV4, TCPV6, UDP_L4, _header
from tcp import SYN_OPTIONS, Tcp, listened, payload
from wire import frame, ip

UDP_SEGMENT, UDP_GRO = 103, 104
LARGE = [("MSS", 1460)]


def _partial(packet, offset):
    """The bytes of a frame whose checksum has only the pseudo header's sum."""
    packet = packet.copy()
    whole = bytearray(bytes(packet))
    start = 34 if whole[12:14] == b"\x08\0" else 54
    if start == 34:
        pseudo = whole[26:34] + struct.pack(">II", len(whole) - 34, whole[23])
    else:
        pseudo = whole[22:54] + struct.pack(">II", len(whole) - 54, whole[20])
    total = sum(struct.unpack(f">{len(pseudo) // 2}H", pseudo))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    struct.pack_into(">H", whole, start + offset, total)
    return bytes(whole)


def _series(wire, tcp):
    """What the kernel has sent: its bytes, and the frames that they were in."""
    packets = wire.barrier()
    data = bytearray()
    for packet in packets:
        assert tcp.place(packet) == tcp.got + len(data), packet
        data += payload(packet)
    tcp.got += len(data)
    return bytes(data), packets


def large_segments_are_sent(kernel, wire):
    """They come in large pieces, with what is needed to cut them."""
    for family, kind, mss in [(4, TCPV4, 1460), (6, TCPV6, 1440)]:
        # With no time between question and answer, pieces are as large as can be.
        listener = kernel.listener(80, family)
        tcp = Tcp(wire, 5000, 80, family)
        tcp.connect([("MSS", mss)])
        socket = listener.accept()
        data = bytes(range(256)) * 400
        # Its buffer has not room for all at once.
        call = socket.start_send(data)
        got, large = b"", 0
        while len(got) < len(data):
            piece, packets = _series(wire, tcp)
            got += piece
            for packet in packets:
                flags, gso, headers, size, start, offset = packet.header
                length = 54 if family == 4 else 74
                assert flags == NEEDS_CSUM, packet.header
                assert (start, offset) == (length - 20, 16), packet.header
                if len(payload(packet)) > mss:
                    assert (gso, size) == (kind, mss) and headers >= length, packet.header
                    large = max(large, len(payload(packet)))
                else:
                    assert gso == 0, packet.header
            tcp.send("A")
        assert kernel.finish(call) == len(data) and got == data
        assert large > 9000, large


def large_segments_are_received(kernel, wire):
    """The script's 30,000 bytes in one frame are one segment to the kernel."""
    for family, kind in [(4, TCPV4), (6, TCPV6)]:
        tcp, socket = listened(kernel, wire, LARGE, family)
        data = bytes(i * 7 % 251 for i in range(30_000))
        start = 34 if family == 4 else 54
        header = _header(NEEDS_CSUM, kind, start + 20, 1440, start, 16)
        wire.send(_partial(frame(tcp.segment("A", data)), 16), header)
        tcp.sent += len(data)
        kernel.advance(0.25)
        assert tcp.acknowledged(wire.barrier()[-1]) == 30_000
        assert socket.receive() == data


def checksums_that_are_known_to_be_right(kernel, wire):
    """A wrong one is not looked at when the link says that it is right, or that it
    is yet to be made; it is when the link says nothing."""
    udp = kernel.socket(host.SOCK_DGRAM)
    udp.bind(7)
    whole = bytes(frame(ip() / UDP(sport=5000, dport=7, chksum=0x4711) / b"data"))
    wire.send(whole)
    wire.nothing()
    udp.empty()
    wire.send(whole, _header(DATA_VALID))
    assert udp.receive() == b"data"
    wire.send(whole, _header(NEEDS_CSUM, start=34, offset=6))
    assert udp.receive() == b"data"
    # The header of IP is always looked at.
    spoiled = bytearray(whole)
    spoiled[24] ^= 1
    wire.send(bytes(spoiled), _header(DATA_VALID))
    wire.nothing()
    udp.empty()


def datagrams_are_sent_in_series(kernel, wire):
    """UDP_SEGMENT: many datagrams of the same size in one piece."""
    for family in (4, 6):
        udp = kernel.socket(host.SOCK_DGRAM, family)
        udp.bind(7)
        udp.set(host.IPPROTO_UDP, UDP_SEGMENT, 1000)
        data = bytes(range(250)) * 38
        udp.send_to(data, 5000)
        packet = wire.expect(UDP, sport=7, dport=5000)
        flags, gso, _, size, start, offset = packet.header
        assert (flags, gso, size) == (NEEDS_CSUM, UDP_L4, 1000), packet.header
        assert (start, offset) == (34 if family == 4 else 54, 6), packet.header
        assert bytes(packet[UDP].payload) == data
        udp.close()


def datagrams_are_received_in_series(kernel, wire):
    """For a socket that did not ask for the series, it is cut."""
    udp = kernel.socket(host.SOCK_DGRAM)
    udp.bind(7)
    data = bytes(range(250)) * 38
    header = _header(NEEDS_CSUM, UDP_L4, 42, 1000, 34, 6)
    whole = _partial(frame(ip() / UDP(sport=5000, dport=7) / data), 6)
    wire.send(whole, header)
    for start in range(0, len(data), 1000):
        assert udp.receive() == data[start : start + 1000]
    udp.empty()
    udp.set(host.IPPROTO_UDP, UDP_GRO, 1)
    wire.send(whole, header)
    assert udp.receive() == data


def marks_of_large_segments(kernel, wire):
    """ECN: only the first of the segments that it is cut into may say CWR."""
    kernel.sysctl("net.ipv4.tcp_ecn", 1)
    listener = kernel.listener(80)
    tcp = Tcp(wire, 5000, 80)
    tcp.send("SEC", at=-1, options=SYN_OPTIONS)
    tcp.expect_syn("SAE")
    kernel.advance(0.1)
    tcp.send("A")
    socket = listener.accept()
    socket.send(b"x" * 10_000)
    assert _series(wire, tcp)[0] == b"x" * 10_000
    kernel.advance(0.1)
    tcp.send("AE")
    socket.send(b"y" * 4000)
    data, (packet, *rest) = _series(wire, tcp)
    assert data == b"y" * 4000
    assert "C" in packet[TCP].flags and packet.header[1] == TCPV4 | ECN, packet.header
    for packet in rest:
        assert "C" not in packet[TCP].flags and not packet.header[1] & ECN, packet.header


def retransmissions(kernel, wire):
    """Of a large segment only what was lost is sent again."""
    tcp, socket = listened(kernel, wire)
    data = bytes(i * 7 % 251 for i in range(10_000))
    socket.send(data)
    assert _series(wire, tcp)[0] == data
    kernel.advance(0.1)
    for _ in range(1 + 3):
        tcp.send("A", acks=2000)
    packet = tcp.expect("A", data[2000:3000], at=2000)
    assert packet.header[1] == 0, packet.header
    tcp.send("A")
    wire.nothing()
