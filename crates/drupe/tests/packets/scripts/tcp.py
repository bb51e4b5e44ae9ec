"""The script's end of a TCP connection: it does what the scenario says, not what
a TCP would do.

Places in a stream count from its first byte, at 0; the SYN is at -1.
"""

from scapy.layers.inet import IP, TCP
from scapy.layers.inet6 import IPv6
from scapy.packet import Padding

from wire import ip

# Segments of a thousand bytes are easy to count.
MSS = 1000
SYN_OPTIONS = [("MSS", MSS)]
SACK_OPTIONS = [("MSS", MSS), ("NOP", None), ("NOP", None), ("SAckOK", b"")]


def listened(kernel, wire, options=SYN_OPTIONS, family=4, window=65535):
    """A connection that the script makes to the kernel: both ends of it. The
    kernel measures a round trip of 100 ms."""
    listener = kernel.listener(80, family)
    tcp = Tcp(wire, here=5000, there=80, family=family, window=window)
    tcp.send("S", at=-1, options=options)
    tcp.expect_syn("SA")
    kernel.advance(0.1)
    tcp.send("A")
    socket = listener.accept()
    listener.close()
    return tcp, socket


def connected(kernel, wire, options=SYN_OPTIONS, family=4, window=65535):
    """A connection that the kernel makes to the script, likewise."""
    socket = kernel.socket(family=family)
    call = socket.connect(5000)
    tcp = Tcp(wire, here=5000, there=None, family=family, window=window)
    tcp.expect_syn()
    kernel.advance(0.1)
    tcp.send("SA", at=-1, options=options)
    tcp.expect("A")
    kernel.finish(call)
    return tcp, socket


def payload(packet):
    """The bytes that a segment carries, without the frame's padding."""
    tcp = packet[TCP]
    if IP in packet:
        length = packet[IP].len - packet[IP].ihl * 4 - tcp.dataofs * 4
    else:
        length = packet[IPv6].plen - tcp.dataofs * 4
    return bytes(tcp.payload)[:length] if Padding not in tcp else bytes(tcp)[tcp.dataofs * 4 :][:length]


def options(packet):
    """The options of a segment, by name."""
    return {name: value for name, value in packet[TCP].options if name not in ("NOP", "EOL")}


class Tcp:
    def __init__(self, wire, here, there, family=4, isn=1_000_000, window=65535):
        self.wire, self.family = wire, family
        self.here, self.there = here, there
        # The sequence numbers of the places 0 of both streams; its is told.
        self.isn = isn
        self.base, self.kernels_base = (isn + 1) % 2**32, None
        # The next place to be sent, and to come.
        self.sent, self.got = 0, 0
        self.window = window
        # The timestamp to be sent, if they were agreed on, and the latest that came.
        self.stamp, self.echo = None, 0

    # Out.

    def segment(self, flags="A", data=b"", at=None, acks=None, options=(), window=None, **fields):
        at = self.sent if at is None else at
        acks = self.got if acks is None else acks
        options = list(options)
        if "S" in flags:
            self.stamp = dict(options).get("Timestamp", (None,))[0]
        elif self.stamp is not None:
            options += [("NOP", None), ("NOP", None), ("Timestamp", (self.stamp, self.echo))]
        header = TCP(
            sport=self.here,
            dport=self.there,
            flags=flags,
            seq=(self.base + at) % 2**32,
            ack=(self.kernels_base + acks) % 2**32 if "A" in flags else 0,
            window=self.window if window is None else window,
            options=options,
        )
        return ip(self.family, **fields) / header / data

    def send(self, flags="A", data=b"", at=None, **more):
        """Sends a segment; without `at`, the one that is next."""
        self.wire.send(self.segment(flags, data, at, **more))
        if at is None:
            self.sent += len(data) + ("F" in flags)

    def connect(self, options=SYN_OPTIONS, window=None):
        """The script opens the connection; returns the kernel's SYN."""
        self.send("S", at=-1, options=options)
        packet = self.expect_syn("SA")
        self.send("A", window=window)
        return packet

    # In.

    def expect_syn(self, flags="S"):
        packet = self._receive(flags)
        syn = packet[TCP]
        self.there, self.kernels_base = syn.sport, (syn.seq + 1) % 2**32
        if "A" in flags:
            assert syn.ack == self.base, f"acknowledges {syn.ack}: {packet!r:.500}"
        assert not payload(packet), packet
        return packet

    def _receive(self, flags):
        """The next frame is a segment of this connection, with these flags. PSH
        is nobody's business but the sender's."""
        packet = self.wire.receive()
        assert packet is not None, f"no segment {flags} came"
        assert TCP in packet, f"a segment {flags} wanted, got {packet!r:.500}"
        ports = (packet[TCP].dport, self.there or packet[TCP].sport)
        assert ports == (self.here, packet[TCP].sport), f"of another connection: {packet!r:.500}"
        self.echo = options(packet).get("Timestamp", (self.echo,))[0]
        got = str(packet[TCP].flags).replace("P", "")
        assert got == flags.replace("P", ""), f"{flags} wanted, got {packet!r:.500}"
        return packet

    def place(self, packet):
        """Where a segment's data begins in the kernel's stream."""
        return (packet[TCP].seq - self.kernels_base + 2**31) % 2**32 - 2**31

    def acknowledged(self, packet):
        """Where in the script's stream a segment acknowledges up to."""
        return (packet[TCP].ack - self.base + 2**31) % 2**32 - 2**31

    def sacked(self, packet):
        """The blocks that a segment's SACK option names, as pairs of places."""
        edges = options(packet).get("SAck", ())
        places = [(edge - self.base + 2**31) % 2**32 - 2**31 for edge in edges]
        return list(zip(places[::2], places[1::2]))

    def sack(self, *blocks):
        """A SACK option for blocks of the kernel's stream."""
        edges = [(self.kernels_base + place) % 2**32 for block in blocks for place in block]
        return [("NOP", None), ("NOP", None), ("SAck", tuple(edges))]

    def expect(self, flags="A", data=b"", at=None, acks=None):
        """The next frame is this segment, by default the next of the kernel's
        stream, which acknowledges all that was sent."""
        packet = self._receive(flags)
        at = self.got if at is None else at
        acks = self.sent if acks is None else acks
        got = (self.place(packet), self.acknowledged(packet))
        assert got == (at, acks), f"(at, acks) {(at, acks)} wanted, got {got}: {packet!r:.500}"
        got = payload(packet)
        assert got == data, f"{len(data)} bytes wanted, got {len(got)}: {got[:50]}"
        self.got = max(self.got, at + len(data) + ("F" in flags))
        return packet
