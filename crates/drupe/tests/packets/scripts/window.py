"""Flow control: windows that close and open."""

import socket as host

from scapy.layers.inet import TCP

from tcp import connected, listened, payload


def probes_of_a_closed_window(kernel, wire):
    """The script's window is zero: the kernel probes, ever more rarely, and goes
    on at once when it is told that there is room."""
    tcp, socket = listened(kernel, wire)
    socket.send(b"a" * 1000)
    tcp.expect("A", b"a" * 1000)
    tcp.send("A", window=0)
    socket.send(b"b" * 2000)
    wire.nothing()
    # A probe is a segment that was acknowledged before: it wants an answer.
    for wait in (0.3, 0.6, 1.2):
        kernel.until_timer(wait)
        tcp.expect("A", at=999)
        tcp.send("A", window=0)
    tcp.send("A", window=1000)
    tcp.expect("A", b"b" * 1000)
    tcp.send("A", window=0)
    wire.nothing()
    tcp.send("A", window=5000)
    tcp.expect("A", b"b" * 1000)


def no_more_than_the_window(kernel, wire):
    """What is on its way is never more than was offered."""
    tcp, socket = listened(kernel, wire, window=2500)
    socket.send(b"x" * 20_000)
    sent = limit = 0
    for acks, window in [(0, 2500), (1000, 2500), (2000, 500), (3000, 500), (3000, 4000)]:
        tcp.send("A", acks=acks, window=window)
        # What was offered once may be used, even if it is less now.
        limit = max(limit, acks + window)
        for packet in wire.barrier():
            sent = max(sent, tcp.place(packet) + len(payload(packet)))
        assert limit - 1000 < sent <= limit, (acks, window, sent)


def a_reader_that_does_not_read(kernel, wire):
    """The kernel's window closes when nobody reads. Probes are answered; what
    comes all the same is not taken; when there is room, it says so."""
    tcp, socket = listened(kernel, wire)
    sent, window = b"", 1
    while window:
        tcp.send("A", data := bytes([len(sent) // 1000 % 256]) * 1000)
        sent += data
        kernel.advance(0.25)
        packet = tcp.expect()
        window = packet[TCP].window
        assert len(sent) < 1 << 20, "the window does not close"
    # Whatever is in between: all that was offered was taken.
    assert len(sent) > 30_000, len(sent)
    tcp.send("A", b"!", at=len(sent))
    packet = tcp.expect()
    assert packet[TCP].window == 0, packet
    got = b""
    while len(got) < len(sent):
        got += socket.receive()
    assert got == sent
    socket.empty()
    packet = wire.barrier()[-1]
    assert packet[TCP].window > 1000, packet
    tcp.send("A", b"on")
    kernel.advance(0.25)
    tcp.expect()
    assert socket.receive() == b"on"


def small_writes_wait(kernel, wire):
    """Nagle's algorithm, and how it is turned off; MSG_MORE and TCP_CORK."""
    tcp, socket = connected(kernel, wire)
    socket.send(b"1")
    tcp.expect("A", b"1")
    socket.send(b"2")
    socket.send(b"3")
    wire.nothing()
    tcp.send("A")
    tcp.expect("A", b"23")
    socket.set(host.IPPROTO_TCP, host.TCP_NODELAY, 1)
    socket.send(b"4")
    tcp.expect("A", b"4")
    socket.send(b"5")
    tcp.expect("A", b"5")
    tcp.send("A")
    socket.send(b"6" * 999, host.MSG_MORE)
    wire.nothing()
    socket.send(b"6" * 500, host.MSG_MORE)
    tcp.expect("A", b"6" * 1000)
    wire.nothing()
    # It goes when there is nothing else on its way.
    tcp.send("A")
    tcp.expect("A", b"6" * 499)


def acknowledgements_wait(kernel, wire):
    """In a dialogue, an acknowledgement waits for data to go with."""
    tcp, socket = listened(kernel, wire)
    # A few exchanges teach it that this is a dialogue.
    for _ in range(3):
        tcp.send("A", b"question")
        assert socket.receive() == b"question"
        wire.discard()
        socket.send(b"answer")
        tcp.expect("A", b"answer")
        tcp.send("A")
    tcp.send("A", b"question")
    wire.nothing()
    socket.send(b"answer")
    tcp.expect("A", b"answer")
    tcp.send("A")
    # Not for ever, though.
    tcp.send("A", b"question")
    wire.nothing()
    kernel.advance(0.25)
    tcp.expect()


def urgent(kernel, wire):
    """The urgent byte comes apart, whichever way it goes."""
    tcp, socket = listened(kernel, wire)
    packet = tcp.segment("AU", b"abc!")
    packet[TCP].urgptr = 4
    tcp.sent += 4
    wire.send(packet)
    tcp.expect()
    assert socket.receive(1, host.MSG_OOB) == b"!"
    assert socket.receive() == b"abc"
    socket.send(b"xyz", host.MSG_OOB)
    packet = tcp.expect("AU", b"xyz")
    assert packet[TCP].urgptr == 3, packet
    assert payload(packet)[2:] == b"z"
