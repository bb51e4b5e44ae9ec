"""``Path``: a path in a filesystem, with the methods of ``pathlib.Path``."""

from __future__ import annotations

import os
import stat as stat_module
from collections.abc import Callable, Iterator, Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from . import _glob

if TYPE_CHECKING:
    from ._filesystem import FileSystem


def text_of(path: Any) -> str:
    """A path as text."""
    if isinstance(path, str):
        return path
    if isinstance(path, Path):
        return path._drupe_path
    return os.fsdecode(path)


class Path:
    """A path in a filesystem: ``fs / "etc" / "fstab"``, or ``fs.path("/etc/fstab")``.

    It has the methods of ``pathlib.Path``, and is absolute. It is no ``os.PathLike``: the
    host has no such file, so functions that open files of the host refuse it.
    """

    __slots__ = ("_drupe_path", "_fs", "_pure")

    def __init__(self, fs: FileSystem, *parts: Any) -> None:
        self._fs = fs
        self._pure = PurePosixPath("/", *(text_of(part) for part in parts))
        self._drupe_path = str(self._pure)

    def _new(self, *parts: Any) -> Path:
        return Path(self._fs, *parts)

    # What a path is

    @property
    def filesystem(self) -> FileSystem:
        """What it is in."""
        return self._fs

    def __str__(self) -> str:
        return self._drupe_path

    def __repr__(self) -> str:
        return f"<drupe.Path {self._fs.label}:{self._drupe_path}>"

    def __hash__(self) -> int:
        return hash((id(self._fs), self._drupe_path))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Path):
            return NotImplemented
        return self._fs is other._fs and self._drupe_path == other._drupe_path

    def __lt__(self, other: Path) -> bool:
        return self._pure < other._pure

    def __le__(self, other: Path) -> bool:
        return self._pure <= other._pure

    def __gt__(self, other: Path) -> bool:
        return self._pure > other._pure

    def __ge__(self, other: Path) -> bool:
        return self._pure >= other._pure

    def __truediv__(self, part: Any) -> Path:
        return self._new(self, part)

    def joinpath(self, *parts: Any) -> Path:
        """The path with more behind it."""
        return self._new(self, *parts)

    @property
    def parts(self) -> tuple[str, ...]:
        """The names that it consists of."""
        return self._pure.parts

    @property
    def name(self) -> str:
        """Its last name."""
        return self._pure.name

    @property
    def stem(self) -> str:
        """Its last name without suffix."""
        return self._pure.stem

    @property
    def suffix(self) -> str:
        """The suffix of its last name."""
        return self._pure.suffix

    @property
    def suffixes(self) -> list[str]:
        """All suffixes of its last name."""
        return self._pure.suffixes

    @property
    def parent(self) -> Path:
        """The directory that it is in."""
        return self._new(self._pure.parent)

    @property
    def parents(self) -> Sequence[Path]:
        """All directories above it."""
        return [self._new(parent) for parent in self._pure.parents]

    @property
    def root(self) -> str:
        """"/"."""
        return "/"

    anchor = root

    def as_posix(self) -> str:
        """As text."""
        return self._drupe_path

    def is_absolute(self) -> bool:
        """It always is."""
        return True

    def absolute(self) -> Path:
        """Itself."""
        return self

    def match(self, pattern: str) -> bool:
        """Whether a pattern matches its end."""
        return self._pure.match(pattern)

    def relative_to(self, other: Any) -> PurePosixPath:
        """What is behind a directory that it is in."""
        return self._pure.relative_to(text_of(other))

    def is_relative_to(self, other: Any) -> bool:
        """Whether it is in a directory, or is it."""
        return self._pure.is_relative_to(text_of(other))

    def with_name(self, name: str) -> Path:
        """The path with another last name."""
        return self._new(self._pure.with_name(name))

    def with_stem(self, stem: str) -> Path:
        """The path with another last name, the suffix kept."""
        return self._new(self._pure.with_stem(stem))

    def with_suffix(self, suffix: str) -> Path:
        """The path with another suffix."""
        return self._new(self._pure.with_suffix(suffix))

    # What it leads to

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        """What is known of it."""
        return self._fs.stat(self, follow_symlinks=follow_symlinks)

    def lstat(self) -> os.stat_result:
        """The same of a symbolic link itself."""
        return self._fs.lstat(self)

    def exists(self, *, follow_symlinks: bool = True) -> bool:
        """Whether there is such a file."""
        return self._fs.exists(self, follow_symlinks=follow_symlinks)

    def _is(self, kind: int, follow: bool = True) -> bool:
        return self._fs._native.kind(self, follow) == kind

    def is_file(self) -> bool:
        """Whether it is a regular file."""
        return self._is(stat_module.S_IFREG)

    def is_dir(self) -> bool:
        """Whether it is a directory."""
        return self._is(stat_module.S_IFDIR)

    def is_symlink(self) -> bool:
        """Whether it is a symbolic link."""
        return self._is(stat_module.S_IFLNK, follow=False)

    def is_fifo(self) -> bool:
        """Whether it is a FIFO."""
        return self._is(stat_module.S_IFIFO)

    def is_socket(self) -> bool:
        """Whether it is a socket."""
        return self._is(stat_module.S_IFSOCK)

    def is_block_device(self) -> bool:
        """Whether it is a block device."""
        return self._is(stat_module.S_IFBLK)

    def is_char_device(self) -> bool:
        """Whether it is a character device."""
        return self._is(stat_module.S_IFCHR)

    def samefile(self, other: Any) -> bool:
        """Whether two paths lead to the same file."""
        one, two = self.stat(), self._new(other).stat()
        return (one.st_dev, one.st_ino) == (two.st_dev, two.st_ino)

    def owner(self) -> str:
        """The name of its owner, by the image's own ``/etc/passwd``."""
        return self._known(self.stat().st_uid, "/etc/passwd")

    def group(self) -> str:
        """The name of its group, by the image's own ``/etc/group``."""
        return self._known(self.stat().st_gid, "/etc/group")

    def _known(self, number: int, database: str) -> str:
        for line in self._fs.read_text(database, errors="surrogateescape").splitlines():
            fields = line.split(":")
            if len(fields) > 2 and fields[2] == str(number):
                return fields[0]
        raise KeyError(f"{database} has no number {number}")

    def readlink(self) -> PurePosixPath:
        """Where a symbolic link leads to."""
        return PurePosixPath(self._fs.readlink(self))

    def resolve(self, strict: bool = False) -> Path:
        """The path without symbolic links, ``.`` and ``..``."""
        try:
            return self._new(self._fs.realpath(self))
        except FileNotFoundError:
            if strict or self._pure.parent == self._pure:
                raise
            return self.parent.resolve() / self.name

    def iterdir(self) -> Iterator[Path]:
        """What is in a directory."""
        for name in self._fs.listdir(self):
            yield self / name

    def glob(self, pattern: str) -> Iterator[Path]:
        """What a pattern matches below it."""
        for path in _glob.select(self._fs, self._drupe_path, pattern, True):
            yield self._new(path)

    def rglob(self, pattern: str) -> Iterator[Path]:
        """What a pattern matches in any directory below it."""
        return self.glob(f"**/{pattern}")

    def walk(
        self,
        top_down: bool = True,
        on_error: Callable[[OSError], object] | None = None,
        follow_symlinks: bool = False,
    ) -> Iterator[tuple[Path, list[str], list[str]]]:
        """Directories with what is in them."""
        for base, dirs, files in self._fs.walk(self, top_down, on_error, follow_symlinks):
            yield self._new(base), dirs, files

    # What is done to it

    def open(
        self,
        mode: str = "r",
        buffering: int = -1,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
    ) -> Any:
        """Opens it."""
        return self._fs.open(self, mode, buffering, encoding, errors, newline)

    def read_bytes(self) -> bytes:
        """Its contents."""
        return self._fs.read_bytes(self)

    def read_text(self, encoding: str = "utf-8", errors: str | None = None) -> str:
        """Its contents, as text."""
        return self._fs.read_text(self, encoding, errors)

    def write_bytes(self, data: Any) -> int:
        """Makes or replaces its contents."""
        return self._fs.write_bytes(self, data)

    def write_text(
        self,
        data: str,
        encoding: str = "utf-8",
        errors: str | None = None,
        newline: str | None = None,
    ) -> int:
        """Makes or replaces its contents, as text."""
        return self._fs.write_text(self, data, encoding, errors, newline)

    def touch(self, mode: int = 0o644, exist_ok: bool = True) -> None:
        """Makes it, or sets its times to now."""
        self._fs.touch(self, mode, exist_ok)

    def mkdir(self, mode: int = 0o755, parents: bool = False, exist_ok: bool = False) -> None:
        """Makes a directory."""
        try:
            self._fs.mkdir(self, mode)
        except FileNotFoundError:
            if not parents or self._pure.parent == self._pure:
                raise
            self.parent.mkdir(parents=True, exist_ok=True)
            self.mkdir(mode, exist_ok=exist_ok)
        except FileExistsError:
            if not exist_ok or not self.is_dir():
                raise

    def unlink(self, missing_ok: bool = False) -> None:
        """Removes it."""
        try:
            self._fs.unlink(self)
        except FileNotFoundError:
            if not missing_ok:
                raise

    def rmdir(self) -> None:
        """Removes an empty directory."""
        self._fs.rmdir(self)

    def rename(self, target: Any) -> Path:
        """Renames it; the new path is returned."""
        new = self._new(target)
        self._fs.rename(self, new)
        return new

    replace = rename

    def symlink_to(self, target: Any, target_is_directory: bool = False) -> None:
        """Makes it a symbolic link to ``target``."""
        self._fs.symlink(text_of(target), self)

    def hardlink_to(self, target: Any) -> None:
        """Makes it a hard link to ``target``."""
        self._fs.link(target, self)

    def chmod(self, mode: int) -> None:
        """Sets its permissions."""
        self._fs.chmod(self, mode)

    def chown(self, uid: int = -1, gid: int = -1) -> None:
        """Sets its owner and group."""
        self._fs.chown(self, uid, gid)
