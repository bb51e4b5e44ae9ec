"""Whether a kernel still does its work."""

from scapy.layers.inet import ICMP
from scapy.layers.inet6 import ICMPv6EchoReply, ICMPv6EchoRequest

from tcp import Tcp
from wire import ip

PORT = 90


def begin(kernel, wire):
    """What still_alive() needs. The kernel gets to know its neighbour: it keeps
    only so many packets for one that it has to ask for first."""
    _ping(wire)
    return kernel.listener(PORT)


def _ping(wire):
    for request, answer in [
        (ip() / ICMP(id=1) / b"still there?", ICMP),
        (ip(6) / ICMPv6EchoRequest(id=1, data=b"still there?"), ICMPv6EchoReply),
    ]:
        wire.send(request)
        assert b"still there?" in bytes(wire.expect(answer, id=1))


def still_alive(kernel, wire, listener):
    """It answers a ping, and TCP works in both directions."""
    wire.discard()
    _ping(wire)
    tcp = Tcp(wire, 6000, PORT)
    tcp.connect()
    socket = listener.accept()
    tcp.send("A", b"echo")
    tcp.expect()
    socket.send(socket.receive())
    tcp.expect("A", b"echo")
    tcp.send("R")
    wire.nothing()
    socket.close()
