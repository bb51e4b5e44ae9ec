"""Frames that nobody should have sent. Whatever it is, the kernel drops it, counts
it, and goes on.
"""

import random
import socket as host
import struct

from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import (
    ICMPv6DestUnreach,
    ICMPv6EchoRequest,
    ICMPv6MLQuery,
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6ND_RA,
    ICMPv6NDOptDstLLAddr,
    ICMPv6NDOptPrefixInfo,
    ICMPv6NDOptSrcLLAddr,
    ICMPv6PacketTooBig,
    ICMPv6ParamProblem,
    HBHOptUnknown,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
    Jumbo,
    RouterAlert,
)
from scapy.layers.l2 import ARP, LLC, SNAP, Dot1Q, Dot3, Ether
from scapy.packet import Raw
from scapy.utils import checksum

from alive import PORT, begin, still_alive
from handshake import ALL_OPTIONS
from tcp import Tcp, listened
from wire import (
    ADDRESS,
    ADDRESS6,
    HEADER,
    KERNEL,
    KERNEL6,
    KERNEL_MAC,
    MAC,
    NO_HEADER,
    frame,
    ip,
)

DATA = b"some data that is none"


def packets():
    """Good packets of every kind, to be spoiled."""
    tcp = TCP(sport=5000, dport=PORT, flags="S", options=ALL_OPTIONS)
    udp = UDP(sport=5000, dport=7)
    solicit = ICMPv6ND_NS(tgt=KERNEL6) / ICMPv6NDOptSrcLLAddr(lladdr=MAC)
    router = ICMPv6ND_RA() / ICMPv6NDOptPrefixInfo(prefix="fd01::", prefixlen=64)
    source_route = [("LSRR", 3), (131, 7)]
    lsrr = b"\x83\x07\x04\x0a\x00\x00\x09\x00"
    for family in (4, 6):
        yield ip(family) / tcp / DATA
        yield ip(family) / TCP(sport=5000, dport=PORT, flags="PA", options=ALL_OPTIONS) / DATA
        yield ip(family) / udp / DATA
        yield ip(family, dst="239.1.2.3" if family == 4 else "ff02::1") / udp / DATA
    yield ip() / ICMP() / DATA
    yield ip() / ICMP(type=13) / DATA
    for kind, code in [(3, 3), (3, 4), (5, 1), (11, 0), (12, 0)]:
        yield ip() / ICMP(type=kind, code=code) / bytes(IP(src=KERNEL, dst=ADDRESS) / udp)
    yield ip(proto=2, dst="224.0.0.1", ttl=1) / bytes.fromhex("1164ee9b00000000")
    yield IP(bytes(ip(ihl=7, proto=1, chksum=None))[:20] + lsrr + bytes(ICMP()))
    yield ip(flags=1, frag=0, proto=17) / bytes(udp)
    yield ip(frag=1, proto=17) / DATA
    # Tunnels, and protocols that nobody speaks.
    yield ip() / ip() / ICMP()
    yield ip() / ip(6) / ICMPv6EchoRequest()
    for protocol in (47, 50, 51, 108, 132, 136, 255):
        yield ip(proto=protocol) / DATA
        yield ip(6, nh=protocol) / DATA
    yield ip(6) / ICMPv6EchoRequest(data=DATA)
    yield ip(6, hlim=255) / solicit
    yield ip(6, hlim=255) / ICMPv6ND_NA(tgt=ADDRESS6) / ICMPv6NDOptSrcLLAddr(lladdr=MAC)
    yield ip(6, hlim=255, src="fe80::2", dst="ff02::1") / router
    yield ip(6, hlim=1, src="fe80::2", dst="ff02::1") / ICMPv6MLQuery()
    for problem in (ICMPv6DestUnreach(), ICMPv6PacketTooBig(mtu=1280), ICMPv6ParamProblem()):
        yield ip(6) / problem / bytes(IPv6(src=KERNEL6, dst=ADDRESS6) / udp)
    yield ip(6) / IPv6ExtHdrHopByHop(options=[RouterAlert()]) / ICMPv6EchoRequest()
    yield ip(6) / IPv6ExtHdrDestOpt(options=[HBHOptUnknown(otype=0x3E)]) / udp
    yield ip(6) / IPv6ExtHdrRouting(addresses=["fd00::7"], segleft=1) / udp
    yield ip(6) / IPv6ExtHdrFragment(m=1, nh=17) / bytes(udp) / DATA
    yield ip(6) / IPv6ExtHdrHopByHop() / IPv6ExtHdrDestOpt() / IPv6ExtHdrFragment() / udp / DATA
    for op in range(1, 10):
        yield Ether(src=MAC, dst=KERNEL_MAC) / ARP(op=op, psrc=ADDRESS, pdst=KERNEL)


def frames():
    return [bytes(packet if Ether in packet else frame(packet)) for packet in packets()]


def cut_off(kernel, wire):
    """Every packet, cut off after each of its bytes."""
    alive = begin(kernel, wire)
    udp = kernel.socket(host.SOCK_DGRAM)
    udp.bind(7)
    sent = 0
    for whole in frames():
        for length in range(1, len(whole)):
            wire.send(whole[:length])
            sent += 1
        wire.discard()
    udp.empty()
    assert sent > 3000, sent
    # Those without an Ethernet header.
    assert kernel.device("frame") == 13 * len(frames())
    assert kernel.counter("IpExt.InTruncatedPkts") > 500
    assert kernel.counter("Ip6.InTruncatedPkts") > 500
    still_alive(kernel, wire, alive)


def counted_as_errors(kernel, wire):
    """What has an error of its own is also among the errors of all kinds, as
    struct rtnl_link_stats64 wants it."""
    wire.send(b"short")
    wire.send(bytes(66_000))
    wire.nothing()
    assert kernel.device("frame") == 2
    assert kernel.device("errs") == 2


def empty(kernel, wire):
    """A frame without bytes hides none of those that come after it."""
    for _ in range(100):
        wire.send(b"")
        wire.nothing()
        wire.send(b"")
        wire.send(b"")
        wire.nothing()


def wrong_checksums(kernel, wire):
    """Each checksum is looked at, and each failure counted."""
    alive = begin(kernel, wire)
    udp = kernel.socket(host.SOCK_DGRAM)
    udp.bind(7)
    for name, packet in [
        ("IpExt.InCsumErrors", ip(chksum=0x4711) / UDP(dport=7) / DATA),
        ("Icmp.InCsumErrors", ip() / ICMP(chksum=0x4711)),
        ("Tcp.InCsumErrors", ip() / TCP(dport=PORT, flags="S", chksum=0x4711)),
        ("Udp.InCsumErrors", ip() / UDP(dport=7, chksum=0x4711) / DATA),
        ("Icmp6.InCsumErrors", ip(6) / ICMPv6EchoRequest(cksum=0x4711)),
        ("Tcp.InCsumErrors", ip(6) / TCP(dport=PORT, flags="S", chksum=0x4711)),
        ("Udp6.InCsumErrors", ip(6) / UDP(dport=7, chksum=0x4711) / DATA),
    ]:
        before = kernel.counter(name)
        wire.send(packet)
        wire.nothing()
        assert kernel.counter(name) == before + 1, name
    udp.empty()
    still_alive(kernel, wire, alive)


def ip_headers(kernel, wire):
    """Versions, lengths and addresses that cannot be."""
    alive = begin(kernel, wire)
    udp = kernel.socket(host.SOCK_DGRAM)
    udp.bind(7)
    payload = UDP(sport=5000, dport=7, chksum=0) / DATA
    bad = [
        dict(version=5),
        dict(version=0),
        dict(ihl=4),
        dict(ihl=0),
        dict(ihl=15),
        dict(len=19),
        dict(len=0),
        dict(len=1000),
        dict(len=65535),
        dict(src="127.0.0.1"),
        dict(src="255.255.255.255"),
        dict(src="224.0.0.1"),
        dict(src="0.0.0.0"),
        # From itself.
        dict(src=KERNEL),
        dict(dst="127.0.0.1"),
        dict(dst="0.1.2.3"),
        dict(dst="240.1.2.3"),
        # For somebody else.
        dict(dst="10.0.0.77"),
        dict(dst="1.2.3.4"),
    ]
    for fields in bad:
        wire.send(ip(**fields) / payload)
        wire.discard()
        udp.empty()
    errors = kernel.counter("Ip.InHdrErrors") + kernel.counter("Ip.InAddrErrors")
    assert errors >= 10, errors
    for fields in [
        dict(version=4),
        dict(plen=0),
        dict(plen=1000),
        dict(plen=65535),
        dict(src="::1"),
        dict(src="ff02::1"),
        dict(src="::"),
        dict(src=KERNEL6),
        dict(dst="::1"),
        dict(dst="::"),
        dict(dst="fd00::77"),
        dict(nh=59),
        dict(nh=43),
    ]:
        wire.send(ip(6, **fields) / payload)
        wire.discard()
    # Time to live.
    wire.send(ip(ttl=0) / payload)
    assert udp.receive() == DATA, "it has arrived, whatever its time"
    still_alive(kernel, wire, alive)


def ip_options(kernel, wire):
    """All options, with all lengths and pointers."""
    alive = begin(kernel, wire)
    for kind in (0, 1, 7, 68, 130, 131, 134, 136, 137, 148, 255):
        for length in (0, 1, 2, 3, 4, 7, 11, 39, 40, 41, 255):
            for pointer in (0, 3, 4, 5, 8, 255):
                options = bytes([kind, length, pointer]).ljust(40, b"\x01")
                header = bytearray(bytes(ip(ihl=15, proto=1, len=68)))[:20] + options
                header[10:12] = b"\0\0"
                struct.pack_into(">H", header, 10, checksum(bytes(header)))
                wire.send(frame(Raw(bytes(header) + bytes(ICMP(id=3))), type=0x800))
    wire.discard()
    assert kernel.counter("Ip.InHdrErrors") > 300
    still_alive(kernel, wire, alive)


def tcp_headers(kernel, wire):
    """All flags with each other, for a port that is open, one that is closed, and
    a connection; all data offsets."""
    alive = begin(kernel, wire)
    tcp, socket = listened(kernel, wire)
    for flags in range(256):
        for port in (PORT, 81):
            wire.send(ip() / TCP(sport=7000 + flags, dport=port, flags=flags) / DATA)
        # In the connection, outside of its window: no reset may end it.
        tcp.send(str(TCP(flags=flags).flags), DATA, at=1 << 24, acks=0)
    for offset in range(16):
        for port in (PORT, tcp.there):
            wire.send(ip() / TCP(sport=5000, dport=port, flags="A", dataofs=offset, seq=7) / DATA)
            wire.send(ip(6) / TCP(sport=5000, dport=port, flags="S", dataofs=offset) / DATA[:3])
    wire.discard()
    assert kernel.counter("Tcp.InErrs") >= 10
    assert socket.state() == "ESTABLISHED"
    socket.empty()
    kernel.advance(1)
    wire.discard()
    tcp.send("A", b"sane")
    tcp.expect()
    assert socket.receive() == b"sane"
    still_alive(kernel, wire, alive)


def tcp_options(kernel, wire):
    """Options that end early, have no length, or too much of it."""
    alive = begin(kernel, wire)
    tcp, socket = listened(kernel, wire)
    spoiled = [bytes([kind, length, 5, 5, 5, 5]) for kind in range(256) for length in (0, 1, 2, 3, 10, 255)]
    spoiled += [b"\x01" * 39 + b"\x02", b"\x05\x0a", b"\x08", b"\x03", b"\x00" * 40, b"\x01" * 40]
    # MPTCP, MD5 and fast open, which look at their own insides.
    spoiled += [bytes([30, length, subtype << 4]).ljust(40, b"\x41") for length in range(3, 41, 3) for subtype in range(16)]
    spoiled += [bytes([kind, length]).ljust(40, b"\x41") for kind in (19, 29, 34, 254) for length in range(41)]
    template = bytes(ip(len=80) / TCP(sport=5000, dport=tcp.there, dataofs=15, chksum=0))
    for number, options in enumerate(spoiled):
        header = bytearray(template[20:]) + options.ljust(40, b"\0")
        # Each once for the connection, and once for the listener.
        for port, flags, seq in [(tcp.there, 0x10, tcp.base), (PORT, 2, number)]:
            sport = 5000 if port == tcp.there else 10_000 + number
            struct.pack_into(">HHIIBB", header, 0, sport, port, seq, tcp.kernels_base, 0xF0, flags)
            header[16:18] = b"\0\0"
            pseudo = template[12:20] + struct.pack(">II", len(header), 6)
            struct.pack_into(">H", header, 16, checksum(bytes(pseudo + header)))
            wire.send(frame(Raw(template[:20] + bytes(header)), type=0x800))
    wire.discard()
    assert socket.state() == "ESTABLISHED"
    kernel.advance(200)
    wire.discard()
    still_alive(kernel, wire, alive)


def land(kernel, wire):
    """A SYN that seems to come from where it goes."""
    alive = begin(kernel, wire)
    for source, port in [(KERNEL, PORT), ("127.0.0.1", PORT)]:
        wire.send(ip(src=source) / TCP(sport=port, dport=PORT, flags="S"))
    wire.send(ip(6, src=KERNEL6) / TCP(sport=PORT, dport=PORT, flags="S"))
    wire.send(ip(src=KERNEL) / UDP(sport=7, dport=7))
    wire.nothing()
    still_alive(kernel, wire, alive)


def icmp_errors(kernel, wire):
    """All kinds of error about a connection that is, and about none: it lives."""
    alive = begin(kernel, wire)
    tcp, socket = listened(kernel, wire)
    ours = bytes(IP(src=KERNEL, dst=ADDRESS) / TCP(sport=tcp.there, dport=tcp.here, seq=tcp.kernels_base))
    strange = bytes(IP(src=KERNEL, dst=ADDRESS) / TCP(sport=1, dport=2))
    for kind in (3, 4, 5, 11, 12, 9, 10, 17, 18, 40):
        for code in range(17):
            for inner in (ours, strange, ours[:24], ours[:20], ours[:5], b"", b"\xff" * 40):
                # What would make the path narrower is tested elsewhere.
                wire.send(ip() / ICMP(type=kind, code=code, nexthopmtu=1500) / inner)
    for kind in (1, 2, 3, 4, 100, 127, 137, 138, 139, 151, 255):
        for code in range(8):
            wire.send(ip(6) / ICMPv6DestUnreach(type=kind, code=code) / DATA)
    wire.discard()
    assert socket.state() == "ESTABLISHED"
    tcp.send("A", b"sane")
    tcp.expect()
    still_alive(kernel, wire, alive)


def ipv6_extension_headers(kernel, wire):
    """Chains of headers: too long, in the wrong order, with lengths that lie."""
    alive = begin(kernel, wire)
    echo = ICMPv6EchoRequest(id=3)
    chain = ip(6)
    for _ in range(100):
        chain = chain / IPv6ExtHdrDestOpt()
    wire.send(chain / echo)
    kinds = (0, 43, 44, 50, 51, 60, 135, 139, 140, 58, 59)
    for kind in kinds:
        for following in kinds:
            for length in (0, 1, 2, 30, 255):
                for first in (0, 1, 4, 5, 0xC2, 0x3E, 0x7E, 0xBE, 0xFE):
                    header = bytes([following, length, first, 4, 0, 0, 0, 0])
                    wire.send(ip(6, nh=kind) / (header + bytes([58, 0, 1, 4, 0, 0, 0, 0]) + bytes(echo)))
        wire.discard()
    for options in ([Jumbo(jumboplen=70_000)], [Jumbo(jumboplen=0)], [RouterAlert(optlen=9)]):
        wire.send(ip(6, plen=0) / IPv6ExtHdrHopByHop(options=options) / echo)
    # Segment routing, type 0, and types that nobody knows.
    for kind in range(8):
        for left in (0, 1, 2, 255):
            route = IPv6ExtHdrRouting(type=kind, segleft=left, addresses=["fd00::7", KERNEL6])
            wire.send(ip(6) / route / echo)
    wire.discard()
    assert kernel.counter("Ip6.InHdrErrors") > 100
    kernel.advance(70)
    still_alive(kernel, wire, alive)


def ethernet(kernel, wire):
    """VLAN tags, other people's frames, old encapsulations, giants."""
    alive = begin(kernel, wire)
    udp = kernel.socket(host.SOCK_DGRAM)
    udp.bind(7)
    inner = ip() / UDP(sport=5000, dport=7, chksum=0) / DATA
    mine = Ether(src=MAC, dst=KERNEL_MAC)
    for packet in [
        mine / Dot1Q(vlan=5) / inner,
        mine / Dot1Q(vlan=5) / Dot1Q(vlan=6) / inner,
        Ether(src=MAC, dst=KERNEL_MAC, type=0x88A8) / Dot1Q(vlan=7) / inner,
        Dot3(src=MAC, dst=KERNEL_MAC) / LLC() / SNAP() / inner,
        Ether(src=MAC, dst=KERNEL_MAC, type=0x1234) / inner,
        Ether(src=MAC, dst=KERNEL_MAC, type=5) / inner,
        Ether(src=MAC, dst="02:00:00:00:00:99") / inner,
        Ether(src=KERNEL_MAC, dst="02:00:00:00:00:99") / inner,
        mine / ARP(hwlen=255, plen=255),
        mine / ARP(hwtype=77, ptype=0x86DD, op=1),
        mine / ARP(op=1, psrc=KERNEL, hwsrc=MAC, pdst=KERNEL),
        mine / ARP(op=2, psrc="0.0.0.0", hwsrc="ff:ff:ff:ff:ff:ff", pdst=KERNEL),
    ]:
        wire.send(packet)
        wire.discard()
        udp.empty()
    # A tag with a priority and no network is none.
    wire.send(mine / Dot1Q(vlan=0, prio=5) / inner)
    assert udp.receive() == DATA
    # Larger than the kernel has said that frames are: taken as they come.
    for size in (1500, 9000, 30_000, 65_000, 65_507):
        wire.send(ip() / UDP(sport=5000, dport=7, chksum=0) / bytes(size))
        assert len(udp.receive(1 << 17)) == size, size
    wire.send(bytes(mine / inner).ljust(65_550, b"\xff"))
    assert udp.receive() == DATA
    # Larger than any frame may be.
    errors = kernel.device("frame")
    for size in (65_555, 70_000, 200_000):
        wire.send(bytes(mine / inner).ljust(size, b"\xff"))
    wire.nothing()
    udp.empty()
    assert kernel.device("frame") == errors + 3
    still_alive(kernel, wire, alive)


def spoil(numbers, whole):
    """Spoils a frame: some bits, some bytes, its end; often the checksums are then
    made right, so that more than the checksum is looked at."""
    whole = bytearray(whole)
    for _ in range(numbers.randrange(1, 6)):
        place = numbers.randrange(12, len(whole))
        kind = numbers.randrange(4)
        if kind == 0:
            whole[place] ^= 1 << numbers.randrange(8)
        elif kind == 1:
            whole[place] = numbers.choice((0, 1, 0x7F, 0x80, 0xFF))
        elif kind == 2:
            whole[place : place + 2] = numbers.randbytes(2)
        elif len(whole) > 20 and place > 16:
            whole = whole[:place] if numbers.random() < 0.5 else whole + numbers.randbytes(place)
    if numbers.random() < 0.8:
        correct(whole)
    return bytes(whole)


def correct(whole):
    """Makes the checksums of a frame right, as far as it has any."""
    if whole[12:14] == b"\x08\0" and len(whole) >= 34:
        ihl = min(max((whole[14] & 15) * 4, 20), len(whole) - 14)
        whole[24:26] = b"\0\0"
        struct.pack_into(">H", whole, 24, checksum(bytes(whole[14 : 14 + ihl])))
        start, protocol, pseudo = 14 + ihl, whole[23], whole[26:34]
        end = min(len(whole), 14 + int.from_bytes(whole[16:18], "big"))
    elif whole[12:14] == b"\x86\xdd" and len(whole) >= 54:
        start, protocol, pseudo = 54, whole[20], whole[22:54]
        while protocol in (0, 43, 44, 60) and start + 8 <= len(whole):
            length = 8 if protocol == 44 else 8 + 8 * whole[start + 1]
            protocol, start = whole[start], start + length
        end = min(len(whole), 54 + int.from_bytes(whole[18:20], "big"))
    else:
        return
    offset = {1: 2, 2: 2, 6: 16, 17: 6, 58: 2}.get(protocol)
    if offset is None or start + offset + 2 > end:
        return
    whole[start + offset : start + offset + 2] = b"\0\0"
    covered = bytes(whole[start:end])
    if protocol in (6, 17, 58):
        covered = bytes(pseudo) + struct.pack(">II", end - start, protocol) + covered
    struct.pack_into(">H", whole, start + offset, checksum(covered))


def fuzz(kernel, wire, count, seed):
    """Sends so many frames that are spoiled, or plain noise; where frames are
    unfinished, behind headers of any kind."""
    alive = begin(kernel, wire)
    tcp, socket = listened(kernel, wire)
    udp = kernel.socket(host.SOCK_DGRAM)
    udp.bind(7)
    originals = frames()
    # Of the connection, too, so that its window is met now and then.
    for flags in ("A", "PA", "FA", "UA") * 5:
        originals.append(bytes(frame(tcp.segment(flags, DATA, options=ALL_OPTIONS))))
    if wire.unfinished:
        for protocol in (TCP(sport=5000, dport=PORT, flags="A"), UDP(sport=5000, dport=7)):
            for family in (4, 6):
                originals += [bytes(frame(ip(family) / protocol / bytes(3000)))] * 10
    before = kernel.memory()
    numbers = random.Random(seed)
    for number in range(count):
        whole = numbers.choice(originals)
        if numbers.random() < 0.1:
            noise = numbers.randbytes(numbers.randrange(1, 200))
            kind = numbers.choice((b"\x08\0", b"\x86\xdd", b"\x08\x06", b"\x81\0", noise[:2]))
            whole = whole[:12] + kind + noise
        elif not wire.unfinished or numbers.random() < 0.5:
            whole = spoil(numbers, whole)
        wire.send(whole, _any_header(numbers, len(whole)) if wire.unfinished else NO_HEADER)
        if number % 1000 == 999:
            kernel.advance(1)
            _settle(wire)
    # A router may have said that neighbours are to be asked every few weeks. What
    # waits for them holds memory until then.
    for name, milliseconds in [("retrans_time_ms", 1000), ("base_reachable_time_ms", 30_000)]:
        kernel.sysctl(f"net.ipv6.neigh.eth0.{name}", milliseconds)
    for seconds in [1] * 10 + [10] * 10 + [50 * 86_400] * 4:
        kernel.advance(seconds)
        _settle(wire)
    assert before - kernel.memory() < 8 << 20
    for socket in (socket, udp):
        socket.close()
    still_alive(kernel, wire, alive)
    alive.close()
    kernel.advance(200)
    _settle(wire)


def _settle(wire):
    """Tells the kernel where the script is, since frames may have told otherwise;
    then it answers."""
    where = ARP(op=2, hwsrc=MAC, psrc=ADDRESS, hwdst=KERNEL_MAC, pdst=KERNEL)
    wire.send(Ether(src=MAC, dst=KERNEL_MAC) / where)
    where = ICMPv6ND_NA(tgt=ADDRESS6, R=0, S=1, O=1) / ICMPv6NDOptDstLLAddr(lladdr=MAC)
    wire.send(ip(6, hlim=255) / where)
    wire.discard()


def _any_header(numbers, length):
    """A header of an unfinished frame; about half of them make sense."""
    if numbers.random() < 0.2:
        return numbers.randbytes(HEADER.size)
    return HEADER.pack(
        numbers.choice((0, 1, 1, 1, 2, 3)),
        numbers.choice((0, 1, 3, 4, 5, 0x81)),
        numbers.choice((0, 14, 54, 1000)),
        numbers.choice((1, 8, 100, 1000, 1448)),
        numbers.choice((14, 34, 34, 54, 54, length)),
        numbers.choice((0, 2, 6, 6, 16, 16)),
    )


def noise(kernel, wire):
    """Forty thousand frames, each spoiled in its own way."""
    fuzz(kernel, wire, 40_000, seed=1)
    assert kernel.device("packets") > 35_000, kernel.device("packets")
