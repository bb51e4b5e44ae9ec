"""ECN: congestion that is told by marks instead of by losses."""

import socket as host

from scapy.layers.inet import IP, TCP
from scapy.layers.inet6 import IPv6

from tcp import SYN_OPTIONS, Tcp

NOT_ECT, ECT1, ECT0, CE = range(4)


def _listened(kernel, wire, family=4):
    """A connection with ECN, that the script has asked for."""
    kernel.sysctl("net.ipv4.tcp_ecn", 1)
    listener = kernel.listener(80, family)
    tcp = Tcp(wire, 5000, 80, family)
    tcp.send("SEC", at=-1, options=SYN_OPTIONS)
    packet = tcp.expect_syn("SAE")
    # The handshake itself is not to be marked.
    assert _mark(packet) == NOT_ECT, packet
    kernel.advance(0.1)
    tcp.send("A")
    return tcp, listener.accept()


def _mark(packet):
    return (packet[IP].tos if IP in packet else packet[IPv6].tc) & 3


def _marked(tcp, mark):
    return {"tos": mark} if tcp.family == 4 else {"tc": mark}


def asked_for(kernel, wire):
    """The kernel's SYN asks when it is told to; the answer decides."""
    kernel.sysctl("net.ipv4.tcp_ecn", 1)
    for answer, mark in [("SAE", ECT0), ("SA", NOT_ECT), ("SAEC", NOT_ECT)]:
        socket = kernel.socket()
        call = socket.connect(5000)
        tcp = Tcp(wire, 5000, None)
        assert _mark(tcp.expect_syn("SEC")) == NOT_ECT
        tcp.send(answer, at=-1, options=SYN_OPTIONS)
        assert _mark(tcp.expect("A")) == NOT_ECT
        kernel.finish(call)
        socket.send(b"data")
        packet = tcp.expect("A", b"data")
        assert _mark(packet) == mark, packet


def answered(kernel, wire):
    """By default it answers, and does not ask."""
    listener = kernel.listener(80)
    tcp = Tcp(wire, 5000, 80)
    tcp.send("SEC", at=-1, options=SYN_OPTIONS)
    tcp.expect_syn("SAE")
    socket = kernel.socket()
    socket.connect(5001)
    Tcp(wire, 5001, None).expect_syn("S")
    listener.close()


def _marks_are_echoed(kernel, wire, family):
    tcp, socket = _listened(kernel, wire, family)
    tcp.send("A", b"a" * 1000, **_marked(tcp, ECT0))
    assert _mark(tcp.expect("A")) == NOT_ECT
    tcp.send("A", b"b" * 1000, **_marked(tcp, CE))
    tcp.expect("AE")
    # It goes on until it is told that it was heard.
    tcp.send("A", b"c" * 1000, **_marked(tcp, ECT0))
    tcp.expect("AE")
    socket.send(b"data")
    assert _mark(tcp.expect("AE", b"data")) == ECT0
    tcp.send("AC", b"d" * 1000, **_marked(tcp, ECT0))
    tcp.send("A", b"e" * 1000, **_marked(tcp, ECT0))
    kernel.advance(0.25)
    for packet in wire.barrier():
        assert packet[TCP].flags == "A", packet
    assert tcp.acknowledged(packet) == 5000
    assert len(socket.receive()) == 5000


def marks_are_echoed(kernel, wire):
    """The kernel receives CE: it says ECE until it sees CWR."""
    _marks_are_echoed(kernel, wire, 4)


def marks_are_echoed_over_ipv6(kernel, wire):
    """The same for IPv6's traffic class."""
    _marks_are_echoed(kernel, wire, 6)


def an_echo_slows_down(kernel, wire):
    """The kernel is told of congestion: it says CWR once, and sends less."""
    tcp, socket = _listened(kernel, wire)
    socket.send(b"x" * 10_000)
    for _ in range(10):
        assert _mark(tcp.expect("A", b"x" * 1000)) == ECT0
    window = _congestion_window(socket)
    kernel.advance(0.1)
    tcp.send("AE", acks=5000)
    tcp.send("AE", acks=10_000)
    wire.nothing()
    assert _congestion_window(socket) < window
    socket.send(b"y" * 2000)
    tcp.expect("AC", b"y" * 1000)
    tcp.expect("A", b"y" * 1000)
    tcp.send("A")
    wire.nothing()
    assert kernel.counter("Tcp.RetransSegs") == 0


def _congestion_window(socket):
    """tcpi_snd_cwnd."""
    return int.from_bytes(socket.get(host.IPPROTO_TCP, host.TCP_INFO, 104)[80:84], "little")
