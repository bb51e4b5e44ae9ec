"""How connections end."""

import socket as host
import struct

from scapy.layers.inet import IP, TCP

from tcp import SYN_OPTIONS, Tcp, connected, listened


def half_closed_by_the_kernel(kernel, wire):
    """It says that it sends no more, and goes on receiving."""
    tcp, socket = listened(kernel, wire)
    socket.send(b"bye")
    tcp.expect("A", b"bye")
    socket.shutdown(host.SHUT_WR)
    tcp.expect("FA")
    tcp.send("A")
    wire.nothing()
    assert socket.state() == "FIN_WAIT2"
    for _ in range(3):
        tcp.send("A", b"still here")
        tcp.expect()
        assert socket.receive() == b"still here"
    tcp.send("FA")
    tcp.expect()
    assert socket.receive() == b""


def half_closed_by_the_script(kernel, wire):
    """The kernel's reader sees the end, its writer goes on."""
    tcp, socket = listened(kernel, wire)
    tcp.send("FA", b"bye")
    kernel.advance(0.25)
    tcp.expect()
    assert socket.receive() == b"bye"
    assert socket.receive() == b""
    assert socket.state() == "CLOSE_WAIT"
    for _ in range(3):
        socket.send(b"still here")
        tcp.expect("A", b"still here")
        tcp.send("A")
    socket.close()
    tcp.expect("FA")
    tcp.send("A")
    wire.nothing()
    # No state is left: not even for a moment.
    tcp.send("A", at=0)
    wire.expect(IP, TCP, flags="R")


def both_at_once(kernel, wire):
    """Two FINs cross."""
    tcp, socket = listened(kernel, wire)
    socket.shutdown(host.SHUT_WR)
    tcp.expect("FA")
    tcp.send("FA", acks=0)
    tcp.expect("A")
    assert socket.state() == "CLOSING"
    tcp.send("A")
    wire.barrier()
    tcp.send("FA", at=0)
    tcp.expect("A")


def time_wait(kernel, wire):
    """Who closes first remembers the connection for a minute: it acknowledges
    the last FIN again, and a late segment does not end it."""
    tcp, socket = listened(kernel, wire)
    socket.close()
    tcp.expect("FA")
    tcp.send("FA")
    tcp.expect()
    for _ in range(2):
        kernel.advance(29)
        tcp.send("FA", at=0)
        # Each puts it off.
        tcp.expect()
    kernel.advance(29)
    tcp.send("A", at=-50)
    tcp.expect()
    # A new connection of the same two: it begins behind the old one.
    listener = kernel.listener(80)
    again = Tcp(wire, 5000, 80, isn=tcp.isn + 1_000_000)
    packet = again.connect()
    assert (packet[TCP].seq - tcp.kernels_base) % 2**32 < 2**31, packet
    socket = listener.accept()
    socket.close()
    again.expect("FA")
    again.send("FA")
    again.expect()
    kernel.advance(70)
    again.send("FA", at=0)
    wire.expect(IP, TCP, flags="R")
    assert kernel.counter("TcpExt.TW") == 2


def fin_is_sent_again(kernel, wire):
    """A FIN is retransmitted as data is; then nobody waits for the other end
    longer than a minute."""
    tcp, socket = connected(kernel, wire)
    socket.send(b"last")
    tcp.expect("A", b"last")
    socket.close()
    tcp.expect("FA")
    kernel.until_timer(0.3)
    tcp.expect("FA", b"last", at=0)
    tcp.send("A")
    wire.nothing()
    kernel.advance(50)
    tcp.send("A", at=-1)
    tcp.expect()
    kernel.advance(80)
    tcp.send("FA")
    wire.expect(IP, TCP, flags="R")


def reset_in_place(kernel, wire):
    """A reset of exactly the next place ends it; one elsewhere in the window is
    asked about, one outside is nothing."""
    tcp, socket = listened(kernel, wire)
    tcp.send("R", at=-1)
    wire.nothing()
    tcp.send("R", at=1 << 20)
    wire.nothing()
    assert kernel.counter("TcpExt.TCPChallengeACK") == 0
    tcp.send("R", at=100)
    tcp.expect()
    assert kernel.counter("TcpExt.TCPChallengeACK") == 1
    assert socket.state() == "ESTABLISHED"
    # A SYN in the middle of a connection likewise.
    kernel.advance(1)
    tcp.send("S", at=100, options=SYN_OPTIONS)
    tcp.expect()
    assert kernel.counter("TcpExt.TCPSYNChallenge") == 1
    tcp.send("R")
    wire.nothing()
    assert socket.error() == "ECONNRESET"
    assert socket.state() == "CLOSE"
    try:
        socket.send(b"x", host.MSG_NOSIGNAL)
        raise AssertionError("sent")
    except BrokenPipeError:
        pass


def reset_by_the_kernel(kernel, wire):
    """Unread data and SO_LINGER make a close a reset; so does data for nobody."""
    tcp, socket = listened(kernel, wire)
    tcp.send("A", b"never read")
    tcp.expect()
    socket.close()
    tcp.expect("RA")

    tcp, socket = connected(kernel, wire)
    socket.set(host.SOL_SOCKET, host.SO_LINGER, struct.pack("=ii", 1, 0))
    socket.close()
    tcp.expect("RA")

    tcp, socket = connected(kernel, wire)
    socket.close()
    tcp.expect("FA")
    tcp.send("A")
    tcp.send("A", b"too late")
    tcp._receive("R")


def keepalive(kernel, wire):
    """Two hours of silence, then nine questions; an answer is enough."""
    tcp, socket = listened(kernel, wire)
    socket.set(host.SOL_SOCKET, host.SO_KEEPALIVE, 1)
    for _ in range(2):
        kernel.until_timer(7200)
        tcp.expect("A", at=-1)
        tcp.send("A")
    kernel.until_timer(7200)
    for _ in range(9):
        tcp.expect("A", at=-1)
        kernel.advance(80)
    tcp.expect("RA")
    socket.wait_for_error("ETIMEDOUT")
