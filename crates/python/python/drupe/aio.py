"""Sockets of kernels for asyncio, whatever its loop.

The functions are those of asyncio with the kernel in front: ``open_connection`` and
``start_server`` with their streams, ``create_connection`` and ``create_server`` for
protocols, ``create_datagram_endpoint``, and ``sock_recv`` and its like for single sockets::

    async def hello(kernel):
        reader, writer = await drupe.aio.open_connection(kernel, "10.0.0.1", 80)
        writer.write(b"hello\\n")
        print(await reader.readline())
"""

from __future__ import annotations

import asyncio
import errno
import socket
import weakref
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

from . import _drupe
from .net import Socket

if TYPE_CHECKING:
    from ._kernel import Kernel

_T = TypeVar("_T")

#: What a socket may be ready for.
_READ = 1
_WRITE = 2

#: Bytes read at once.
_CHUNK = 256 << 10


class _Poll:
    """Waits for the sockets of a kernel in a loop: one descriptor for all of them."""

    _all: weakref.WeakKeyDictionary[Any, dict[int, _Poll]] = weakref.WeakKeyDictionary()

    def __init__(self, loop: asyncio.AbstractEventLoop, kernel: Kernel) -> None:
        self._native = _drupe.Poll(kernel._native)
        # Or it would keep the loop for ever, whose it is.
        self._loop = weakref.ref(loop)
        self._kernel = kernel
        self._next = 0
        self._tokens: dict[int, _Ready] = {}
        #: By the native socket.
        self.sockets: dict[int, _Ready] = {}
        self._descriptor = self._native.fileno()

    @classmethod
    def of(cls, kernel: Kernel) -> _Poll:
        """That of the running loop."""
        loop = asyncio.get_running_loop()
        polls = cls._all.setdefault(loop, {})
        poll = polls.get(id(kernel))
        if poll is None or poll._kernel is not kernel:
            poll = polls[id(kernel)] = cls(loop, kernel)
        return poll

    def add(self, ready: _Ready) -> int:
        self._next += 1
        self._native.add(ready.native, self._next)
        loop = self._loop()
        if not self._tokens and loop is not None:
            loop.add_reader(self._descriptor, self._collect)
        self._tokens[self._next] = ready
        self.sockets[id(ready.native)] = ready
        return self._next

    def remove(self, token: int, ready: _Ready) -> None:
        del self._tokens[token]
        del self.sockets[id(ready.native)]
        try:
            self._native.remove(ready.native)
        except OSError:
            # It has been closed, or its kernel has ended: it is gone.
            pass
        if not self._tokens:
            self._stop()

    def _stop(self) -> None:
        loop = self._loop()
        if loop is not None and not loop.is_closed():
            loop.remove_reader(self._descriptor)

    def _collect(self) -> None:
        try:
            events = self._native.events()
        except OSError:
            # The kernel has ended. Each call says so.
            events = [(token, _READ | _WRITE) for token in self._tokens]
            self._stop()
        for token, what in events:
            ready = self._tokens.get(token)
            if ready is not None:
                ready.happened(what)


class _Ready:
    """What waits for a socket: the same for all that wait for it in a loop."""

    def __init__(self, native: _drupe.Socket, poll: _Poll) -> None:
        self.native = native
        self.callbacks: dict[int, Callable[[], object]] = {}
        self._waiters: dict[int, list[asyncio.Future[None]]] = {_READ: [], _WRITE: []}
        self._users = 0
        self._poll = poll
        self._token = poll.add(self)

    @classmethod
    def of(cls, sock: Socket) -> _Ready:
        """That of a socket; each that asks for it closes it."""
        poll = _Poll.of(sock.kernel)
        ready = poll.sockets.get(id(sock._native)) or cls(sock._native, poll)
        ready._users += 1
        return ready

    def close(self) -> None:
        self._users -= 1
        if not self._users:
            self._poll.remove(self._token, self)

    def happened(self, what: int) -> None:
        for one in (_READ, _WRITE):
            if what & one:
                waiters, self._waiters[one] = self._waiters[one], []
                for waiter in waiters:
                    if not waiter.done():
                        waiter.set_result(None)
                if one in self.callbacks:
                    self.callbacks[one]()

    def waiter(self, what: int) -> asyncio.Future[None]:
        """Is done when the socket may be ready: an edge from now on."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiters[what].append(waiter)
        return waiter


async def _when(sock: Socket, what: int, call: Callable[[], _T]) -> _T:
    """Does something with a socket as soon as it does not block."""
    sock.setblocking(False)
    try:
        return call()
    except BlockingIOError:
        pass
    ready = _Ready.of(sock)
    try:
        while True:
            # Asked first: what has come before the socket was added has no edge.
            try:
                return call()
            except BlockingIOError:
                await ready.waiter(what)
    finally:
        ready.close()


async def sock_connect(sock: Socket, address: Any) -> None:
    """Connects a socket."""
    sock.setblocking(False)
    ready = _Ready.of(sock)
    try:
        while True:
            # Waited for from before it is begun: an edge that nobody waits for is lost.
            waiter = ready.waiter(_WRITE)
            try:
                sock.connect(address)
                return
            except OSError as error:
                if error.errno == errno.EISCONN:
                    return
                if error.errno not in (errno.EINPROGRESS, errno.EALREADY):
                    raise
            await waiter
    finally:
        ready.close()


async def sock_accept(sock: Socket) -> tuple[Socket, Any]:
    """The next connection, and whose it is."""
    return await _when(sock, _READ, sock.accept)


async def sock_recv(sock: Socket, size: int) -> bytes:
    """What comes, up to so many bytes; none at the end."""
    return await _when(sock, _READ, lambda: sock.recv(size))


async def sock_recv_into(sock: Socket, buffer: Any) -> int:
    """The same into a buffer."""
    return await _when(sock, _READ, lambda: sock.recv_into(buffer))


async def sock_recvfrom(sock: Socket, size: int) -> tuple[bytes, Any]:
    """The next datagram, and whose it is."""
    return await _when(sock, _READ, lambda: sock.recvfrom(size))


async def sock_sendall(sock: Socket, data: Any) -> None:
    """Sends all."""
    rest = memoryview(data).cast("B")
    while rest:
        rest = rest[await _when(sock, _WRITE, lambda: sock.send(rest)) :]


async def sock_sendto(sock: Socket, data: Any, address: Any) -> int:
    """Sends a datagram."""
    return await _when(sock, _WRITE, lambda: sock.sendto(data, address))


class Transport(asyncio.Transport):
    """A connection of a kernel's, for a protocol of asyncio's."""

    def __init__(self, sock: Socket, protocol: Any) -> None:
        sock.setblocking(False)
        known: dict[str, Any] = {"socket": sock}
        for name, get in (("sockname", sock.getsockname), ("peername", sock.getpeername)):
            try:
                known[name] = get()
            except OSError:
                known[name] = None
        super().__init__(known)
        self._loop = asyncio.get_running_loop()
        self._socket = sock
        self._protocol = protocol
        self._pending = bytearray()
        self._high = 64 << 10
        self._low = 16 << 10
        self._paused = False
        self._writing_paused = False
        self._closing = False
        self._ended = False
        self._eof_wanted = False
        self._ready = _Ready.of(sock)
        self._ready.callbacks = {_READ: self._read, _WRITE: self._flush}
        self._loop.call_soon(protocol.connection_made, self)
        # Another task may wait for it already: then what has come has had its edge.
        self._loop.call_soon(self._read)

    def __repr__(self) -> str:
        return f"<drupe.aio.Transport {self._socket!r}>"

    def get_protocol(self) -> Any:
        """Whose it is."""
        return self._protocol

    def set_protocol(self, protocol: Any) -> None:
        """Gives it to another protocol."""
        self._protocol = protocol

    def is_closing(self) -> bool:
        """Whether it is closed or closing."""
        return self._closing

    def is_reading(self) -> bool:
        """Whether the protocol gets what comes."""
        return not (self._paused or self._closing or self._ended)

    def pause_reading(self) -> None:
        """The protocol gets nothing until ``resume_reading``."""
        self._paused = True

    def resume_reading(self) -> None:
        """The protocol gets what comes."""
        if self._paused:
            self._paused = False
            self._loop.call_soon(self._read)

    def _read(self) -> None:
        # Some turns, then the others': there may be no end of it.
        for _ in range(8):
            if not self.is_reading():
                return
            try:
                data = self._socket.recv(_CHUNK)
            except BlockingIOError:
                return
            except (OSError, ValueError) as error:
                self._fail(error)
                return
            if data:
                self._protocol.data_received(data)
            else:
                self._ended = True
                if not self._protocol.eof_received():
                    self.close()
                return
        self._loop.call_soon(self._read)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """How much may be waiting to be sent before the protocol is told to pause."""
        if high is None:
            high = 64 << 10 if low is None else 4 * low
        if low is None:
            low = high // 4
        if not high >= low >= 0:
            raise ValueError(f"high ({high!r}) must be >= low ({low!r}) must be >= 0")
        self._high, self._low = high, low
        self._tell()

    def get_write_buffer_size(self) -> int:
        """How much is waiting to be sent."""
        return len(self._pending)

    def get_write_buffer_limits(self) -> tuple[int, int]:
        """The low and the high limit."""
        return self._low, self._high

    def write(self, data: Any) -> None:
        """Sends, as soon as there is room."""
        if self._eof_wanted:
            raise RuntimeError("Cannot call write() after write_eof()")
        if self._closing or not data:
            return
        if not self._pending:
            try:
                data = memoryview(data).cast("B")
                data = data[self._socket.send(data, socket.MSG_NOSIGNAL) :]
            except BlockingIOError:
                pass
            except OSError as error:
                self._fail(error)
                return
        self._pending += data
        self._tell()

    def _flush(self) -> None:
        while self._pending:
            try:
                with memoryview(self._pending) as pending, pending[:_CHUNK] as piece:
                    sent = self._socket.send(piece, socket.MSG_NOSIGNAL)
            except BlockingIOError:
                break
            except (OSError, ValueError) as error:
                self._fail(error)
                return
            del self._pending[:sent]
        self._tell()
        if not self._pending:
            if self._eof_wanted and not self._closing:
                self._shut()
            if self._closing:
                self._finish(None)

    def _tell(self) -> None:
        if not self._writing_paused and len(self._pending) > self._high:
            self._writing_paused = True
            self._protocol.pause_writing()
        elif self._writing_paused and len(self._pending) <= self._low:
            self._writing_paused = False
            self._protocol.resume_writing()

    def can_write_eof(self) -> bool:
        """It can."""
        return True

    def write_eof(self) -> None:
        """Ends what is sent; what comes still comes."""
        if not self._eof_wanted and not self._closing:
            self._eof_wanted = True
            if not self._pending:
                self._shut()

    def _shut(self) -> None:
        try:
            self._socket.shutdown(socket.SHUT_WR)
        except OSError:
            # The other end is gone: reading says so.
            pass

    def close(self) -> None:
        """Closes it when all has been sent."""
        if not self._closing:
            self._closing = True
            if not self._pending:
                self._finish(None)

    def abort(self) -> None:
        """Closes it now."""
        self._pending.clear()
        self._closing = True
        self._finish(None)

    def _fail(self, error: BaseException) -> None:
        self._pending.clear()
        self._closing = True
        self._finish(error)

    def _finish(self, error: BaseException | None) -> None:
        if self._ready.callbacks:
            self._ready.callbacks = {}
            self._loop.call_soon(self._lost, error)

    def _lost(self, error: BaseException | None) -> None:
        try:
            self._protocol.connection_lost(error)
        finally:
            self._ready.close()
            self._socket.close()


class DatagramTransport(asyncio.DatagramTransport):
    """Datagrams of a kernel's, for a protocol of asyncio's."""

    def __init__(self, sock: Socket, protocol: Any, peer: Any) -> None:
        sock.setblocking(False)
        known = {"socket": sock, "sockname": sock.getsockname(), "peername": peer}
        super().__init__(known)
        self._loop = asyncio.get_running_loop()
        self._socket = sock
        self._protocol = protocol
        self._peer = peer
        self._closing = False
        self._ready = _Ready.of(sock)
        self._ready.callbacks = {_READ: self._read}
        self._loop.call_soon(protocol.connection_made, self)
        self._loop.call_soon(self._read)

    def is_closing(self) -> bool:
        """Whether it is closed or closing."""
        return self._closing

    def _read(self) -> None:
        # Some turns, then the others': there may be no end of it.
        for _ in range(64):
            if self._closing:
                return
            try:
                data, address = self._socket.recvfrom(_CHUNK)
            except BlockingIOError:
                return
            except (ConnectionError, InterruptedError) as error:
                # Of a datagram that was sent before.
                self._protocol.error_received(error)
                continue
            except (OSError, ValueError) as error:
                self._close(error)
                return
            self._protocol.datagram_received(data, address)
        self._loop.call_soon(self._read)

    def sendto(self, data: Any, addr: Any = None) -> None:
        """Sends a datagram; one for which there is no room is lost, as in a network."""
        address = addr if addr is not None else self._peer
        if address is None:
            raise ValueError("sendto: there is no address to send to")
        try:
            self._socket.sendto(data, address)
        except BlockingIOError:
            pass
        except OSError as error:
            self._protocol.error_received(error)

    def close(self) -> None:
        """Closes it."""
        self._close(None)

    abort = close

    def _close(self, error: BaseException | None) -> None:
        if not self._closing:
            self._closing = True
            self._ready.callbacks = {}
            self._loop.call_soon(self._lost, error)

    def _lost(self, error: Any) -> None:
        try:
            self._protocol.connection_lost(error)
        finally:
            self._ready.close()
            self._socket.close()


class Server:
    """Who accepts connections. From ``start_server`` and ``create_server``."""

    def __init__(self, sock: Socket, factory: Callable[[], Any]) -> None:
        #: The sockets that listen.
        self.sockets = [sock]
        self._factory = factory
        self._task = asyncio.ensure_future(self._accept(sock))
        self._closed = asyncio.get_running_loop().create_future()

    async def _accept(self, sock: Socket) -> None:
        try:
            while True:
                connection, _ = await sock_accept(sock)
                Transport(connection, self._factory())
        finally:
            sock.close()
            if not self._closed.done():
                self._closed.set_result(None)

    def is_serving(self) -> bool:
        """Whether it accepts connections."""
        return not self._task.done()

    def close(self) -> None:
        """Accepts no more. Connections that there are go on."""
        self._task.cancel()

    async def wait_closed(self) -> None:
        """Waits until it accepts no more."""
        await asyncio.wait([self._task])

    async def serve_forever(self) -> None:
        """Waits until it is cancelled, and closes it."""
        try:
            await self._task
        finally:
            self.close()

    async def __aenter__(self) -> Server:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()
        await self.wait_closed()


def _family(host: str) -> int:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


async def create_connection(
    factory: Callable[[], Any], kernel: Kernel, host: str, port: int
) -> tuple[Transport, Any]:
    """Connects to an address, for a protocol that ``factory`` makes."""
    sock = Socket(kernel, _family(host))
    try:
        await sock_connect(sock, (host, port))
        protocol = factory()
        transport = Transport(sock, protocol)
    except BaseException:
        sock.close()
        raise
    # The protocol knows of it when this returns.
    await asyncio.sleep(0)
    return transport, protocol


async def create_server(
    factory: Callable[[], Any], kernel: Kernel, host: str, port: int, *, backlog: int = 100
) -> Server:
    """Accepts connections at an address, each for a protocol that ``factory`` makes."""
    sock = Socket(kernel, _family(host))
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
        sock.listen(backlog)
    except BaseException:
        sock.close()
        raise
    return Server(sock, factory)


async def create_datagram_endpoint(
    factory: Callable[[], Any],
    kernel: Kernel,
    *,
    local: tuple[str, int] | None = None,
    remote: tuple[str, int] | None = None,
) -> tuple[DatagramTransport, Any]:
    """Sends and receives datagrams, for a protocol that ``factory`` makes.

    ``local`` is its own address, ``remote`` the one that ``sendto`` sends to by itself.
    """
    host = (local or remote or ("", 0))[0]
    sock = Socket(kernel, _family(host), socket.SOCK_DGRAM)
    try:
        sock.bind(local or ("::" if ":" in host else "0.0.0.0", 0))
        protocol = factory()
        transport = DatagramTransport(sock, protocol, remote)
    except BaseException:
        sock.close()
        raise
    # The protocol knows of it when this returns.
    await asyncio.sleep(0)
    return transport, protocol


async def open_connection(
    kernel: Kernel, host: str, port: int, *, limit: int = 64 << 10
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connects to an address: a reader and a writer, as ``asyncio.open_connection``."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit, loop)
    protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
    transport, _ = await create_connection(lambda: protocol, kernel, host, port)
    return reader, asyncio.StreamWriter(transport, protocol, reader, loop)


async def start_server(
    client: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None] | None],
    kernel: Kernel,
    host: str,
    port: int,
    *,
    limit: int = 64 << 10,
    backlog: int = 100,
) -> Server:
    """Accepts connections at an address, as ``asyncio.start_server``: ``client`` is called
    with a reader and a writer of each."""
    loop = asyncio.get_running_loop()

    def factory() -> asyncio.StreamReaderProtocol:
        return asyncio.StreamReaderProtocol(
            asyncio.StreamReader(limit, loop), client, loop=loop
        )

    return await create_server(factory, kernel, host, port, backlog=backlog)
