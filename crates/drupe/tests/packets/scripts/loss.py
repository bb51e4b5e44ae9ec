"""Segments that are lost, come twice, or in another order."""

import errno

from scapy.layers.inet import TCP

from tcp import SACK_OPTIONS, connected, listened, options, payload

DATA = bytes(i * i // 7 % 251 for i in range(20_000))


def _send(tcp, *places):
    """Sends segments of DATA, by their numbers."""
    for place in places:
        tcp.send("A", DATA[place * 1000 : (place + 1) * 1000], at=place * 1000)


def holes_are_told(kernel, wire):
    """The kernel receives with holes: SACK names what is there, the newest first,
    and what came twice."""
    tcp, socket = listened(kernel, wire, SACK_OPTIONS)
    _send(tcp, 0)
    tcp.expect(acks=1000)
    # The third segment is there, the second is not; and so on.
    for place, blocks in [
        (2, [(2000, 3000)]),
        (4, [(4000, 5000), (2000, 3000)]),
        (5, [(4000, 6000), (2000, 3000)]),
        (8, [(8000, 9000), (4000, 6000), (2000, 3000)]),
        (10, [(10000, 11000), (8000, 9000), (4000, 6000), (2000, 3000)]),
        # No room for a fifth: the oldest goes.
        (12, [(12000, 13000), (10000, 11000), (8000, 9000), (4000, 6000)]),
    ]:
        _send(tcp, place)
        packet = tcp.expect(acks=1000)
        assert tcp.sacked(packet) == blocks, tcp.sacked(packet)
    assert socket.receive() == DATA[:1000]
    # One that is there already: D-SACK, and the block that it is in.
    _send(tcp, 8)
    packet = tcp.expect(acks=1000)
    assert tcp.sacked(packet)[:2] == [(8000, 9000), (8000, 9000)], tcp.sacked(packet)
    # Holes are closed; those that stay are told.
    _send(tcp, 1)
    packet = tcp.expect(acks=3000)
    assert len(tcp.sacked(packet)) == 4, tcp.sacked(packet)
    for place, acks in [(3, 6000), (6, 7000), (7, 9000), (9, 11000), (11, 13000)]:
        _send(tcp, place)
        packet = tcp.expect(acks=acks)
    assert not tcp.sacked(packet), packet
    assert socket.receive() == DATA[1000:13000]
    # An old one again: the application does not see it.
    _send(tcp, 3)
    packet = tcp.expect(acks=13000)
    assert tcp.sacked(packet) == [(3000, 4000)], tcp.sacked(packet)
    socket.empty()


def three_blocks_beside_timestamps(kernel, wire):
    """Timestamps leave room for three."""
    tcp, socket = listened(kernel, wire, [*SACK_OPTIONS, ("Timestamp", (1, 0))])
    for place in (2, 4, 6, 8):
        _send(tcp, place)
        # From the fourth on, they may be gathered for a millisecond.
        kernel.advance(0.002)
        packet = tcp.expect(acks=0)
    got = tcp.sacked(packet)
    assert got == [(8000, 9000), (6000, 7000), (4000, 5000)], got


def no_sack_unless_agreed(kernel, wire):
    """Without it, duplicate acknowledgements say that something is missing."""
    tcp, socket = listened(kernel, wire)
    for place in (1, 2, 3):
        _send(tcp, place)
        assert not options(tcp.expect(acks=0))
    _send(tcp, 0)
    tcp.expect(acks=4000)
    assert socket.receive() == DATA[:4000]


def any_order(kernel, wire):
    """Segments that overlap, in the worst order."""
    tcp, socket = listened(kernel, wire, SACK_OPTIONS)
    for start, end in [(7000, 9000), (3000, 5001), (4999, 7500), (1, 3500), (0, 2), (0, 9000)]:
        data = DATA[start:end]
        for piece in range(0, len(data), 1400):
            tcp.send("A", data[piece : piece + 1400], at=start + piece)
    wire.discard()
    tcp.sent = 9000
    assert socket.receive() == DATA[:9000]
    tcp.send("A", DATA[9000:9100])
    tcp.expect()


def outside_of_the_window(kernel, wire):
    """What lies before or behind the window is not taken, only answered."""
    tcp, socket = listened(kernel, wire)
    _send(tcp, 0)
    window = tcp.expect(acks=1000)[TCP].window
    tcp.send("A", b"old", at=-500)
    tcp.expect(acks=1000)
    kernel.advance(1)
    tcp.send("A", b"far", at=1000 + window + 1)
    tcp.expect(acks=1000)
    # The last byte of the window is another matter.
    kernel.advance(1)
    tcp.send("A", b"!", at=1000 + window - 1)
    tcp.expect(acks=1000)
    # What acknowledges bytes that were never sent is not taken.
    tcp.send("A", DATA[1000:2000], at=1000, acks=12345)
    wire.nothing()
    assert socket.receive() == DATA[:1000]
    socket.empty()


def fast_retransmit(kernel, wire):
    """Three duplicate acknowledgements: the kernel sends the segment again, at
    once, and with SACK only what is missing."""
    tcp, socket = listened(kernel, wire, SACK_OPTIONS)
    socket.send(DATA[:8000])
    for place in range(8):
        tcp.expect("A", DATA[place * 1000 : (place + 1) * 1000])
    kernel.advance(0.1)
    # 0, 2 and 5 are lost.
    tcp.send("A", acks=0, options=tcp.sack((1000, 2000)))
    wire.nothing()
    tcp.send("A", acks=0, options=tcp.sack((3000, 4000), (1000, 2000)))
    wire.nothing()
    tcp.send("A", acks=0, options=tcp.sack((3000, 5000), (1000, 2000)))
    tcp.expect("A", DATA[:1000], at=0)
    tcp.send("A", acks=0, options=tcp.sack((6000, 7000), (3000, 5000), (1000, 2000)))
    tcp.send("A", acks=0, options=tcp.sack((6000, 8000), (3000, 5000), (1000, 2000)))
    tcp.expect("A", DATA[2000:3000], at=2000)
    tcp.send("A", acks=2000, options=tcp.sack((6000, 8000), (3000, 5000)))
    tcp.expect("A", DATA[5000:6000], at=5000)
    tcp.send("A", acks=5000, options=tcp.sack((6000, 8000)))
    wire.nothing()
    tcp.send("A", acks=8000)
    wire.nothing()
    assert kernel.counter("TcpExt.TCPSackRecovery") == 1
    assert kernel.counter("Tcp.RetransSegs") == 3
    assert kernel.counter("TcpExt.TCPTimeouts") == 0


def fast_retransmit_without_sack(kernel, wire):
    """NewReno: the third duplicate, and then each partial acknowledgement."""
    tcp, socket = listened(kernel, wire)
    socket.send(DATA[:6000])
    for place in range(6):
        tcp.expect("A", DATA[place * 1000 : (place + 1) * 1000])
    for _ in range(2):
        tcp.send("A", acks=0)
    wire.nothing()
    tcp.send("A", acks=0)
    tcp.expect("A", DATA[:1000], at=0)
    tcp.send("A", acks=3000)
    tcp.expect("A", DATA[3000:4000], at=3000)
    tcp.send("A", acks=6000)
    wire.nothing()
    assert kernel.counter("TcpExt.TCPRenoRecovery") == 1


def timeout(kernel, wire):
    """Nothing is acknowledged: the first segment again after 300 ms (the round
    trip, and 200), 600 ms and so on; when that has been enough, the connection
    has failed."""
    kernel.sysctl("net.ipv4.tcp_retries2", 5)
    tcp, socket = listened(kernel, wire)
    socket.send(DATA[:3000])
    for place in range(3):
        tcp.expect("A", DATA[place * 1000 : (place + 1) * 1000])
    for wait in (0.3, 0.6, 1.2, 2.4, 4.8):
        kernel.until_timer(wait)
        tcp.expect("A", DATA[:1000], at=0)
    assert kernel.counter("Tcp.RetransSegs") == 5
    # What was sent after it is sent again when the first has arrived.
    tcp.send("A", acks=1000)
    tcp.expect("A", DATA[1000:2000], at=1000)
    tcp.expect("A", DATA[2000:3000], at=2000)
    # And nobody answers any more.
    for _ in range(12):
        kernel.advance(40)
        wire.discard()
    socket.wait_for_error(errno.errorcode[errno.ETIMEDOUT])
    assert kernel.counter("TcpExt.TCPAbortOnTimeout") == 1


def tail_loss_probe(kernel, wire):
    """The last segments are lost, so nothing follows that could be acknowledged
    twice: the last is sent again, long before the timeout."""
    tcp, socket = listened(kernel, wire, SACK_OPTIONS)
    # A round trip of 100 ms: the probe comes after two, the timeout after three.
    socket.send(DATA[:1000])
    tcp.expect("A", DATA[:1000])
    kernel.advance(0.1)
    tcp.send("A")
    socket.send(DATA[1000:4000])
    for place in (1, 2, 3):
        tcp.expect("A", DATA[place * 1000 : (place + 1) * 1000])
    kernel.advance(0.25)
    tcp.expect("A", DATA[3000:4000], at=3000)
    assert kernel.counter("TcpExt.TCPLossProbes") == 1
    # That it has arrived tells that the others have not.
    kernel.advance(0.1)
    tcp.send("A", acks=1000, options=tcp.sack((3000, 4000)))
    tcp.expect("A", DATA[1000:2000], at=1000)
    tcp.send("A", acks=2000, options=tcp.sack((3000, 4000)))
    tcp.expect("A", DATA[2000:3000], at=2000)
    tcp.send("A", acks=4000)
    wire.nothing()
    assert kernel.counter("TcpExt.TCPTimeouts") == 0


def one_that_only_came_late(kernel, wire):
    """A retransmission that was not needed is noticed by D-SACK and undone."""
    tcp, socket = connected(kernel, wire, SACK_OPTIONS)
    socket.send(DATA[:6000])
    for place in range(6):
        tcp.expect("A", DATA[place * 1000 : (place + 1) * 1000])
    tcp.send("A", acks=0, options=tcp.sack((1000, 2000)))
    tcp.send("A", acks=0, options=tcp.sack((1000, 3000)))
    tcp.send("A", acks=0, options=tcp.sack((1000, 4000)))
    tcp.expect("A", DATA[:1000], at=0)
    # The first came after all, and then the second time.
    tcp.send("A", acks=6000)
    tcp.send("A", acks=6000, options=tcp.sack((0, 1000)))
    wire.nothing()
    assert kernel.counter("TcpExt.TCPDSACKRecv") == 1
    assert kernel.counter("TcpExt.TCPDSACKUndo") + kernel.counter("TcpExt.TCPFullUndo") == 1
