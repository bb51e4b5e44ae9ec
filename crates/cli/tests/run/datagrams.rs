//! Sockets that carry messages: UDP and netlink; ioctl(2) about the network.

use crate::harness::Outcome;
use crate::ran::{prints, python};

const PAIR: &str = "
one, two = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
for each in one, two:
    each.bind(('127.0.0.1', 0))
here, there = one.getsockname(), two.getsockname()
";

fn pair(script: &str) -> Outcome {
    python(&format!("{PAIR}{script}")).map(drop)
}

#[test]
fn with_addresses() -> Outcome {
    pair(
        "
two.sendto(b'hello', here)
assert one.recvfrom(100) == (b'hello', there)
one.sendto(b'', there)
assert two.recvfrom(100) == (b'', here)
assert one.sendmsg([b'a', b'b', b'c'], [], 0, there) == 3
data, control, flags, source = two.recvmsg(2)
assert (data, control, flags, source) == (b'ab', [], socket.MSG_TRUNC, here)
two.sendto(b'peeked at', here)
assert one.recvfrom(6, socket.MSG_PEEK) == (b'peeked', there)
assert one.recvfrom(100) == (b'peeked at', there)
try:
    one.recvfrom(1, socket.MSG_DONTWAIT)
    assert False
except BlockingIOError:
    pass
try:
    one.sendto(bytes(70000), there)
    assert False
except OSError as error:
    assert error.errno == errno.EMSGSIZE
",
    )
}

#[test]
fn plain_reads_and_addresses_in_turn() -> Outcome {
    pair(
        "
third = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
third.bind(('127.0.0.1', 0))
two.connect(here)
for number in range(300):
    sender = (two, third)[number % 2]
    if sender is two:
        os.write(two.fileno(), b'%d' % number * (number + 1))
    else:
        third.sendto(b'%d' % number * (number + 1), here)
    if number % 7 == 6:
        for back in range(number - 6, number + 1):
            wanted = b'%d' % back * (back + 1)
            if back % 3 == 0:
                assert os.read(one.fileno(), 9999) == wanted, back
            else:
                source = (two, third)[back % 2].getsockname()
                assert one.recvfrom(9999) == (wanted, source), back
",
    )
}

/// Messages go into the pair while the program takes others out.
#[test]
fn sources_while_more_comes() -> Outcome {
    pair(
        "
senders = two, socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
senders[1].bind(('127.0.0.1', 0))
sources = {b'%d' % which: sender.getsockname() for which, sender in enumerate(senders)}
for which, sender in enumerate(senders):
    if os.fork() == 0:
        # They end with the program.
        length = 0
        while True:
            length = (length + 7) % 3000
            sender.sendto(b'%d' % which * (length + 1), here)
for number in range(1000):
    os.read(one.fileno(), 9999)
    data, source = one.recvfrom(9999)
    assert sources[data[:1]] == source, number
",
    )
}

#[test]
fn what_comes_beside_the_data() -> Outcome {
    pair(
        "
one.setsockopt(socket.IPPROTO_IP, 8, 1)
one.setsockopt(socket.IPPROTO_IP, 12, 1)
one.setsockopt(socket.SOL_SOCKET, 35, 1)
two.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 33)
two.sendto(b'x', here)
data, control, flags, source = one.recvmsg(10, 500)
found = {(level, kind): data for level, kind, data in control}
assert struct.unpack('i', found[socket.IPPROTO_IP, 2]) == (33,)
assert socket.inet_ntoa(found[socket.IPPROTO_IP, 8][8:]) == '127.0.0.1'
assert struct.unpack('ll', found[socket.SOL_SOCKET, 35])[0] > 1 << 30
",
    )
}

#[test]
fn waits_and_gives_up() -> Outcome {
    pair(
        "
one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack('ll', 0, 50000))
try:
    one.recvfrom(1)
    assert False
except BlockingIOError:
    pass
one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack('ll', 0, 0))
threading.Timer(0.1, lambda: two.sendto(b'at last', here)).start()
assert one.recvfrom(100) == (b'at last', there)
epoll = select.epoll()
epoll.register(one, select.EPOLLIN | select.EPOLLET)
assert epoll.poll(0) == []
two.sendto(b'1', here)
assert len(epoll.poll(9)) == 1
",
    )
}

#[test]
fn nobody_is_there() -> Outcome {
    pair(
        "
two.close()
one.connect(there)
one.send(b'x')
# The answer is an error of the socket's.
poll = select.poll()
for _ in range(1000):
    code = one.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if code:
        break
    poll.poll(5)
assert code == errno.ECONNREFUSED, code
",
    )
}

#[test]
fn the_interfaces_are_the_kernels() -> Outcome {
    let addresses = prints(&["ip", "-o", "addr"])?;
    assert!(
        addresses.lines().all(|line| line.starts_with("1: lo")),
        "{addresses}"
    );
    assert!(addresses.contains("inet 127.0.0.1/8"), "{addresses}");
    python(
        "
import fcntl
assert socket.if_nameindex() == [(1, 'lo')]
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
name = struct.pack('40s', b'lo')
flags = struct.unpack('16xH', fcntl.ioctl(s, 0x8913, name)[:18])[0]
assert flags & 0x41 == 0x41
assert socket.inet_ntoa(fcntl.ioctl(s, 0x8915, name)[20:24]) == '127.0.0.1'
room = array.array('B', bytes(4000))
ifconf = struct.pack('iP', 4000, room.buffer_info()[0])
size, _ = struct.unpack('iP', fcntl.ioctl(s, 0x8912, ifconf))
assert size == 40 and bytes(room[:2]) == b'lo'
",
    )
    .map(drop)
}

#[test]
fn tools_arrange_it() -> Outcome {
    let script = "
set -e
ip link add v0 type veth peer name v1
ip addr add 10.1.2.3/24 dev v0
ip link set v0 up
ip route add 10.9.0.0/16 via 10.1.2.1
ip route
nft add table inet t
nft add chain inet t c '{ type filter hook input priority 0; }'
nft add rule inet t c tcp dport 9 reject
nft list ruleset
ss -tan
tc qdisc add dev v0 root netem delay 10ms
tc qdisc show dev v0
";
    let said = prints(&["sh", "-c", script])?;
    for part in ["10.9.0.0/16 via 10.1.2.1", "tcp dport 9 reject", "netem"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    Ok(())
}
