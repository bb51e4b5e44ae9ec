"""The network of a kernel: sockets, links, interfaces, routes.

A kernel has a network of its own: Linux's TCP/IP in this process, without root. Two
kernels with a cable between them::

    one, other = drupe.Kernel(), drupe.Kernel()
    eth0, eth1 = drupe.net.connect(one, other)
    one.network.configure(eth0, "10.0.0.1/24")
    other.network.configure(eth1, "10.0.0.2/24")
    server = one.socket()
    server.bind(("10.0.0.1", 80))

``drupe.aio`` has the same for asyncio.
"""

from __future__ import annotations

import dataclasses
import errno
import io
import socket
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from . import _drupe

if TYPE_CHECKING:
    from ._kernel import Kernel


@dataclasses.dataclass(frozen=True)
class Interface:
    """An interface of a kernel's. From ``Network.interfaces``."""

    index: int
    name: str
    #: "02:…"; empty of those that have none.
    mac: str
    mtu: int
    #: It has been set up.
    up: bool
    #: It carries packets.
    carrier: bool
    #: "10.0.0.1/24".
    addresses: tuple[str, ...]


class Network:
    """What arranges the network of a kernel. From ``Kernel.network``."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel._native

    def add_link(self, link: str) -> str:
        """Adds a link, and returns the name of its interface.

        "tap", "tap:NAME", "passt", "passt:SOCKET", "packet:INTERFACE", "fd:NUMBER",
        "pcap:FILE", "switch:NAME" (of this process), with "+pcap=FILE" behind it to
        record what goes over it: as ``drupe run --link`` has it.
        """
        return _drupe.add_link(self._kernel, link)

    def configure(
        self,
        interface: str,
        *addresses: str,
        gateway: str | Iterable[str] = (),
        dhcp: bool = False,
        mtu: int | None = None,
        timeout: float = 30,
    ) -> str | None:
        """Sets up an interface, gives it addresses ("10.0.0.1/24") and a default route.

        With ``dhcp``, it asks a server, for ``timeout`` seconds at most, and returns the
        address that it got.
        """
        import ipaddress

        gateways = [gateway] if isinstance(gateway, str) else [*gateway]
        return _drupe.configure(
            self._kernel,
            interface,
            [*addresses],
            [ipaddress.ip_address(each) for each in gateways],
            dhcp,
            mtu,
            timeout,
        )

    def set_up(self, interface: str) -> None:
        """Sets up an interface."""
        _drupe.set_up(self._kernel, interface, True)

    def set_down(self, interface: str) -> None:
        """Sets down an interface."""
        _drupe.set_up(self._kernel, interface, False)

    def add_route(self, destination: str, gateway: str) -> None:
        """Adds a route: "10.1.0.0/16" by the host ``gateway``."""
        import ipaddress

        _drupe.add_route(self._kernel, destination, ipaddress.ip_address(gateway))

    def interfaces(self) -> list[Interface]:
        """All interfaces."""
        found = _drupe.interfaces(self._kernel)
        return [Interface(**each | {"addresses": tuple(each["addresses"])}) for each in found]

    def sysctl(self, name: str) -> str:
        """The value of a sysctl: "net.ipv4.tcp_congestion_control"."""
        return _drupe.sysctl(self._kernel, name)

    def set_sysctl(self, name: str, value: Any) -> None:
        """Sets a sysctl."""
        _drupe.set_sysctl(self._kernel, name, str(value))


def connect(one: Kernel, other: Kernel, *, mtu: int = 1500) -> tuple[str, str]:
    """Puts a cable between two kernels; the names of their interfaces are returned."""
    return _drupe.link_pair(one._native, other._native, mtu)


class Socket:
    """A socket of a kernel's network, with the methods of ``socket.socket``.

    It has no descriptor of this process: ``select`` and an event loop of asyncio's cannot
    wait for it by itself. ``drupe.aio`` waits for it there. Addresses have IP addresses
    in them, no names.
    """

    def __init__(
        self,
        kernel: Kernel,
        family: int = socket.AF_INET,
        type: int = socket.SOCK_STREAM,
        proto: int = 0,
        *,
        _native: _drupe.Socket | None = None,
    ) -> None:
        self._native = _native or _drupe.Socket.open(kernel._native, family, type, proto)
        self._timeout: float | None = None
        self._closed = False
        #: The kernel whose it is.
        self.kernel = kernel
        self.family = socket.AddressFamily(family)
        self.type = socket.SocketKind(type)
        self.proto = proto

    def __enter__(self) -> Socket:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        state = " closed" if self._closed else ""
        return f"<drupe.net.Socket {self.family.name} {self.type.name}{state}>"

    def bind(self, address: Any) -> None:
        """Gives it an address: (HOST, PORT), or a path."""
        self._native.bind(address)

    def listen(self, backlog: int = 128) -> None:
        """Accepts connections from now on."""
        self._native.listen(backlog)

    def accept(self) -> tuple[Socket, Any]:
        """The next connection, and whose it is."""
        native, address = self._native.accept(self._timeout)
        return Socket(self.kernel, self.family, self.type, self.proto, _native=native), address

    def connect(self, address: Any) -> None:
        """Connects it."""
        self._native.connect(address, self._timeout)

    def connect_ex(self, address: Any) -> int:
        """Connects it; 0 or an errno is returned."""
        try:
            self.connect(address)
        except BlockingIOError:
            return errno.EINPROGRESS
        except OSError as error:
            return error.errno or errno.EIO
        return 0

    def send(self, data: Any, flags: int = 0) -> int:
        """Sends; how many bytes is returned."""
        return self._native.send(data, flags, self._timeout)

    def sendall(self, data: Any, flags: int = 0) -> None:
        """Sends all."""
        rest = memoryview(data).cast("B")
        while rest:
            rest = rest[self.send(rest, flags) :]

    def sendto(self, data: Any, *flags_and_address: Any) -> int:
        """Sends a datagram to an address."""
        *_, address = flags_and_address
        return self._native.send_to(data, address, self._timeout)

    def recv(self, size: int, flags: int = 0) -> bytes:
        """What comes, up to so many bytes; none at the end."""
        return self._native.recv(size, flags, self._timeout)

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        """The same into a buffer."""
        room = memoryview(buffer).cast("B")
        return self._native.recv_into(room[: nbytes or len(room)], flags, self._timeout)

    def recvfrom(self, size: int, flags: int = 0) -> tuple[bytes, Any]:
        """The next datagram, and whose it is."""
        return self._native.recv_from(size, flags, self._timeout)

    def shutdown(self, how: int) -> None:
        """Ends one direction or both."""
        self._native.shutdown(how)

    def close(self) -> None:
        """Closes it."""
        self._closed = True
        self._native.close()

    def getsockname(self) -> Any:
        """Its own address."""
        return self._native.getsockname()

    def getpeername(self) -> Any:
        """The address that it is connected to."""
        return self._native.getpeername()

    def setsockopt(self, level: int, name: int, value: int | bytes) -> None:
        """Sets an option, to a number or to bytes."""
        if isinstance(value, int):
            value = value.to_bytes(4, "little", signed=True)
        self._native.setsockopt(level, name, bytes(value))

    def getsockopt(self, level: int, name: int, length: int = 0) -> Any:
        """An option: a number, or so many bytes."""
        value = self._native.getsockopt(level, name, length or 4)
        return value if length else int.from_bytes(value, "little", signed=True)

    def settimeout(self, seconds: float | None) -> None:
        """How long calls wait: TimeoutError then. None: for ever. 0: not at all."""
        if seconds is not None and seconds < 0:
            raise ValueError("Timeout value out of range")
        self._timeout = seconds

    def gettimeout(self) -> float | None:
        """How long calls wait."""
        return self._timeout

    def setblocking(self, yes: bool) -> None:
        """Whether calls wait."""
        self._timeout = None if yes else 0.0

    def getblocking(self) -> bool:
        """Whether calls wait."""
        return self._timeout != 0.0

    def fileno(self) -> int:
        """There is none."""
        raise io.UnsupportedOperation("a socket of a kernel's has no descriptor; see drupe.aio")

    def makefile(
        self,
        mode: str = "r",
        buffering: int | None = None,
        *,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
    ) -> Any:
        """A file of it, as ``socket.socket.makefile``. Closing it does not close this."""
        if not set(mode) <= set("rwb"):
            raise ValueError(f"invalid mode {mode!r} (only r, w, b allowed)")
        writing = "w" in mode
        reading = "r" in mode or not writing
        raw = _SocketFile(self, reading, writing)
        if buffering == 0:
            if "b" not in mode:
                raise ValueError("unbuffered streams must be binary")
            return raw
        size = buffering if buffering and buffering > 1 else io.DEFAULT_BUFFER_SIZE
        buffered: Any
        if reading and writing:
            buffered = io.BufferedRWPair(raw, raw, size)
        elif reading:
            buffered = io.BufferedReader(raw, size)
        else:
            buffered = io.BufferedWriter(raw, size)
        if "b" in mode:
            return buffered
        return io.TextIOWrapper(buffered, encoding or "utf-8", errors, newline)


class _SocketFile(io.RawIOBase):
    def __init__(self, socket: Socket, reading: bool, writing: bool) -> None:
        self._socket = socket
        self._reading = reading
        self._writing = writing

    def readable(self) -> bool:
        return self._reading

    def writable(self) -> bool:
        return self._writing

    def readinto(self, buffer: Any, /) -> int | None:
        try:
            return self._socket.recv_into(buffer)
        except BlockingIOError:
            return None

    def write(self, data: Any, /) -> int | None:
        try:
            return self._socket.send(data)
        except BlockingIOError:
            return None
