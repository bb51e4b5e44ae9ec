"""More than a kernel can keep: SYNs from everywhere, neighbours without number."""

import random
import socket as host
import struct

from scapy.layers.inet import TCP, UDP
from scapy.layers.inet6 import ICMPv6EchoRequest
from scapy.utils import checksum

from alive import begin, still_alive
from handshake import ALL_OPTIONS
from tcp import SYN_OPTIONS, Tcp, options, payload
from wire import frame, ip

MEBIBYTE = 1 << 20


def _syns(count, family=4):
    """SYNs to port 80 from as many strangers, as bytes."""
    template = bytearray(bytes(frame(ip(family) / TCP(dport=80, flags="S", options=SYN_OPTIONS))))
    numbers = random.Random(1)
    # Where the network header has its source, and how long both addresses are.
    source, width = (26, 4) if family == 4 else (22, 16)
    tcp = source + 2 * width
    for _ in range(count):
        stranger = struct.pack(">I", numbers.randrange(0x0B000000, 0x7E000000))
        syn = template[:]
        syn[source : source + width] = stranger.rjust(width, b"\x20") if width > 4 else stranger
        struct.pack_into(">HHI", syn, tcp, numbers.randrange(1024, 65536), 80, numbers.getrandbits(32))
        if family == 4:
            syn[24:26] = b"\0\0"
            struct.pack_into(">H", syn, 24, checksum(bytes(syn[14:34])))
        syn[tcp + 16 : tcp + 18] = b"\0\0"
        pseudo = syn[source:tcp] + struct.pack(">II", len(syn) - tcp, 6)
        struct.pack_into(">H", syn, tcp + 16, checksum(bytes(pseudo + syn[tcp:])))
        yield bytes(syn)


def _flood_with_cookies(kernel, wire, family):
    kernel.sysctl("net.ipv4.tcp_syncookies", 1)
    alive = begin(kernel, wire)
    listener = kernel.listener(80, family, backlog=8)
    # The gateway's hardware address has been asked for then.
    still_alive(kernel, wire, alive)
    before = kernel.memory()
    answered = 0
    for number, syn in enumerate(_syns(4000, family)):
        wire.send(syn)
        if number % 500 == 499:
            answered += wire.discard()
    # Each got an answer, and next to none has cost memory.
    assert answered == 4000, answered
    assert kernel.counter("TcpExt.SyncookiesSent") > 3900
    assert before - kernel.memory() < 4 * MEBIBYTE

    # A client that answers is connected, by its cookie.
    tcp = Tcp(wire, 5000, 80, family)
    assert options(tcp.connect(SYN_OPTIONS)) == {"MSS": 1460 if family == 4 else 1440}
    socket = listener.accept()
    assert kernel.counter("TcpExt.SyncookiesRecv") == 1
    tcp.send("A", b"question")
    kernel.advance(0.25)
    tcp.expect()
    assert socket.receive() == b"question"
    socket.send(b"a" * 1500)
    # A cookie knows four sizes. For IPv4, 536 is the next smaller one; for IPv6,
    # where 1280 bytes always pass, 1220 is the smallest.
    sizes = [len(payload(packet)) for packet in wire.barrier()]
    assert sizes == ([536, 536, 428] if family == 4 else [1220, 280]), sizes

    # With timestamps, a cookie keeps the other options too.
    tcp = Tcp(wire, 5001, 80, family)
    got = options(tcp.connect(ALL_OPTIONS))
    assert set(got) == {"MSS", "SAckOK", "Timestamp", "WScale"}, got
    socket = listener.accept()
    assert kernel.counter("TcpExt.SyncookiesRecv") == 2
    tcp.send("A", b"later", at=100)
    assert tcp.sacked(tcp.expect(acks=0)) == [(100, 105)]

    # A cookie that was not baked here.
    tcp = Tcp(wire, 5002, 80, family)
    tcp.kernels_base = 12345
    tcp.send("A")
    tcp._receive("R")
    assert kernel.counter("TcpExt.SyncookiesFailed") == 1


def syns_from_everywhere(kernel, wire):
    """A listener with a backlog of 8 is flooded: with SYN cookies, a client that
    means it still gets through, and memory does not run away."""
    _flood_with_cookies(kernel, wire, 4)


def syns_from_everywhere_ipv6(kernel, wire):
    """The same for IPv6."""
    _flood_with_cookies(kernel, wire, 6)


def syns_without_cookies(kernel, wire):
    """Without cookies, new clients have to wait until the flood is over; who is
    connected already notices nothing."""
    kernel.sysctl("net.ipv4.tcp_syncookies", 0)
    listener = kernel.listener(80, backlog=8)
    old = Tcp(wire, 5000, 80)
    old.connect()
    socket = listener.accept()
    before = kernel.memory()
    for syn in _syns(1000):
        wire.send(syn)
    assert wire.discard() < 20
    assert before - kernel.memory() < 4 * MEBIBYTE
    old.send("A", b"hello")
    old.expect()
    assert socket.receive() == b"hello"
    new = Tcp(wire, 5001, 80)
    new.send("S", at=-1, options=SYN_OPTIONS)
    wire.nothing()
    # Requests that nobody completes are forgotten.
    for _ in range(40):
        kernel.advance(5)
        wire.discard()
    new.connect()
    listener.accept()


def datagrams_for_nobody(kernel, wire):
    """Not each of thousands is answered with an ICMP message."""
    listener = begin(kernel, wire)
    packet = bytes(frame(ip() / UDP(sport=5000, dport=99) / b"?"))
    for _ in range(5000):
        wire.send(packet)
    answers = wire.discard()
    assert 1 <= answers <= 50, answers
    assert kernel.counter("Udp.NoPorts") == 5000
    still_alive(kernel, wire, listener)


def neighbours_without_number(kernel, wire):
    """Pings from thousands of addresses of the same network: the table of
    neighbours is bounded, and those who are there are still heard."""
    listener = begin(kernel, wire)
    wire.discard()
    before = kernel.memory()
    packet = bytearray(bytes(frame(ip(6, src="fd00::1:0") / ICMPv6EchoRequest())))
    for number in range(1, 3001):
        struct.pack_into(">H", packet, 36, number)
        packet[56:58] = b"\0\0"
        pseudo = packet[22:54] + struct.pack(">II", len(packet) - 54, 58)
        struct.pack_into(">H", packet, 56, checksum(bytes(pseudo + packet[54:])))
        wire.send(bytes(packet))
    wire.discard()
    assert before - kernel.memory() < 8 * MEBIBYTE
    # The default of gc_thresh3.
    entries = int(kernel.read("/proc/net/stat/ndisc_cache").splitlines()[1].split()[0], 16)
    assert entries <= 1024, entries
    for _ in range(10):
        kernel.advance(10)
        wire.discard()
    still_alive(kernel, wire, listener)


def a_queue_that_nobody_reads(kernel, wire):
    """Datagrams for a socket whose owner sleeps are dropped when it is full."""
    listener = begin(kernel, wire)
    udp = kernel.socket(host.SOCK_DGRAM)
    udp.bind(7)
    before = kernel.memory()
    packet = bytes(frame(ip() / UDP(sport=5000, dport=7) / bytes(1400)))
    for _ in range(3000):
        wire.send(packet)
    wire.nothing()
    assert kernel.counter("Udp.RcvbufErrors") > 2000
    assert before - kernel.memory() < 4 * MEBIBYTE
    assert len(udp.receive()) == 1400
    still_alive(kernel, wire, listener)
