"""The other end of the kernel's link: frames in and out.

It answers for the neighbour that it plays (10.0.0.2, fd00::2), so that scenarios
need not, and checks the checksums of everything that comes.
"""

import os
import select
import struct
import time

from scapy.layers.inet import IP
from scapy.layers.inet6 import (
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6ND_RS,
    ICMPv6NDOptDstLLAddr,
    ICMPv6MLReport2,
    IPv6,
)
from scapy.layers.l2 import ARP, Dot3, Ether
from scapy.utils import checksum

MAC, ADDRESS, ADDRESS6 = "02:00:00:00:00:02", "10.0.0.2", "fd00::2"
KERNEL_MAC, KERNEL, KERNEL6 = "02:00:00:00:00:01", "10.0.0.1", "fd00::1"
# For what has to come. Nothing is awaited that long that does come.
PATIENCE = 10

FRAMES, REQUESTS = 0, 1
HEADER = struct.Struct("=BBHHHH")
NO_HEADER = HEADER.pack(0, 0, 0, 0, 0, 0)


def frame(payload, **fields):
    """A frame to the kernel."""
    return Ether(src=MAC, dst=KERNEL_MAC, **fields) / payload


def ip(family=4, **fields):
    """The network header of a packet to the kernel."""
    if family == 4:
        return IP(**{"src": ADDRESS, "dst": KERNEL, **fields})
    return IPv6(**{"src": ADDRESS6, "dst": KERNEL6, **fields})


class Wire:
    def __init__(self, unfinished):
        self.unfinished = unfinished
        # For which families the neighbour answers questions for its address.
        self.answers = (4, 6)
        # Whether what every kernel says now and then is shown to scenarios.
        self.chatter = False
        # How many frames were sent, and what has come.
        self.sent = 0
        self.frames = []
        self.results = {}
        self.buffers = {FRAMES: bytearray(), REQUESTS: bytearray()}
        # The numbers of the latest question of settle(), and of the latest answer.
        self.asked, self.answered = 0, 0

    # Frames out.

    def send(self, packet, header=NO_HEADER):
        """Sends a packet, behind Ether(src=MAC, dst=KERNEL_MAC) if it has none,
        or bytes as they are."""
        if not isinstance(packet, (bytes, bytearray)):
            packet = bytes(packet if isinstance(packet, (Ether, Dot3)) else frame(packet))
        self.sent += 1
        self.write(FRAMES, (header if self.unfinished else b"") + packet)

    @staticmethod
    def write(stream, message):
        message = memoryview(struct.pack(">I", len(message)) + message)
        while message:
            message = message[os.write(stream, message) :]

    # Frames and results in.

    def pump(self, timeout):
        """Reads what there is; waits for it. Returns whether there was any."""
        ready, _, _ = select.select([FRAMES, REQUESTS], [], [], timeout)
        # The frames that a call has sent are there before its result is.
        for stream in sorted(ready, reverse=True):
            data = os.read(stream, 1 << 20)
            if not data:
                raise EOFError("the kernel has gone")
            self.buffers[stream] += data
        if ready == [REQUESTS]:
            ready += select.select([FRAMES], [], [], 0)[0]
            if FRAMES in ready:
                self.buffers[FRAMES] += os.read(FRAMES, 1 << 20)
        for message in self._messages(FRAMES):
            self._arrived(message)
        for message in self._messages(REQUESTS):
            request, result = struct.unpack_from(">Iq", message)
            self.results[request] = (result, message[12:])
        return bool(ready)

    def _messages(self, stream):
        buffer = self.buffers[stream]
        while len(buffer) >= 4:
            end = 4 + int.from_bytes(buffer[:4], "big")
            if len(buffer) < end:
                return
            yield bytes(buffer[4:end])
            del buffer[:end]

    def _arrived(self, message):
        header = NO_HEADER
        if self.unfinished:
            header, message = message[: HEADER.size], message[HEADER.size :]
        kind = message[12:14]
        if kind == b"\x08\x06" and message[:3] == b"\x02\0\x01":
            self.answered = int.from_bytes(message[3:6], "big")
            return
        if kind in (b"\x08\x06", b"\x86\xdd") and self._housekeeping(message):
            return
        self.frames.append((header, message))

    def _housekeeping(self, message):
        """Answers a question of ARP or neighbour discovery, passes over chatter.
        Returns whether that was all there is to do."""
        packet = Ether(message)
        if ARP in packet and 4 in self.answers and packet[ARP].pdst == ADDRESS:
            if packet[ARP].op == 1:
                self.send(
                    Ether(src=MAC, dst=packet.src)
                    / ARP(op=2, hwsrc=MAC, psrc=ADDRESS, hwdst=packet.src, pdst=packet[ARP].psrc)
                )
            return True
        if ICMPv6ND_NS in packet and 6 in self.answers and packet[ICMPv6ND_NS].tgt == ADDRESS6:
            self.send(
                ip(6, dst=packet[IPv6].src)
                / ICMPv6ND_NA(tgt=ADDRESS6, R=0, S=1, O=1)
                / ICMPv6NDOptDstLLAddr(lladdr=MAC)
            )
            return True
        own = ICMPv6ND_NS in packet and packet[IPv6].src == "::"
        chatter = own or ICMPv6MLReport2 in packet or ICMPv6ND_RS in packet
        return chatter and not self.chatter

    def receive(self, timeout=PATIENCE):
        """The next frame, parsed and checked; None when there is none in time."""
        end = time.monotonic() + timeout
        while not self.frames:
            left = end - time.monotonic()
            if not self.pump(max(left, 0)) and left <= 0:
                return None
        return self._parse(*self.frames.pop(0))

    @staticmethod
    def _parse(header, message):
        if header != NO_HEADER:
            message = finish(header, message)
        check(message)
        packet = Ether(message)
        packet.header = HEADER.unpack(header)
        return packet

    def expect(self, *layers, **fields):
        """The next frame; it has these layers, and the last of them these fields."""
        packet = self.receive()
        wanted = " ".join([layer.__name__ for layer in layers] + [f"{k}={v}" for k, v in fields.items()])
        assert packet is not None, f"no {wanted} came"
        fits = all(layer in packet for layer in layers)
        if fits and fields:
            last = packet[layers[-1]]
            fits = all(getattr(last, name) == value for name, value in fields.items())
        assert fits, f"{wanted} wanted, got {packet!r:.500}"
        return packet

    def settle(self):
        """Waits until the kernel has done all that it does about the frames that
        were sent: it answers a question that was sent after them. A second one,
        because segments may be held back for others that come with them."""
        for _ in range(2):
            self.asked += 1
            asker = f"02:00:01:{self.asked >> 16:02x}:{self.asked >> 8 & 255:02x}:{self.asked & 255:02x}"
            # By nobody who has an address: no neighbour is remembered for it.
            self.send(Ether(src=asker, dst=KERNEL_MAC) / ARP(hwsrc=asker, psrc="0.0.0.0", pdst=KERNEL))
            end = time.monotonic() + PATIENCE
            while self.answered < self.asked:
                assert time.monotonic() < end, f"it does not answer; before: {self.frames!r:.1000}"
                self.pump(1)

    def barrier(self):
        """Returns what the kernel has sent in answer to what was sent before."""
        self.settle()
        frames, self.frames = self.frames, []
        return [self._parse(*frame) for frame in frames]

    def nothing(self):
        """The kernel has nothing to say to what was sent."""
        seen = self.barrier()
        assert not seen, f"nothing wanted, got {seen!r:.1000}"

    def discard(self):
        """What the kernel has sent is of no interest; returns how many frames. They
        are not even parsed: there may be thousands."""
        self.settle()
        frames, self.frames = self.frames, []
        return len(frames)


def finish(header, message):
    """Completes the checksum of a frame."""
    flags, _, _, _, start, offset = HEADER.unpack(header)
    if not flags & 1:
        return message
    place = start + offset
    total = checksum(message[start:])
    return message[:place] + struct.pack(">H", total or 0xFFFF) + message[place + 2 :]


def check(message):
    """All checksums of a frame are right."""
    kind, packet = message[12:14], message[14:]
    if kind == b"\x08\x00":
        length = (packet[0] & 15) * 4
        assert checksum(packet[:length]) == 0, f"IP checksum: {Ether(message)!r:.500}"
        total, = struct.unpack_from(">H", packet, 2)
        fragment = packet[6:8] not in (b"\0\0", b"\x40\0")
        protocol, payload, addresses = packet[9], packet[length:total], packet[12:20]
    elif kind == b"\x86\xdd":
        total, protocol = struct.unpack_from(">HB", packet, 4)
        addresses, payload = packet[8:40], packet[40 : 40 + total]
        while protocol in (0, 43, 60):
            protocol, payload = payload[0], payload[8 + payload[1] * 8 :]
        fragment = protocol == 44
    else:
        return
    if fragment or protocol not in (1, 6, 17, 58):
        return
    if protocol == 17 and payload[6:8] == b"\0\0":
        raise AssertionError(f"no checksum: {Ether(message)!r:.500}")
    pseudo = addresses + struct.pack(">II", len(payload), protocol) if protocol != 1 else b""
    assert checksum(pseudo + payload) == 0, f"checksum: {Ether(message)!r:.500}"
