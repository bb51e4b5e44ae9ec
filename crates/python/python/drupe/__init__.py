"""The Linux kernel as a library: real filesystems in disk images.

An image is opened, and its files are there, without root and without mounting anything::

    import drupe

    with drupe.open("disk.qcow2", partition=1) as fs:
        print(fs.read_text("/etc/os-release"))

It is Linux that reads and writes them: ext4, XFS, btrfs, F2FS, FAT, exFAT, NTFS, squashfs,
EROFS, ISO 9660, UDF, on partitions, LUKS, LVM and RAID, in raw, qcow2, vmdk, vhdx, vhd and vdi files
and behind NBD servers.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from . import _drupe
from ._drupe import LINUX_VERSION, __version__
from ._errors import (
    BootError,
    Error,
    ForkedError,
    ImageError,
    ImageInUse,
    IncompleteError,
    JournalReplay,
    KernelDied,
    KernelHalted,
    Locked,
    MissingDevice,
    MountError,
    NoFilesystem,
    NoPartition,
    TreeError,
    WrongPassphrase,
)
from ._files import RawFile
from ._filesystem import DirEntry, FileSystem
from ._info import FileSystemInfo, ImageInfo, VolumeInfo
from ._kernel import Kernel
from ._location import Location
from ._path import Path

if TYPE_CHECKING:
    from . import aio as aio
    from . import net as net

__all__ = [
    "BootError",
    "DirEntry",
    "Error",
    "FileSystem",
    "FileSystemInfo",
    "ForkedError",
    "ImageError",
    "ImageInUse",
    "ImageInfo",
    "IncompleteError",
    "JournalReplay",
    "Kernel",
    "KernelDied",
    "KernelHalted",
    "LINUX_VERSION",
    "Location",
    "Locked",
    "MissingDevice",
    "MountError",
    "NoFilesystem",
    "NoPartition",
    "Path",
    "RawFile",
    "TreeError",
    "VolumeInfo",
    "WrongPassphrase",
    "__version__",
    "aio",
    "deadline",
    "info",
    "net",
    "open",
]

#: What gives a passphrase: text, bytes, or a function that is asked with the id of a
#: volume and how many passphrases for it were wrong, and returns None to give up.
Passphrase = str | bytes | Callable[[str, int], "str | bytes | None"]


def open(
    image: Any,
    partition: int | str | None = None,
    *,
    mode: str = "r",
    fstype: str | None = None,
    options: str = "",
    format: str | None = None,
    backing: bool = False,
    block_size: int | None = None,
    passphrase: Passphrase | None = None,
    extra: Iterable[Any] = (),
    kernel: Kernel | None = None,
) -> FileSystem:
    """Mounts a filesystem of an image.

    ``image`` is a path, the address of a network disk (``nbd://HOST/EXPORT``), or an
    object with ``seek`` and ``read`` (``write`` too for ``mode="r+"``): an open file, an
    ``io.BytesIO``, a remote file of fsspec's.

    ``partition`` is a number, 0 for all of the image, or the name of a volume as
    ``drupe.info`` has it, or a label or UUID. It may be left out if there is only one
    filesystem.

    ``mode``: "r" changes nothing; "r+" changes the image; "c" keeps what is written in
    memory, and replays a journal there.

    ``fstype`` and ``options`` are those of mount(8); ``format`` says that an image is
    "raw", "qcow2", "vmdk", "vhdx", "vhd" or "vdi" instead of looking; ``backing=True`` lets it name
    other files (backing files); ``extra`` are images that hold parts of the same LVM
    group, RAID array or btrfs.

    Raises an OSError: ``drupe.NoFilesystem``, ``drupe.Locked`` and so on, if it is none
    of Python's own.
    """
    own = None if kernel is None else kernel._native
    native, native_kernel, disks = _drupe.open(
        image,
        partition,
        mode,
        kernel=own,
        fstype=fstype,
        options=options,
        format=format,
        backing=backing,
        block_size=block_size,
        passphrase=passphrase,
        extra=[*extra],
    )
    label = _label(image) if partition is None else f"{_label(image)}@{partition}"
    if kernel is None:
        return FileSystem(native, Kernel(_native=native_kernel), disks, label, True)
    return FileSystem(native, kernel, disks, label, False)


def info(
    image: Any,
    *,
    format: str | None = None,
    backing: bool = False,
    block_size: int | None = None,
    passphrase: Passphrase | None = None,
    extra: Iterable[Any] = (),
) -> ImageInfo:
    """What is on an image: partitions, volumes, filesystems. Nothing is changed."""
    with Kernel() as kernel:
        disks = [
            _drupe.Disk.add(kernel._native, each, "r", format, backing, block_size)
            for each in [image, *extra]
        ]
        found = _drupe.volumes(kernel._native, disks, passphrase)
        return ImageInfo._of(disks[0], found)


@contextlib.contextmanager
def deadline(seconds: float | None) -> Iterator[None]:
    """Calls of this thread that take longer raise TimeoutError.

    The time is that of the whole ``with`` block. What Linux does not interrupt, a disk
    that is slow for example, is waited for.
    """
    before = _drupe.set_deadline(seconds)
    # An outer one is not prolonged.
    if before is not None and (seconds is None or before < seconds):
        _drupe.set_deadline(before)
    start = time.monotonic()
    try:
        yield
    finally:
        passed = time.monotonic() - start
        _drupe.set_deadline(None if before is None else before - passed)


def __getattr__(name: str) -> Any:
    # Imported when they are first used: asyncio takes longer than all the rest.
    if name in ("aio", "net"):
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _label(image: Any) -> str:
    try:
        return os.fsdecode(image)
    except TypeError:
        return repr(image)
