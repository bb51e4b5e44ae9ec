"""Transfers over a path that loses packets, by the clock."""

import random
import socket as host
import time

from scapy.layers.inet import IP, TCP

from tcp import Tcp, options, payload

TCP_CONGESTION = 13
DATA = random.Random(5).randbytes(300_000)


class _Path:
    """Loses packets both ways, the same ones each time as far as it depends on it."""

    def __init__(self, tcp, loss, seed):
        self.tcp, self.loss = tcp, loss
        self.numbers = random.Random(seed)
        self.lost = 0

    def loses(self):
        lost = self.numbers.random() < self.loss
        self.lost += lost
        return lost

    def send(self, *args, **fields):
        if not self.loses():
            self.tcp.send(*args, **fields)


def _receive(tcp, loss, size, seed=1):
    """Receives so many bytes, as a receiver with SACK does."""
    path = _Path(tcp, loss, seed)
    held, got = {}, bytearray()
    end = time.monotonic() + 50
    while len(got) < size:
        assert time.monotonic() < end, f"{len(got)} of {size} bytes have come"
        packet = tcp.wire.receive()
        assert packet is not None and TCP in packet, packet
        if path.loses():
            continue
        tcp.echo = options(packet).get("Timestamp", (tcp.echo,))[0]
        place, data = tcp.place(packet), payload(packet)
        marked = packet[IP].tos & 3 == 3
        if data and place + len(data) > len(got):
            held[place] = data
        for place in sorted(held):
            if place > len(got):
                break
            data = held.pop(place)
            got += data[len(got) - place :]
        tcp.got = len(got)
        blocks = []
        for place in sorted(held):
            if blocks and blocks[-1][1] == place:
                blocks[-1][1] += len(held[place])
            else:
                blocks.append([place, place + len(held[place])])
        sack = tcp.sack(*blocks[:3]) if blocks else ()
        path.send("AE" if marked else "A", options=sack)
    assert path.lost > 0
    return bytes(got)


def _from_the_kernel(kernel, wire, algorithm, loss=0.02):
    """The kernel sends, by this algorithm; everything arrives."""
    kernel.sysctl("net.ipv4.tcp_ecn", 1)
    listener = kernel.listener(80)
    listener.set(host.IPPROTO_TCP, TCP_CONGESTION, algorithm.encode())
    tcp = Tcp(wire, 5000, 80)
    offered = [("MSS", 1400), ("SAckOK", b""), ("Timestamp", (1, 0)), ("WScale", 7)]
    tcp.send("SEC", at=-1, options=offered)
    tcp.expect_syn("SAE")
    tcp.send("A")
    socket = listener.accept()
    chosen = socket.get(host.IPPROTO_TCP, TCP_CONGESTION, 16).rstrip(b"\0").decode()
    assert chosen == algorithm, chosen
    call = socket.start_send(DATA)
    got = _receive(tcp, loss, len(DATA))
    assert got == DATA, "other bytes arrived"
    assert kernel.finish(call) == len(DATA)
    assert kernel.counter("Tcp.RetransSegs") > 0


def reno(kernel, wire):
    """What the others are measured by."""
    _from_the_kernel(kernel, wire, "reno")


def cubic(kernel, wire):
    """The default."""
    _from_the_kernel(kernel, wire, "cubic")


def bbr(kernel, wire):
    """It paces by a model of the path, and by timers of its own."""
    _from_the_kernel(kernel, wire, "bbr")


def dctcp(kernel, wire):
    """It wants marks instead of losses, and has to live with either."""
    _from_the_kernel(kernel, wire, "dctcp")


def vegas(kernel, wire):
    """It goes by delays."""
    _from_the_kernel(kernel, wire, "vegas")


def what_there_is(kernel, wire):
    """All of them can be chosen, and nothing else."""
    names = kernel.read("/proc/sys/net/ipv4/tcp_available_congestion_control").split()
    assert set(names) == {"reno", "cubic", "bbr", "dctcp", "vegas"}, names
    assert kernel.read("/proc/sys/net/ipv4/tcp_congestion_control").strip() == "cubic"
    socket = kernel.socket()
    try:
        socket.set(host.IPPROTO_TCP, TCP_CONGESTION, b"hybla")
        raise AssertionError("chosen")
    except FileNotFoundError:
        pass


def to_the_kernel(kernel, wire):
    """The script sends and loses; the kernel puts it together."""
    listener = kernel.listener(80)
    tcp = Tcp(wire, 5000, 80)
    tcp.connect([("MSS", 1400), ("SAckOK", b"")])
    socket = listener.accept()
    path = _Path(tcp, 0.05, 7)
    received, call = bytearray(), None
    una, segment = 0, 1400
    end = time.monotonic() + 50
    while len(received) < len(DATA):
        assert time.monotonic() < end, f"{len(received)} bytes were received"
        # A window of 20 segments, all of it again when nothing is acknowledged.
        places = range(una, min(una + 20 * segment, len(DATA)), segment)
        for place in path.numbers.sample(places, len(places)):
            data = DATA[place : place + segment]
            for _ in range(1 + (path.numbers.random() < 0.02)):
                path.send("A", data, at=place)
        for packet in wire.barrier():
            if not path.loses():
                una = max(una, tcp.acknowledged(packet))
        while len(received) < una:
            received += socket.receive()
    assert received == DATA, "other bytes were received"
    assert path.lost > 10
