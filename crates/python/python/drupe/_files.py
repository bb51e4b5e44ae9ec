"""Open files: what ``FileSystem.open`` returns."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import _drupe


class RawFile(io.RawIOBase):
    """An open file without a buffer: each call is one of the kernel's.

    ``FileSystem.open`` returns one for ``buffering=0``, and otherwise one of the
    classes of ``io`` over it: ``f.raw``, or ``f.buffer.raw`` of text.
    """

    name: str
    mode: str

    def __init__(self, native: _drupe.File, name: str, flags: int, mode: str) -> None:
        self._native = native
        self._flags = flags
        self.name = name
        self.mode = mode

    def __repr__(self) -> str:
        state = "closed" if self.closed else f"mode={self.mode!r}"
        return f"<drupe.RawFile name={self.name!r} {state}>"

    def readable(self) -> bool:
        """Whether it was opened for reading."""
        self._check()
        return self._flags & os.O_ACCMODE != os.O_WRONLY

    def writable(self) -> bool:
        """Whether it was opened for writing."""
        self._check()
        return self._flags & os.O_ACCMODE != os.O_RDONLY

    def seekable(self) -> bool:
        """Whether it has a position: a FIFO has none."""
        self._check()
        try:
            self._native.seek(0, os.SEEK_CUR)
        except OSError:
            return False
        return True

    def readinto(self, buffer: Any, /) -> int:
        """Reads into a buffer; how many bytes is returned, 0 at the end."""
        self._check(read=True)
        return self._native.readinto(buffer)

    def readall(self) -> bytes:
        """Reads all that is left."""
        self._check(read=True)
        return self._native.readall()

    def write(self, data: Any, /) -> int:
        """Writes; how many bytes is returned."""
        self._check(write=True)
        return self._native.write(data)

    def pread_into(self, buffer: Any, offset: int) -> int:
        """Reads at an offset into a buffer, and leaves the position as it is."""
        self._check(read=True)
        return self._native.pread_into(buffer, offset)

    def pwrite(self, data: Any, offset: int) -> int:
        """Writes at an offset, and leaves the position as it is."""
        self._check(write=True)
        return self._native.pwrite(data, offset)

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Moves the position, and returns it."""
        self._check()
        return self._native.seek(offset, whence)

    def tell(self) -> int:
        """The position."""
        return self.seek(0, os.SEEK_CUR)

    def truncate(self, size: int | None = None, /) -> int:
        """Cuts it off, or extends it with a hole; at the position by default."""
        self._check(write=True)
        size = self.tell() if size is None else size
        self._native.truncate(size)
        return size

    def sync(self, data_only: bool = False) -> None:
        """Makes it durable in the image (fsync(2)). Flush what is buffered first."""
        self._check()
        self._native.sync(data_only)

    def stat(self) -> os.stat_result:
        """What is known of it (fstat(2))."""
        from ._filesystem import stat_result

        self._check()
        return stat_result(self._native.stat())

    def close(self) -> None:
        """Closes it."""
        if not self.closed:
            try:
                super().close()
            finally:
                self._native.close()

    def _check(self, read: bool = False, write: bool = False) -> None:
        if self.closed:
            raise ValueError("I/O operation on closed file.")
        access = self._flags & os.O_ACCMODE
        if read and access == os.O_WRONLY:
            raise io.UnsupportedOperation("not readable")
        if write and access == os.O_RDONLY:
            raise io.UnsupportedOperation("not writable")


def flags_of(mode: str) -> tuple[int, bool]:
    """Flags of open(2) for a mode of ``open()``, and whether it is binary."""
    letters = set(mode)
    kinds = letters & set("rwxa")
    if len(letters) != len(mode) or letters - set("rwxabt+") or len(kinds) != 1:
        raise ValueError(f"invalid mode: {mode!r}")
    if letters >= set("bt"):
        raise ValueError("can't have text and binary mode at once")
    kind = kinds.pop()
    flags = {
        "r": 0,
        "w": os.O_CREAT | os.O_TRUNC,
        "x": os.O_CREAT | os.O_EXCL,
        "a": os.O_CREAT | os.O_APPEND,
    }[kind]
    if "+" in letters:
        flags |= os.O_RDWR
    elif kind != "r":
        flags |= os.O_WRONLY
    return flags, "b" in letters


def wrap(
    raw: RawFile,
    binary: bool,
    buffering: int,
    encoding: str | None,
    errors: str | None,
    newline: str | None,
) -> Any:
    """What ``open()`` makes of a file: a buffer, and text over it."""
    if binary and (encoding is not None or errors is not None or newline is not None):
        raise ValueError("binary mode doesn't take an encoding, errors or newline argument")
    if buffering == 0:
        if not binary:
            raise ValueError("can't have unbuffered text I/O")
        return raw
    lines = buffering == 1 and not binary
    size = buffering if buffering > 1 else 128 << 10
    buffered: Any
    if raw.readable() and raw.writable():
        buffered = io.BufferedRandom(raw, size)
    elif raw.writable():
        buffered = io.BufferedWriter(raw, size)
    else:
        buffered = io.BufferedReader(raw, size)
    if binary:
        return buffered
    text = io.TextIOWrapper(buffered, encoding or "utf-8", errors, newline, lines)
    text.mode = raw.mode  # type: ignore[misc]
    return text
