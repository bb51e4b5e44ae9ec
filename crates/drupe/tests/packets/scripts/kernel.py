"""The kernel's system calls, and what is made of them."""

import errno
import os
import socket as host
import struct

from wire import ADDRESS, ADDRESS6, KERNEL, KERNEL6, REQUESTS, PATIENCE

# The generic table.
NUMBERS = {
    "epoll_create1": 20,
    "fcntl": 25,
    "ioctl": 29,
    "mkdirat": 34,
    "mount": 40,
    "openat": 56,
    "close": 57,
    "read": 63,
    "write": 64,
    "socket": 198,
    "bind": 200,
    "listen": 201,
    "accept": 202,
    "connect": 203,
    "getsockname": 204,
    "sendto": 206,
    "recvfrom": 207,
    "setsockopt": 208,
    "getsockopt": 209,
    "shutdown": 210,
    "advance": 0xFFFFFFFF,
}
AT_FDCWD = -100
NO_KERNEL, TOO_LONG = -10_000, -10_001


class Out:
    """Room for what a call writes."""

    def __init__(self, size):
        self.size = size
        self.data = b""


class Kernel:
    def __init__(self, wire):
        self.wire = wire
        self.requests = 0
        self.proc = False

    def start(self, name, *args):
        """Begins a call, which may block; finish() waits for it."""
        self.requests += 1
        message = struct.pack(">III", self.requests, self.wire.sent, NUMBERS[name])
        for arg in args:
            if isinstance(arg, Out):
                message += struct.pack(">cI", b"o", arg.size)
            elif isinstance(arg, int):
                message += struct.pack(">cq", b"i", arg)
            else:
                message += struct.pack(">cI", b"b", len(arg)) + arg
        self.wire.write(REQUESTS, message)
        return self.requests, name, [arg for arg in args if isinstance(arg, Out)]

    def finish(self, call):
        """The result of a call. Raises OSError."""
        request, name, outs = call
        while request not in self.wire.results:
            assert self.wire.pump(2 * PATIENCE + 5), f"{name} does not return"
        result, rest = self.wire.results.pop(request)
        for out in outs:
            size = int.from_bytes(rest[:4], "big")
            out.data, rest = rest[4 : 4 + size], rest[4 + size :]
        assert result != NO_KERNEL, "the kernel has ended"
        assert result != TOO_LONG, f"{name} does not return"
        if result < 0:
            raise OSError(-result, os.strerror(-result), name)
        return result

    def ended(self, call):
        """Whether a call has returned."""
        self.wire.settle()
        return call[0] in self.wire.results

    def call(self, name, *args):
        return self.finish(self.start(name, *args))

    def advance(self, seconds):
        """Moves the kernel's clock, at once."""
        self.call("advance", round(seconds * 1e9))

    def until_timer(self, seconds):
        """Moves the clock to when a timer of so many seconds has expired, and
        nothing has been sent shortly before. Timers are late by up to an eighth."""
        self.advance(seconds * 0.98)
        self.wire.nothing()
        self.advance(seconds * 0.16)

    # Files.

    def read(self, path):
        """What is in a file of /proc."""
        if not self.proc:
            self.call("mkdirat", AT_FDCWD, b"/proc\0", 0o755)
            self.call("mount", b"proc\0", b"/proc\0", b"proc\0", 0, 0)
            self.proc = True
        file = self.call("openat", AT_FDCWD, path.encode() + b"\0", os.O_RDONLY, 0)
        out, text = Out(1 << 16), b""
        while length := self.call("read", file, out, out.size):
            text += out.data[:length]
        self.call("close", file)
        return text.decode()

    def sysctl(self, name, value):
        path = "/proc/sys/" + name.replace(".", "/")
        self.read(path)
        file = self.call("openat", AT_FDCWD, path.encode() + b"\0", os.O_WRONLY, 0)
        text = str(value).encode()
        assert self.call("write", file, text, len(text)) == len(text)
        self.call("close", file)

    def counter(self, name):
        """A counter, "Tcp.InErrs" or "TcpExt.SyncookiesRecv"."""
        if "6." in name:
            for line in self.read("/proc/net/snmp6").splitlines():
                key, value = line.split()
                if key == name.replace(".", ""):
                    return int(value)
            raise KeyError(name)
        group, key = name.split(".")
        lines = self.read("/proc/net/snmp").splitlines() + self.read("/proc/net/netstat").splitlines()
        names, values = [line.split() for line in lines if line.startswith(group + ":")]
        return int(values[names.index(key)])

    def device(self, name):
        """What eth0 has received: "packets", "errs", "drop", "frame" and so on. To
        the kernel, a frame of a wrong length is also one of those."""
        names = "bytes packets errs drop fifo frame compressed multicast".split()
        line = self.read("/proc/net/dev").split("eth0:")[1]
        return int(line.split()[names.index(name)])

    def memory(self):
        """Free memory in bytes."""
        for line in self.read("/proc/meminfo").splitlines():
            if line.startswith("MemFree:"):
                return int(line.split()[1]) << 10

    # The interface.

    def configure(self):
        """Gives eth0 its addresses, and the script's as gateways."""
        # TCP takes a time of 0 for none.
        self.advance(1)
        # No second address may be asked for, nor a router.
        for name in ("accept_dad", "router_solicitations"):
            self.sysctl(f"net.ipv6.conf.eth0.{name}", 0)
        control = self.call("socket", host.AF_INET, host.SOCK_DGRAM, 0)
        mask = struct.pack("=HH4s8x", host.AF_INET, 0, b"\xff\xff\xff\0")
        up = struct.pack("=H", 1)
        for name, number, value in [
            (b"lo", 0x8914, up),
            (b"eth0", 0x8916, address(KERNEL)),
            (b"eth0", 0x891C, mask),
            (b"eth0", 0x8914, up),
        ]:
            self.call("ioctl", control, number, struct.pack("16s24s", name, value))
        # struct rtentry: destination, gateway, mask, flags.
        route = struct.pack("=8x16s16s16sH62x", address("0.0.0.0"), address(ADDRESS), address("0.0.0.0"), 3)
        self.call("ioctl", control, 0x890B, route)
        self.call("close", control)
        control = self.call("socket", host.AF_INET6, host.SOCK_DGRAM, 0)
        packed = host.inet_pton(host.AF_INET6, KERNEL6)
        self.call("ioctl", control, 0x8916, struct.pack("=16sIi", packed, 64, 2))
        # struct in6_rtmsg: destination, source, gateway, ..., metric, flags, index.
        gateway = host.inet_pton(host.AF_INET6, ADDRESS6)
        route = struct.pack("=32x16sIHHI4xQIi", gateway, 0, 0, 0, 1, 0, 3, 2)
        self.call("ioctl", control, 0x890B, route)
        self.call("close", control)

    def socket(self, kind=host.SOCK_STREAM, family=4, protocol=0):
        number = host.AF_INET if family == 4 else host.AF_INET6
        return Socket(self, self.call("socket", number, kind, protocol), family)

    def listener(self, port=80, family=4, backlog=16):
        socket = self.socket(family=family)
        socket.set(host.SOL_SOCKET, host.SO_REUSEADDR, 1)
        socket.bind(port)
        self.call("listen", socket.fd, backlog)
        return socket


def address(host_name, port=0):
    """struct sockaddr_in, or sockaddr_in6."""
    if ":" in host_name:
        packed = host.inet_pton(host.AF_INET6, host_name)
        return struct.pack("=H", host.AF_INET6) + struct.pack(">HI16sI", port, 0, packed, 0)
    packed = host.inet_aton(host_name)
    return struct.pack("=H", host.AF_INET) + struct.pack(">H4s8x", port, packed)


class Socket:
    def __init__(self, kernel, fd, family):
        self.kernel, self.fd, self.family = kernel, fd, family

    def _address(self, port, mine):
        if self.family == 4:
            return address(KERNEL if mine else ADDRESS, port)
        return address(KERNEL6 if mine else ADDRESS6, port)

    def bind(self, port):
        where = self._address(port, True)
        self.kernel.call("bind", self.fd, where, len(where))

    def connect(self, port):
        """Begins to connect to the script."""
        where = self._address(port, False)
        return self.kernel.start("connect", self.fd, where, len(where))

    def accept(self):
        return Socket(self.kernel, self.kernel.call("accept", self.fd, 0, 0), self.family)

    def send(self, data, flags=0):
        return self.kernel.call("sendto", self.fd, data, len(data), flags, 0, 0)

    def send_to(self, data, port):
        where = self._address(port, False)
        return self.kernel.call("sendto", self.fd, data, len(data), 0, where, len(where))

    def start_send(self, data):
        return self.kernel.start("sendto", self.fd, data, len(data), 0, 0, 0)

    def receive(self, size=1 << 16, flags=0):
        out = Out(size)
        length = self.kernel.call("recvfrom", self.fd, out, size, flags, 0, 0)
        return out.data[:length]

    def empty(self):
        """Nothing is there to be received."""
        try:
            got = self.receive(flags=host.MSG_DONTWAIT | host.MSG_PEEK)
        except BlockingIOError:
            return True
        raise AssertionError(f"nothing wanted, received {got[:100]}")

    def set(self, level, name, value):
        if isinstance(value, int):
            value = struct.pack("=i", value)
        self.kernel.call("setsockopt", self.fd, level, name, value, len(value))

    def get(self, level, name, size=4):
        out = Out(size)
        self.kernel.call("getsockopt", self.fd, level, name, out, struct.pack("=i", size))
        return int.from_bytes(out.data, "little") if size == 4 else out.data

    def error(self):
        """SO_ERROR, by name."""
        number = self.get(host.SOL_SOCKET, host.SO_ERROR)
        return errno.errorcode.get(number)

    def wait_for_error(self, name):
        """SO_ERROR becomes this: a timer that is due may run beside."""
        for _ in range(1000):
            if error := self.error():
                assert error == name, error
                return
        raise AssertionError(f"no {name}")

    def state(self):
        """The state that TCP_INFO tells."""
        names = "ESTABLISHED SYN_SENT SYN_RECV FIN_WAIT1 FIN_WAIT2 TIME_WAIT CLOSE CLOSE_WAIT LAST_ACK LISTEN CLOSING"
        return names.split()[self.get(host.IPPROTO_TCP, host.TCP_INFO, 8)[0] - 1]

    def shutdown(self, how):
        self.kernel.call("shutdown", self.fd, how)

    def close(self):
        self.kernel.call("close", self.fd)
