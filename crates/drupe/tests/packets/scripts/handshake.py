"""How connections begin."""

from scapy.layers.inet import IP, TCP

from tcp import SYN_OPTIONS, Tcp, connected, options

ALL_OPTIONS = [
    ("MSS", 1400),
    ("SAckOK", b""),
    ("Timestamp", (4711, 0)),
    ("NOP", None),
    ("WScale", 5),
]


def all_options_taken(kernel, wire):
    """Each option of a SYN is answered, and holds from then on."""
    listener = kernel.listener(80)
    tcp = Tcp(wire, 5000, 80)
    packet = tcp.connect(ALL_OPTIONS)
    assert packet[TCP].window == 65160 and packet[TCP].urgptr == 0, packet
    assert packet[IP].ttl == 64 and packet[IP].flags == "DF", packet
    got = options(packet)
    assert list(got) == ["MSS", "SAckOK", "Timestamp", "WScale"], got
    assert (got["MSS"], got["SAckOK"]) == (1460, b""), got
    assert got["Timestamp"][1] == 4711 and 0 < got["WScale"] <= 14, got
    socket = listener.accept()
    tcp.stamp = 4712
    tcp.send("PA", b"hello")
    packet = tcp.expect()
    assert options(packet)["Timestamp"][1] == 4712, packet
    # An older one: the segment is from long ago, and only answered.
    tcp.stamp = 4700
    tcp.send("PA", b"hello", at=5)
    tcp.expect()
    assert socket.receive() == b"hello"
    socket.empty()


def no_options_taken(kernel, wire):
    """A SYN without options: segments of 536 bytes, nothing else."""
    listener = kernel.listener(80)
    tcp = Tcp(wire, 5000, 80)
    packet = tcp.connect([])
    assert options(packet) == {"MSS": 1460}, packet
    socket = listener.accept()
    socket.send(b"x" * 600)
    packet = tcp.expect("A", b"x" * 536)
    assert not options(packet), packet
    tcp.expect("PA", b"x" * 64)
    # No window scale: what the kernel offers is what there is.
    tcp.send("PA", b"y" * 500)
    packet = tcp.expect("A")
    assert packet[TCP].window > 60000, packet


def all_options_offered(kernel, wire):
    """The kernel's own SYN."""
    socket = kernel.socket()
    call = socket.connect(5000)
    tcp = Tcp(wire, 5000, None)
    packet = tcp.expect_syn()
    got = options(packet)
    assert list(got) == ["MSS", "SAckOK", "Timestamp", "WScale"], got
    assert got["MSS"] == 1460 and got["Timestamp"][1] == 0, got
    assert packet[TCP].ack == 0 and packet[TCP].window == 64240, packet
    assert not kernel.ended(call)
    tcp.send("SA", at=-1, options=SYN_OPTIONS)
    assert not options(tcp.expect("A"))
    kernel.finish(call)
    # None of the others has been agreed on.
    socket.send(b"x" * 1500)
    assert not options(tcp.expect("A", b"x" * 1000))
    tcp.expect("PA", b"x" * 500)


def over_ipv6(kernel, wire):
    """Both ways, with room for the longer header."""
    listener = kernel.listener(80, 6)
    tcp = Tcp(wire, 5000, 80, 6)
    assert options(tcp.connect(ALL_OPTIONS[:1]))["MSS"] == 1440
    socket = listener.accept()
    tcp.send("PA", b"question")
    tcp.expect("A")
    assert socket.receive() == b"question"
    tcp, socket = connected(kernel, wire, [("MSS", 5000)], 6)
    socket.send(b"x" * 2000)
    tcp.expect("A", b"x" * 1440)
    tcp.expect("PA", b"x" * 560)


def syn_is_sent_again(kernel, wire):
    """After 1, 3 and 7 seconds; then connect() gives up."""
    kernel.sysctl("net.ipv4.tcp_syn_retries", 3)
    kernel.sysctl("net.ipv4.tcp_syn_linear_timeouts", 0)
    socket = kernel.socket()
    call = socket.connect(5000)
    first = Tcp(wire, 5000, None).expect_syn()
    for wait in (1, 2, 4):
        kernel.until_timer(wait)
        again = Tcp(wire, 5000, None).expect_syn()
        assert again[TCP].seq == first[TCP].seq, again
    kernel.advance(10)
    try:
        kernel.finish(call)
        raise AssertionError("connected to nobody")
    except TimeoutError:
        pass


def syn_ack_is_sent_again(kernel, wire):
    """After a second, and when the SYN comes again."""
    listener = kernel.listener(80)
    tcp = Tcp(wire, 5000, 80)
    tcp.send("S", at=-1, options=SYN_OPTIONS)
    first = tcp.expect_syn("SA")
    kernel.advance(1.1)
    again = tcp.expect_syn("SA")
    assert again[TCP].seq == first[TCP].seq, again
    kernel.advance(0.6)
    tcp.send("S", at=-1, options=SYN_OPTIONS)
    again = tcp.expect_syn("SA")
    assert again[TCP].seq == first[TCP].seq, again
    tcp.send("A")
    tcp.send("PA", b"late")
    tcp.expect("A")
    assert listener.accept().receive() == b"late"


def data_with_the_last_acknowledgement(kernel, wire):
    """The third segment of a handshake is lost; the data after it will do."""
    listener = kernel.listener(80)
    tcp = Tcp(wire, 5000, 80)
    tcp.send("S", at=-1, options=SYN_OPTIONS)
    tcp.expect_syn("SA")
    tcp.send("PA", b"data")
    tcp.expect("A")
    assert listener.accept().receive() == b"data"


def both_at_once(kernel, wire):
    """Two SYNs cross: a connection all the same."""
    socket = kernel.socket()
    call = socket.connect(5000)
    tcp = Tcp(wire, 5000, None)
    tcp.expect_syn()
    tcp.send("S", at=-1, options=SYN_OPTIONS)
    packet = tcp.expect_syn("SA")
    assert tcp.place(packet) == -1, packet
    tcp.send("SA", at=-1, options=SYN_OPTIONS)
    kernel.finish(call)
    assert socket.state() == "ESTABLISHED"
    wire.discard()
    socket.send(b"hello")
    tcp.expect("PA", b"hello")
    tcp.send("PA", b"you too")
    tcp.expect("A")
    assert socket.receive() == b"you too"


def refused(kernel, wire):
    """Where nobody listens, a reset answers; and is taken for an answer."""
    tcp = Tcp(wire, 5000, 81)
    tcp.send("S", at=-1, options=SYN_OPTIONS)
    packet = wire.expect(IP, TCP, flags="RA", seq=0)
    assert tcp.acknowledged(packet) == 0, packet
    # To an acknowledgement of nothing, a reset that it will believe.
    tcp.kernels_base = 77
    tcp.send("A")
    wire.expect(IP, TCP, flags="R", seq=77)
    # To a reset, nothing.
    tcp.send("R")
    wire.nothing()

    socket = kernel.socket()
    call = socket.connect(5000)
    tcp = Tcp(wire, 5000, None)
    tcp.expect_syn()
    # Not one that acknowledges something else.
    tcp.send("RA", at=-1, acks=5)
    assert not kernel.ended(call)
    tcp.send("RA", at=-1)
    try:
        kernel.finish(call)
        raise AssertionError("connected")
    except ConnectionRefusedError:
        pass


def window_scale_counts(kernel, wire):
    """What is offered is shifted by what the SYN said, after it."""
    listener = kernel.listener(80)
    tcp = Tcp(wire, 5000, 80, window=10)
    tcp.connect([("MSS", 1000), ("NOP", None), ("WScale", 8)])
    socket = listener.accept()
    socket.send(b"x" * 5000)
    # 10 << 8 bytes: two segments, and not what is left of the third.
    tcp.expect("A", b"x" * 1000)
    tcp.expect("A", b"x" * 1000)
    wire.nothing()
    tcp.send("A", window=12)
    for _ in range(3):
        tcp.expect("A", b"x" * 1000)
