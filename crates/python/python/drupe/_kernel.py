"""``Kernel``: a running Linux."""

from __future__ import annotations

import atexit
import contextlib
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING

from . import _drupe, _errors
from ._filesystem import FileSystem, all_of

if TYPE_CHECKING:
    from .net import Network, Socket


class Kernel:
    """A running Linux kernel, in this process. Close it, or use ``with``.

    ``drupe.open`` boots one for each image. Boot one yourself to open several images in
    it (``drupe.open(…, kernel=kernel)``), or to use its network.

    ``memory`` is in bytes, 64 MiB by default. ``log`` is called with each piece of the
    kernel's log, as bytes; it must not use the kernel.
    """

    def __init__(
        self,
        *,
        memory: int | None = None,
        command_line: str | None = None,
        cold_boot: bool = False,
        log: Callable[[bytes], object] | None = None,
        _native: _drupe.Kernel | None = None,
    ) -> None:
        self._native = _native or _drupe.Kernel.boot(memory, command_line, cold_boot, log)
        self._filesystems: weakref.WeakSet[FileSystem] = weakref.WeakSet()
        self._closed = False
        _live.add(self)

    def __enter__(self) -> Kernel:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return "<drupe.Kernel closed>" if self._closed else "<drupe.Kernel>"

    def _mounted(self, fs: FileSystem) -> None:
        self._filesystems.add(fs)

    @property
    def closed(self) -> bool:
        """Whether it has been closed."""
        return self._closed

    def close(self) -> None:
        """Closes the filesystems that are open in it, and halts it."""
        if self._closed:
            return
        self._closed = True
        with contextlib.ExitStack() as stack:
            # In reverse order; all of it is done.
            stack.callback(self._native.close)
            stack.callback(self._native.halt)
            for fs in all_of(self._filesystems):
                stack.callback(fs.close)

    def _at_exit(self) -> None:
        try:
            for fs in all_of(self._filesystems):
                fs._at_exit()
        finally:
            try:
                self.close()
            except _errors.ForkedError:
                # It stayed with the parent, who writes everything out.
                pass

    def log(self) -> str:
        """What it has logged so far."""
        return self._native.log()

    def read_file(self, path: str) -> bytes:
        """A file of its own tree: ``/proc/filesystems``, ``/sys/…``."""
        return self._native.read_file(path)

    @property
    def release(self) -> str:
        """Its version, as ``uname -r`` says it."""
        return self.read_file("/proc/sys/kernel/osrelease").decode().strip()

    def mount_virtual(self, fstype: str, options: str = "") -> FileSystem:
        """Mounts a filesystem that needs no image: "tmpfs", "proc"."""
        native = self._native.mount_virtual(fstype, options)
        return FileSystem(native, self, [], fstype, False)

    @property
    def network(self) -> Network:
        """Its links, interfaces and routes."""
        from .net import Network

        return Network(self)

    def socket(self, family: int = 2, type: int = 1, proto: int = 0) -> Socket:
        """A socket of its own network, with the methods of ``socket.socket``."""
        from .net import Socket

        return Socket(self, family, type, proto)


_live: weakref.WeakSet[Kernel] = weakref.WeakSet()


def _at_exit() -> None:
    for kernel in all_of(_live):
        kernel._at_exit()


atexit.register(_at_exit)

