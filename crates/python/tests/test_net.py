"""Kernels and their networks: sockets, files of them, asyncio."""

import asyncio
import errno
import io
import os
import socket
import threading

import pytest

import drupe


@pytest.fixture
def pair():
    """Two kernels with a cable between them."""
    with drupe.Kernel() as one, drupe.Kernel() as other:
        names = drupe.net.connect(one, other)
        for kernel, name, number in ((one, names[0], 1), (other, names[1], 2)):
            kernel.network.configure(name, f"10.0.0.{number}/24", f"fd00::{number}/64")
        yield one, other


@pytest.fixture
def alone():
    """A kernel that speaks to itself."""
    with drupe.Kernel() as kernel:
        kernel.network.set_up("lo")
        yield kernel


def test_interfaces(pair):
    one, _ = pair
    lo, eth0 = one.network.interfaces()
    assert (lo.name, lo.up) == ("lo", False)
    assert eth0.name == "eth0" and eth0.up and eth0.mtu == 1500
    assert eth0.addresses[0] == "10.0.0.1/24" and len(eth0.mac) == 17
    one.network.set_down("eth0")
    assert not one.network.interfaces()[1].up
    one.network.set_up("eth0")
    one.network.add_route("10.9.0.0/16", "10.0.0.2")
    with pytest.raises(OSError) as raised:
        one.network.add_route("10.9.0.0/16", "10.77.0.2")
    assert raised.value.errno in (errno.ENETUNREACH, errno.EINVAL)
    with pytest.raises(ValueError):
        one.network.add_route("10.9.0.0/16", "nowhere")
    one.network.set_sysctl("net.ipv4.ip_default_ttl", 7)
    assert one.network.sysctl("net.ipv4.ip_default_ttl") == "7"
    with pytest.raises(ValueError, match="tap"):
        one.network.add_link("nonsense")


def test_a_switch_of_this_process():
    with drupe.Kernel() as one, drupe.Kernel() as other:
        for kernel, number in ((one, 1), (other, 2)):
            name = kernel.network.add_link("switch:test")
            kernel.network.configure(name, f"10.0.1.{number}/24")
        with one.socket(type=socket.SOCK_DGRAM) as to, other.socket(type=2) as from_:
            to.bind(("10.0.1.1", 7))
            to.settimeout(30)
            from_.sendto(b"hello", ("10.0.1.1", 7))
            assert to.recvfrom(100)[0] == b"hello"


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_streams(alone, family):
    host = {socket.AF_INET: "127.0.0.1", socket.AF_INET6: "::1"}[family]
    data = os.urandom(3 << 20)
    with alone.socket(family) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        assert server.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR) == 1
        server.bind((host, 0))
        server.listen()
        address = server.getsockname()

        def serve():
            connection, from_ = server.accept()
            with connection:
                assert from_ == connection.getpeername()
                connection.sendall(data)

        thread = threading.Thread(target=serve)
        thread.start()
        with alone.socket(family) as client:
            client.connect(address)
            assert client.getpeername() == address
            got = bytearray()
            while piece := client.recv(100_000):
                got += piece
        thread.join()
    assert got == data
    assert "closed" in repr(server)
    with pytest.raises(OSError) as raised:
        server.accept()
    assert raised.value.errno == errno.EBADF


def test_files_of_sockets(alone):
    with alone.socket() as server, alone.socket() as client:
        server.bind(("127.0.0.1", 8080))
        server.listen()
        client.connect(("localhost", 8080))
        connection, _ = server.accept()
        with connection, connection.makefile("rw") as file, client.makefile("rwb") as other:
            other.write(b"one\ntwo\n")
            other.flush()
            assert file.readline() == "one\n" and file.readline() == "two\n"
            file.write("three\n")
            file.flush()
            assert other.readline() == b"three\n"
        room = bytearray(10)
        client.sendall(b"x")
        connection.close()
        assert client.recv_into(room) == 0


def test_not_blocking(alone):
    with alone.socket(type=socket.SOCK_DGRAM) as one:
        one.bind(("127.0.0.1", 7))
        one.setblocking(False)
        assert not one.getblocking() and one.gettimeout() == 0
        with pytest.raises(BlockingIOError):
            one.recv(1)
        one.settimeout(0.05)
        with pytest.raises(TimeoutError):
            one.recv(1)
        one.sendto(b"itself", 0, ("127.0.0.1", 7))
        assert one.recvfrom(10) == (b"itself", ("127.0.0.1", 7))
        with pytest.raises(io.UnsupportedOperation, match="drupe.aio"):
            one.fileno()
        with pytest.raises(ValueError, match="no IP address"):
            one.bind(("example.org", 7))
        with pytest.raises(TypeError, match="an address is"):
            one.bind(7)
    with alone.socket() as one:
        assert one.connect_ex(("127.0.0.1", 9)) == errno.ECONNREFUSED
        with pytest.raises(ConnectionRefusedError):
            one.connect(("127.0.0.1", 9))


def test_unix_sockets(alone):
    with alone.socket(socket.AF_UNIX) as server, alone.socket(socket.AF_UNIX) as client:
        server.bind(b"\0name")
        server.listen()
        assert server.getsockname() == b"\0name"
        client.connect("\0name")
        connection, _ = server.accept()
        client.send(b"x")
        assert connection.recv(5) == b"x"
        connection.close()


# asyncio


def test_streams_of_asyncio(pair):
    one, other = pair
    data = os.urandom(1 << 20)

    async def client(reader, writer):
        line = await reader.readline()
        writer.write(line.upper())
        writer.write(data)
        await writer.drain()
        writer.write_eof()
        assert await reader.read() == b"end"
        writer.close()

    async def ask(number):
        reader, writer = await drupe.aio.open_connection(other, "10.0.0.1", 80)
        assert writer.get_extra_info("peername") == ("10.0.0.1", 80)
        writer.write(b"hello %d\n" % number)
        await writer.drain()
        assert await reader.readline() == b"HELLO %d\n" % number
        assert await reader.read() == data
        writer.write(b"end")
        writer.close()
        await writer.wait_closed()

    async def main():
        async with await drupe.aio.start_server(client, one, "10.0.0.1", 80) as server:
            assert server.is_serving()
            await asyncio.gather(*map(ask, range(10)))
        assert not server.is_serving()
        with pytest.raises(ConnectionRefusedError):
            await drupe.aio.open_connection(other, "10.0.0.1", 80)

    asyncio.run(asyncio.wait_for(main(), 60))


def test_single_sockets_with_asyncio(pair):
    one, other = pair

    async def main():
        with one.socket() as server, other.socket() as client:
            server.bind(("10.0.0.1", 80))
            server.listen()
            accepting = asyncio.ensure_future(drupe.aio.sock_accept(server))
            await drupe.aio.sock_connect(client, ("10.0.0.1", 80))
            connection, _ = await accepting
            receiving = asyncio.ensure_future(drupe.aio.sock_recv(connection, 100))
            await asyncio.sleep(0)
            await drupe.aio.sock_sendall(client, b"hello")
            assert await receiving == b"hello"
            room = bytearray(3)
            await drupe.aio.sock_sendall(connection, b"abc")
            assert await drupe.aio.sock_recv_into(client, room) == 3 and room == b"abc"
            # What nobody waits for any more is not received.
            receiving = asyncio.ensure_future(drupe.aio.sock_recv(connection, 100))
            await asyncio.sleep(0)
            receiving.cancel()
            await drupe.aio.sock_sendall(client, b"later")
            assert await drupe.aio.sock_recv(connection, 100) == b"later"
            connection.close()
        with one.socket(type=2) as to, other.socket(type=2) as from_:
            to.bind(("10.0.0.1", 7))
            assert await drupe.aio.sock_sendto(from_, b"x", ("10.0.0.1", 7)) == 1
            assert (await drupe.aio.sock_recvfrom(to, 10))[0] == b"x"

    asyncio.run(asyncio.wait_for(main(), 60))


@pytest.mark.parametrize("prefix", ["10.0.0.", "fd00::"])
def test_datagrams_of_asyncio(pair, prefix):
    one, other = pair

    class Echo(asyncio.DatagramProtocol):
        def connection_made(self, transport):
            self.transport = transport

        def datagram_received(self, data, addr):
            self.transport.sendto(data.upper(), addr)

    class Asker(asyncio.DatagramProtocol):
        def __init__(self):
            self.got = asyncio.get_running_loop().create_future()
            self.lost = asyncio.get_running_loop().create_future()

        def datagram_received(self, data, addr):
            self.got.set_result((data, addr[:2]))

        def connection_lost(self, exc):
            self.lost.set_result(exc)

    async def main():
        at = (f"{prefix}1", 7)
        server, _ = await drupe.aio.create_datagram_endpoint(Echo, one, local=at)
        asker, protocol = await drupe.aio.create_datagram_endpoint(Asker, other, remote=at)
        assert server.get_extra_info("sockname")[:2] == at
        asker.sendto(b"hello")
        assert await protocol.got == (b"HELLO", at)
        with pytest.raises(ValueError):
            server.sendto(b"x")
        asker.close()
        assert await protocol.lost is None and asker.is_closing()
        server.abort()
        await asyncio.sleep(0)

    asyncio.run(asyncio.wait_for(main(), 60))


def test_both_directions_at_once(alone):
    """One task receives from a socket while another one sends to it."""

    async def main():
        with alone.socket() as server, alone.socket() as client:
            server.bind(("127.0.0.1", 80))
            server.listen()
            await drupe.aio.sock_connect(client, ("127.0.0.1", 80))
            connection, _ = await drupe.aio.sock_accept(server)
            data = os.urandom(8 << 20)

            async def receive(sock):
                got = bytearray()
                while len(got) < len(data):
                    got += await drupe.aio.sock_recv(sock, 1 << 20)
                return got

            got = await asyncio.gather(
                receive(client),
                receive(connection),
                drupe.aio.sock_sendall(client, data),
                drupe.aio.sock_sendall(connection, data),
            )
            assert got[:2] == [data, data]
            connection.close()

    asyncio.run(asyncio.wait_for(main(), 60))


def test_a_loop_is_not_kept(alone):
    import gc
    import weakref

    async def main():
        with alone.socket(type=2) as sock:
            sock.bind(("127.0.0.1", 7))
            await drupe.aio.sock_sendto(sock, b"x", ("127.0.0.1", 7))
            receiving = asyncio.ensure_future(drupe.aio.sock_recv(sock, 1))
            assert await receiving == b"x"
            waiting = asyncio.ensure_future(drupe.aio.sock_recv(sock, 1))
            await asyncio.sleep(0)
            waiting.cancel()
        return weakref.ref(asyncio.get_running_loop())

    loop = asyncio.run(main())
    gc.collect()
    assert loop() is None


def test_writing_waits_for_reading(alone):
    """Much is sent to who does not read: the protocol is told to pause, and to resume."""

    class Sender(asyncio.Protocol):
        paused = resumed = False

        def connection_made(self, transport):
            self.transport = transport

        def pause_writing(self):
            self.paused = True

        def resume_writing(self):
            self.resumed = True

    async def main():
        got = 0
        reading = asyncio.Event()
        done = asyncio.Event()

        async def client(reader, writer):
            nonlocal got
            await reading.wait()
            while piece := await reader.read(1 << 20):
                got += len(piece)
            writer.close()
            done.set()

        async with await drupe.aio.start_server(client, alone, "127.0.0.1", 80):
            transport, protocol = await drupe.aio.create_connection(
                Sender, alone, "127.0.0.1", 80
            )
            while not protocol.paused:
                transport.write(bytes(1 << 20))
                got -= 1 << 20
                await asyncio.sleep(0)
            assert transport.get_write_buffer_size() > 0 and not protocol.resumed
            transport.close()
            reading.set()
            await done.wait()
            assert got == 0 and protocol.resumed

    asyncio.run(asyncio.wait_for(main(), 60))


def test_a_kernel_ends_under_asyncio(alone):
    async def main():
        sock = alone.socket(type=socket.SOCK_DGRAM)
        sock.bind(("127.0.0.1", 7))
        receiving = asyncio.ensure_future(drupe.aio.sock_recv(sock, 1))
        await asyncio.sleep(0)
        alone.close()
        with pytest.raises(drupe.KernelHalted):
            await receiving

    asyncio.run(asyncio.wait_for(main(), 60))
