"""Whether a kernel still does its work."""

from scapy.layers.inet6 import ICMPv6EchoReply, ICMPv6EchoRequest

from tcp import Tcp
from wire import ip

PORT = 90


def begin(kernel, wire):
    """What still_alive() needs. The kernel gets to know its neighbour: it keeps
    only so many packets for one that it has to ask for first."""
    wire.discard()
    wire.send(ip(6) / ICMPv6EchoRequest())
    wire.expect(ICMPv6EchoReply)
    return kernel.listener(PORT)


def still_alive(kernel, wire, listener):
    """It answers a ping, and TCP works in both directions."""
    wire.discard()
    wire.send(ip(6) / ICMPv6EchoRequest(id=1, data=b"still there?"))
    wire.expect(ICMPv6EchoReply, data=b"still there?")
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
