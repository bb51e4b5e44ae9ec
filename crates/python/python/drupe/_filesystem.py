"""``FileSystem``: a mounted filesystem, and what can be done with its files."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import stat as stat_module
import weakref
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from . import _drupe, _files, _glob
from ._errors import ForkedError, IncompleteError
from ._info import FileSystemInfo
from ._path import Path, text_of

if TYPE_CHECKING:
    from ._kernel import Kernel

#: A path: text, bytes, a path of ``pathlib``, or a ``drupe.Path``.
AnyPath = Any


def stat_result(native: Any) -> os.stat_result:
    """``os.stat_result`` of what the native module tells."""
    first, (atime, mtime, ctime), (block_size, blocks, device), _born = native
    more = {
        "st_atime": atime / 1e9,
        "st_mtime": mtime / 1e9,
        "st_ctime": ctime / 1e9,
        "st_atime_ns": atime,
        "st_mtime_ns": mtime,
        "st_ctime_ns": ctime,
        "st_blksize": block_size,
        "st_blocks": blocks,
        "st_rdev": device,
    }
    return os.stat_result(first, more)


def all_of(things: weakref.WeakSet[Any]) -> list[Any]:
    """What is in a set, while other threads add to it. A lock would be one that a child
    of ``os.fork`` may find locked for ever."""
    while True:
        try:
            return list(things)
        except RuntimeError:
            # It has changed meanwhile.
            pass


class DirEntry:
    """An entry of a directory, as ``os.DirEntry``. From ``FileSystem.scandir``."""

    __slots__ = ("_fs", "_inode", "_kind", "name", "path")

    name: str
    path: str

    def __init__(self, fs: FileSystem, path: str, name: str, kind: int, inode: int) -> None:
        self._fs = fs
        self._kind = kind
        self._inode = inode
        self.name = name
        self.path = path

    def __repr__(self) -> str:
        return f"<drupe.DirEntry {self.name!r}>"

    def inode(self) -> int:
        """The number of its inode."""
        return self._inode

    def is_dir(self, *, follow_symlinks: bool = True) -> bool:
        """Whether it is a directory."""
        return self._is(stat_module.S_IFDIR, follow_symlinks)

    def is_file(self, *, follow_symlinks: bool = True) -> bool:
        """Whether it is a regular file."""
        return self._is(stat_module.S_IFREG, follow_symlinks)

    def is_symlink(self) -> bool:
        """Whether it is a symbolic link."""
        return self._kind == stat_module.S_IFLNK

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        """What is known of it; costs a system call each time."""
        return self._fs.stat(self.path, follow_symlinks=follow_symlinks)

    def _is(self, kind: int, follow: bool) -> bool:
        if follow and self._kind == stat_module.S_IFLNK:
            return self._fs._native.kind(self.path, True) == kind
        return self._kind == kind


class FileSystem:
    """A mounted filesystem of an image. From ``drupe.open``; close it, or use ``with``.

    Paths begin at its root, with or without a slash, and never leave it. All is done as
    its root user, and there is no umask. Any thread may use it.
    """

    def __init__(
        self,
        native: _drupe.Mount,
        kernel: Kernel,
        disks: list[_drupe.Disk],
        label: str,
        owns_kernel: bool,
    ) -> None:
        self._native = native
        self._disks = disks
        self._owns_kernel = owns_kernel
        self._files: weakref.WeakSet[Any] = weakref.WeakSet()
        self._closed = False
        #: The kernel that it is mounted in.
        self.kernel = kernel
        #: The image, as it was named.
        self.label = label
        kernel._mounted(self)

    def __enter__(self) -> FileSystem:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        state = " closed" if self._closed else ""
        return f"<drupe.FileSystem {self.label!r}{state}>"

    def __truediv__(self, path: AnyPath) -> Path:
        return self.path(path)

    @property
    def closed(self) -> bool:
        """Whether it has been closed."""
        return self._closed

    def close(self) -> None:
        """Unmounts it; raises what could not be written. Files still open are closed."""
        if self._closed:
            return
        self._closed = True
        with contextlib.ExitStack() as stack:
            # In reverse order; all of it is done, and the first error is told.
            if self._owns_kernel:
                stack.callback(self.kernel.close)
            stack.callback(self._close_disks)
            stack.callback(self._native.close)
            for file in all_of(self._files):
                stack.callback(file.close)

    def _close_disks(self) -> None:
        harms = [disk.harm() for disk in self._disks]
        for disk in self._disks:
            disk.close()
        for harm in filter(None, harms):
            raise OSError(errno.EIO, f"the image is damaged: {harm}", self.label)

    def _at_exit(self) -> None:
        """What the end of the program does to it, whatever its threads do."""
        try:
            self.close()
        except (ForkedError, ValueError):
            pass
        except OSError as error:
            # A thread is inside. Halting the kernel writes everything out.
            if error.errno != errno.EBUSY:
                raise

    # Files

    def open(
        self,
        path: AnyPath,
        mode: str = "r",
        buffering: int = -1,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
        *,
        perm: int = 0o644,
    ) -> Any:
        """Opens a file, as ``open()``. Text is UTF-8 unless ``encoding`` says otherwise.

        ``perm`` is what a new file's permissions are.
        """
        flags, binary = _files.flags_of(mode)
        name = text_of(path)
        native = self._native.open(path, flags, perm)
        raw = _files.RawFile(native, name, flags, mode)
        try:
            if stat_module.S_ISDIR(native.stat()[0][0]):
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), name)
            if "a" in mode:
                raw.seek(0, os.SEEK_END)
            file = _files.wrap(raw, binary, buffering, encoding, errors, newline)
        except BaseException:
            raw.close()
            raise
        self._files.add(file)
        return file

    def read_bytes(self, path: AnyPath) -> bytes:
        """The contents of a file."""
        return self._native.read_bytes(path)

    def read_text(
        self, path: AnyPath, encoding: str = "utf-8", errors: str | None = None
    ) -> str:
        """The contents of a file of text."""
        with self.open(path, "r", encoding=encoding, errors=errors) as file:
            text: str = file.read()
        return text

    def write_bytes(self, path: AnyPath, data: Any, *, perm: int = 0o644) -> int:
        """Makes or replaces the contents of a file."""
        return self._native.write_bytes(path, data, perm)

    def write_text(
        self,
        path: AnyPath,
        data: str,
        encoding: str = "utf-8",
        errors: str | None = None,
        newline: str | None = None,
        *,
        perm: int = 0o644,
    ) -> int:
        """Makes or replaces the contents of a file of text."""
        with self.open(path, "w", -1, encoding, errors, newline, perm=perm) as file:
            written: int = file.write(data)
        return written

    def truncate(self, path: AnyPath, length: int) -> None:
        """Cuts a file off, or extends it with a hole."""
        self._native.truncate(path, length)

    # What is known of files

    def stat(self, path: AnyPath, *, follow_symlinks: bool = True) -> os.stat_result:
        """What is known of a file, as ``os.stat``."""
        return stat_result(self._native.stat(path, follow_symlinks))

    def lstat(self, path: AnyPath) -> os.stat_result:
        """The same of a symbolic link itself."""
        return self.stat(path, follow_symlinks=False)

    def birth_time(self, path: AnyPath) -> float | None:
        """When a file was made, in seconds since 1970; None: the filesystem doesn't say."""
        born = self._native.stat(path, False)[3]
        return None if born is None else born / 1e9

    def exists(self, path: AnyPath, *, follow_symlinks: bool = True) -> bool:
        """Whether there is such a file."""
        return self._native.kind(path, follow_symlinks) is not None

    def lexists(self, path: AnyPath) -> bool:
        """Whether there is such a file, or a symbolic link to nowhere."""
        return self.exists(path, follow_symlinks=False)

    def is_file(self, path: AnyPath) -> bool:
        """Whether it is a regular file, or a link to one."""
        return self._native.kind(path, True) == stat_module.S_IFREG

    def is_dir(self, path: AnyPath) -> bool:
        """Whether it is a directory, or a link to one."""
        return self._native.kind(path, True) == stat_module.S_IFDIR

    def is_symlink(self, path: AnyPath) -> bool:
        """Whether it is a symbolic link."""
        return self._native.kind(path, False) == stat_module.S_IFLNK

    def readlink(self, path: AnyPath) -> str:
        """Where a symbolic link leads to."""
        return self._native.readlink(path)

    def realpath(self, path: AnyPath) -> str:
        """The path without symbolic links, ``.`` and ``..``."""
        return self._native.realpath(path)

    def statvfs(self) -> os.statvfs_result:
        """Room and inodes, as ``os.statvfs``."""
        block, total, free, available, files, files_free, flags, name_max, _ = (
            self._native.statfs()
        )
        return os.statvfs_result(
            (block, block, total, free, available, files, files_free, files_free, flags, name_max)
        )

    def info(self) -> FileSystemInfo:
        """What it is: type, label, UUID, room."""
        return FileSystemInfo._of(self)

    # Directories

    def listdir(self, path: AnyPath = "/") -> list[str]:
        """The names in a directory."""
        return [name for name, _, _ in self._native.scan(path)]

    def scandir(self, path: AnyPath = "/") -> Iterator[DirEntry]:
        """The entries of a directory, with their types."""
        base = text_of(path).rstrip("/")
        for name, kind, inode in self._native.scan(path):
            yield DirEntry(self, f"{base}/{name}", name, kind, inode)

    def walk(
        self,
        top: AnyPath = "/",
        topdown: bool = True,
        onerror: Callable[[OSError], object] | None = None,
        followlinks: bool = False,
    ) -> Iterator[tuple[str, list[str], list[str]]]:
        """Directories with what is in them, as ``os.walk``."""
        return _glob.walk(self, text_of(top), topdown, onerror, followlinks)

    def glob(self, pattern: str, *, include_hidden: bool = False) -> list[str]:
        """The paths that a pattern matches, as ``glob.glob`` with ``recursive=True``."""
        return list(_glob.select(self, "/", pattern, include_hidden))

    def path(self, *parts: AnyPath) -> Path:
        """A path in it, with the methods of ``pathlib.Path``. ``fs / "etc"`` is one too."""
        return Path(self, *parts)

    def mkdir(self, path: AnyPath, mode: int = 0o755) -> None:
        """Makes a directory."""
        self._native.mkdir(path, mode)

    def makedirs(self, path: AnyPath, exist_ok: bool = True) -> None:
        """Makes a directory, and those above it that are missing."""
        if not exist_ok and self.lexists(path):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), text_of(path))
        self._native.makedirs(path)

    def rmdir(self, path: AnyPath) -> None:
        """Removes an empty directory."""
        self._native.rmdir(path)

    def rmtree(self, path: AnyPath) -> None:
        """Removes a directory and all that is in it."""
        self._native.rmtree(path)

    # Names

    def unlink(self, path: AnyPath) -> None:
        """Removes a file."""
        self._native.unlink(path)

    remove = unlink

    def rename(self, old: AnyPath, new: AnyPath) -> None:
        """Renames a file; what has the new name is replaced."""
        self._native.rename(old, new)

    replace = rename

    def link(self, original: AnyPath, link: AnyPath) -> None:
        """Makes a hard link."""
        self._native.link(original, link)

    def symlink(self, target: AnyPath, link: AnyPath) -> None:
        """Makes a symbolic link to ``target``, whatever that is."""
        self._native.symlink(target, link)

    def mknod(self, path: AnyPath, mode: int, device: int = 0) -> None:
        """Makes a device node or a FIFO: ``mode`` has its type."""
        self._native.mknod(path, mode, device)

    def touch(self, path: AnyPath, perm: int = 0o644, exist_ok: bool = True) -> None:
        """Makes a file, or sets the times of one that is there to now."""
        if exist_ok and self.exists(path):
            self.utime(path)
        else:
            flags = os.O_CREAT | os.O_WRONLY | (0 if exist_ok else os.O_EXCL)
            self._native.open(path, flags, perm).close()

    # Attributes

    def chmod(self, path: AnyPath, mode: int) -> None:
        """Sets permissions."""
        self._native.chmod(path, mode)

    def chown(
        self, path: AnyPath, uid: int = -1, gid: int = -1, *, follow_symlinks: bool = True
    ) -> None:
        """Sets owner and group, by number; -1 keeps one."""
        user, group = (None if number == -1 else number for number in (uid, gid))
        self._native.chown(path, user, group, follow_symlinks)

    def utime(
        self,
        path: AnyPath,
        times: tuple[float, float] | None = None,
        *,
        ns: tuple[int, int] | None = None,
        follow_symlinks: bool = True,
    ) -> None:
        """Sets times of access and modification, as ``os.utime``; to now by default."""
        if times is not None and ns is not None:
            raise ValueError("utime: give times or ns, not both")
        if times is not None:
            ns = (round(times[0] * 1e9), round(times[1] * 1e9))
        self._native.utime(path, ns, follow_symlinks)

    def getxattr(self, path: AnyPath, name: str, *, follow_symlinks: bool = True) -> bytes:
        """An extended attribute."""
        value = self._native.getxattr(path, name, follow_symlinks)
        if value is None:
            raise OSError(errno.ENODATA, os.strerror(errno.ENODATA), text_of(path))
        return value

    def setxattr(
        self, path: AnyPath, name: str, value: bytes, *, follow_symlinks: bool = True
    ) -> None:
        """Sets an extended attribute."""
        self._native.setxattr(path, name, value, follow_symlinks)

    def listxattr(self, path: AnyPath, *, follow_symlinks: bool = True) -> list[str]:
        """The names of the extended attributes."""
        return self._native.listxattr(path, follow_symlinks)

    def removexattr(self, path: AnyPath, name: str, *, follow_symlinks: bool = True) -> None:
        """Removes an extended attribute."""
        self._native.removexattr(path, name, follow_symlinks)

    # Trees

    def copy_in(self, source: AnyPath, path: AnyPath, *, archive: bool = True) -> None:
        """Copies a file or a tree of the host's into the image, by the rules of cp(1).

        ``archive`` keeps owners, times, hard links, extended attributes and ACLs.
        Raises ``IncompleteError`` when some of it could not be copied.
        """
        source = os.fspath(source)
        os.lstat(source)
        self._done(_drupe.copy_in(source, self._native, path, self.label, archive), path)

    def copy_out(self, path: AnyPath, target: AnyPath, *, archive: bool = True) -> None:
        """Copies a file or a tree of the image's to the host, by the rules of cp(1)."""
        target = os.fspath(target)
        self.lstat(path)
        self._done(_drupe.copy_out(self._native, path, self.label, target, archive), path)

    def copy(
        self,
        source: AnyPath,
        target: AnyPath,
        *,
        to: FileSystem | None = None,
        archive: bool = True,
    ) -> None:
        """Copies a file or a tree within the image, or to another one of the same kernel
        or another."""
        to = to or self
        self.lstat(source)
        from_ = (self._native, source, self.label)
        done = _drupe.copy(from_, (to._native, target, to.label), archive)
        self._done(done, source)

    def tar(
        self,
        path: AnyPath,
        stream: Any,
        *,
        compression: str = "",
        numeric_owner: bool = False,
        exclude: Iterable[str] = (),
    ) -> None:
        """Writes an archive of a directory to a stream, an object with ``write``.

        ``compression`` is "", "gz", "xz" or "zst".
        """
        self._done(
            _drupe.tar(
                self._native, path, self.label, stream, compression, numeric_owner, [*exclude]
            ),
            path,
        )

    def untar(
        self,
        stream: Any,
        path: AnyPath = "/",
        *,
        numeric_owner: bool = False,
        strip_components: int = 0,
        exclude: Iterable[str] = (),
    ) -> None:
        """Extracts an archive, plain or compressed, from a stream: an object with ``read``,
        or ``bytes``."""
        if isinstance(stream, (bytes, bytearray, memoryview)):
            stream = io.BytesIO(stream)
        self._done(
            _drupe.untar(
                self._native,
                path,
                self.label,
                stream,
                numeric_owner,
                strip_components,
                [*exclude],
            ),
            path,
        )

    def _done(self, done: tuple[int, list[str]], path: AnyPath) -> None:
        errors, problems = done
        if errors:
            text = problems[0] if problems else "some of it could not be done"
            if errors > 1:
                text = f"{text} (and {errors - 1} more problems)"
            error = IncompleteError(errno.EIO, text, text_of(path))
            error.problems = problems
            raise error

    # All of it

    def sync(self) -> None:
        """Writes everything out, and raises what could not be written."""
        self._native.sync()

    def trim(self) -> int:
        """Gives free blocks back to the image, as fstrim(8); how many bytes is returned."""
        return self._native.trim()
