//! Connections: made, refused, ended and reset.

use crate::harness::Outcome;
use crate::ran::python;

/// A connection: `client` and `server`.
const PAIR: &str = "
listener = socket.create_server(('127.0.0.1', 0))
client = socket.create_connection(listener.getsockname())
server, peer = listener.accept()
assert peer == client.getsockname() and server.getpeername() == peer
assert client.getpeername() == listener.getsockname() == server.getsockname()
";

fn connected(script: &str) -> Outcome {
    python(&format!("{PAIR}{script}")).map(drop)
}

#[test]
fn all_bytes_arrive() -> Outcome {
    connected(
        "
piece, count = os.urandom(1 << 20), 100
def send():
    for _ in range(count):
        client.sendall(piece)
    client.close()
threading.Thread(target=send).start()
got, wanted, size = hashlib.sha256(), hashlib.sha256(), 0
while data := server.recv(300000):
    got.update(data)
    size += len(data)
for _ in range(count):
    wanted.update(piece)
assert size == count << 20, size
assert got.digest() == wanted.digest()
",
    )
}

#[test]
fn a_slow_reader_holds_the_writer_back() -> Outcome {
    connected(
        "
client.setblocking(False)
sent = 0
# Until there has been no room for a while.
poll = select.poll()
poll.register(client, select.POLLOUT)
while poll.poll(300):
    sent += client.send(bytes(1 << 20))
assert 1 << 16 < sent < 1 << 27, sent
client.close()
got = 0
while data := server.recv(1 << 20):
    got += len(data)
assert got == sent, (got, sent)
",
    )
}

#[test]
fn one_direction_ends_before_the_other() -> Outcome {
    connected(
        "
client.sendall(b'question' * 50000)
client.shutdown(socket.SHUT_WR)
got = b''
while data := server.recv(65536):
    got += data
assert got == b'question' * 50000
server.sendall(b'answer')
server.close()
assert client.recv(100) == b'answer'
assert client.recv(100) == b''
signal.signal(signal.SIGPIPE, signal.SIG_IGN)
try:
    client.send(b'more')
    assert False
except BrokenPipeError:
    pass
",
    )
}

#[test]
fn options_are_the_kernels() -> Outcome {
    connected(
        "
client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
assert client.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
assert client.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE) == socket.SOCK_STREAM
assert client.getsockopt(socket.SOL_SOCKET, 39) == socket.AF_INET
assert listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) == 1
info = client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1024)
assert len(info) > 200 and info[0] == 1, info
assert client.getsockopt(socket.IPPROTO_TCP, 13, 16).startswith(b'cubic')
client.setsockopt(socket.IPPROTO_TCP, 13, b'bbr')
assert client.getsockopt(socket.IPPROTO_TCP, 13, 16).startswith(b'bbr')
client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 7))
linger = client.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8)
assert struct.unpack('ii', linger) == (1, 7)
timeout = struct.pack('ll', 0, 50000)
client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, timeout)
try:
    client.recv(1)
    assert False
except BlockingIOError:
    pass
try:
    client.setsockopt(socket.SOL_SOCKET, 60, 1)
    assert False
except OSError as error:
    assert error.errno == errno.EOPNOTSUPP
",
    )
}

#[test]
fn a_reset_is_seen() -> Outcome {
    connected(
        "
server.sendall(b'last words')
server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
poll = select.poll()
poll.register(client, select.POLLIN)
assert poll.poll(9000)
server.close()
assert client.recv(100) == b'last words'
try:
    client.recv(100)
    assert False
except ConnectionResetError:
    pass
assert client.recv(100) == b''
",
    )
}

#[test]
fn nobody_listens() -> Outcome {
    python(
        "
for family, host in (socket.AF_INET, '127.0.0.1'), (socket.AF_INET6, '::1'):
    blocking = socket.socket(family)
    for attempt in range(2):
        try:
            blocking.connect((host, 1))
            assert False
        except ConnectionRefusedError:
            pass
    # The same socket can still be connected.
    listener = socket.create_server((host, 0), family=family)
    blocking.connect(listener.getsockname()[:2])
    # Without waiting.
    other = socket.socket(family)
    other.setblocking(False)
    assert other.connect_ex((host, 1)) == errno.EINPROGRESS
    assert select.select([], [other], [], 9)[1] == [other]
    code = other.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    assert code == errno.ECONNREFUSED, code
    assert other.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
",
    )
    .map(drop)
}

#[test]
fn a_connection_that_is_not_there_yet_cannot_be_written_to() -> Outcome {
    // Packets to an address of a dummy interface's network go nowhere.
    let script = "
ip link add d0 type dummy && ip addr add 10.9.9.1/24 dev d0 && ip link set d0 up &&
exec /usr/bin/python3 -c \"
import errno, select, socket
s = socket.socket()
s.setblocking(False)
assert s.connect_ex(('10.9.9.2', 80)) == errno.EINPROGRESS
poll = select.poll()
poll.register(s, select.POLLOUT)
assert poll.poll(200) == []
assert s.connect_ex(('10.9.9.2', 80)) == errno.EALREADY
try:
    s.send(b'x')
    assert False
except BlockingIOError:
    pass
t = socket.socket()
t.settimeout(0.2)
try:
    t.connect(('10.9.9.2', 80))
    assert False
except TimeoutError:
    pass
\"";
    crate::ran::prints(&["sh", "-c", script]).map(drop)
}

#[test]
fn connections_that_come_later() -> Outcome {
    // A listener that does not block, edge-triggered, in several processes.
    python(
        "
listener = socket.create_server(('127.0.0.1', 0), backlog=200)
listener.setblocking(False)
try:
    listener.accept()
    assert False
except BlockingIOError:
    pass
def work():
    epoll = select.epoll()
    epoll.register(listener, select.EPOLLIN | select.EPOLLET)
    while True:
        epoll.poll()
        while True:
            try:
                connection, _ = listener.accept()
            except BlockingIOError:
                break
            connection.setblocking(True)
            connection.sendall(connection.recv(100).upper())
            connection.close()
workers = [multiprocessing.Process(target=work, daemon=True) for _ in range(3)]
for worker in workers:
    worker.start()
for round in range(10):
    clients = [socket.create_connection(listener.getsockname()) for _ in range(30)]
    for number, client in enumerate(clients):
        client.sendall(b'number %d' % number)
    for number, client in enumerate(clients):
        assert client.recv(100) == b'NUMBER %d' % number
        assert client.recv(100) == b''
",
    )
    .map(drop)
}

#[test]
fn accept_waits_and_is_interrupted() -> Outcome {
    python(
        "
listener = socket.create_server(('127.0.0.1', 0))
ticks = []
signal.signal(signal.SIGALRM, lambda *_: ticks.append(1))
signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
def connect():
    while len(ticks) < 20:
        select.select([], [], [], 0.01)
    socket.create_connection(listener.getsockname()).sendall(b'at last')
threading.Thread(target=connect).start()
connection, _ = listener.accept()
assert connection.recv(100) == b'at last' and len(ticks) >= 20
signal.setitimer(signal.ITIMER_REAL, 0)
",
    )
    .map(drop)
}

#[test]
fn descriptors_are_handed_on() -> Outcome {
    connected(
        "
ours, theirs = socket.socketpair()
if os.fork() == 0:
    ours.close()
    _, fds, _, _ = socket.recv_fds(theirs, 1, 1)
    server = socket.socket(fileno=fds[0])
    assert server.getpeername() == peer
    server.sendall(b'from the other')
    server.close()
    os._exit(0)
socket.send_fds(ours, [b'x'], [server.fileno()])
copy = os.dup(client.fileno())
server.close()
assert os.read(copy, 100) == b'from the other'
assert os.wait()[1] == 0
assert client.recv(100) == b''
",
    )
}

#[test]
fn sendfile_and_exec() -> Outcome {
    connected(
        "
with open('/etc/passwd', 'rb') as file:
    wanted = file.read()
    server.sendfile(file)
server.set_inheritable(True)
os.system('echo inherited >&%d' % server.fileno())
server.close()
got = b''
while data := client.recv(100000):
    got += data
assert got == wanted + b'inherited\\n', got
",
    )
}
