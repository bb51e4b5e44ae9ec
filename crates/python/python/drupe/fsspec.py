"""A filesystem of fsspec's: ``drupe://disk.img@1:/etc/os-release``.

fsspec, and so pandas, Dask, PyArrow and others, finds it by its protocol when both are
installed::

    import fsspec

    with fsspec.open("drupe://disk.img@1:/etc/os-release", "rt") as file:
        print(file.read())
"""

from __future__ import annotations

import datetime
import errno
import io
import os
import shutil
import stat
import threading
import uuid
from typing import Any

from fsspec import AbstractFileSystem  # type: ignore[import-untyped]
from fsspec.utils import isfilelike, stringify_path  # type: ignore[import-untyped]

from . import FileSystem, Location
from . import open as open_image

_PREFIX = "drupe://"


class DrupeFileSystem(AbstractFileSystem):  # type: ignore[misc]
    """A filesystem in an image, for fsspec.

    ``image`` and ``partition``, and what else ``drupe.open`` takes, are those of
    ``drupe.open``; ``image_mode`` is its ``mode``: "r" by default, so "r+" must be given
    to write. ``auto_mkdir`` makes directories that are missing when a file is written.

    The image is opened when it is first needed, and stays so until ``close`` or the end
    of the program. In another process, a copy of it opens the image anew.
    """

    protocol = "drupe"
    root_marker = "/"

    def __init__(
        self,
        image: Any,
        partition: int | str | None = None,
        *,
        image_mode: str = "r",
        auto_mkdir: bool = True,
        fstype: str | None = None,
        mount_options: str = "",
        image_format: str | None = None,
        backing: bool = False,
        image_block_size: int | None = None,
        passphrase: Any = None,
        extra: tuple[Any, ...] = (),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.image = image
        self.partition = partition
        self.auto_mkdir = auto_mkdir
        self._how = {
            "mode": image_mode,
            "fstype": fstype,
            "options": mount_options,
            "format": image_format,
            "backing": backing,
            "block_size": image_block_size,
            "passphrase": passphrase,
            "extra": extra,
        }
        self._one = threading.Lock()
        self._mounted: FileSystem | None = None
        self._pid = 0

    @property
    def drupe(self) -> FileSystem:
        """The ``drupe.FileSystem`` below."""
        with self._one:
            if self._mounted is None or self._mounted.closed or self._pid != os.getpid():
                self._mounted = open_image(self.image, self.partition, **self._how)
                self._pid = os.getpid()
            return self._mounted

    def close(self) -> None:
        """Unmounts it, and raises what could not be written. The next use opens it again."""
        with self._one:
            if self._mounted is not None and self._pid == os.getpid():
                self._mounted.close()
            self._mounted = None

    @property
    def fsid(self) -> str:
        """What tells it from others."""
        return f"drupe_{self.image}@{self.partition}"

    # Names

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        if isinstance(path, (list, tuple)):
            return [cls._strip_protocol(each) for each in path]
        text = stringify_path(path)
        if text.startswith(_PREFIX):
            text = Location.parse(text[len(_PREFIX) :]).path
        text = text.rstrip("/")
        return text if text.startswith("/") else f"/{text}"

    @staticmethod
    def _get_kwargs_from_urls(path: str) -> dict[str, Any]:
        if not path.startswith(_PREFIX):
            return {}
        image, partition, _ = Location.parse(path[len(_PREFIX) :])
        return {"image": image} if partition is None else {"image": image, "partition": partition}

    def unstrip_protocol(self, name: str) -> str:
        """The path with the image in front of it."""
        part = "" if self.partition is None else f"@{self.partition}"
        path: str = self._strip_protocol(name)
        return f"{_PREFIX}{self.image}{part}:{path}"

    @classmethod
    def _parent(cls, path: str) -> str:
        text: str = cls._strip_protocol(path)
        return text.rsplit("/", 1)[0] or "/"

    def _for_writing(self, path: Any) -> str:
        text: str = self._strip_protocol(path)
        if self.auto_mkdir:
            self.drupe.makedirs(self._parent(text))
        return text

    # What is known

    def _described(self, path: str, found: os.stat_result) -> dict[str, Any]:
        info: dict[str, Any] = {"name": path, "islink": stat.S_ISLNK(found.st_mode)}
        if info["islink"]:
            info["destination"] = self.drupe.readlink(path)
            try:
                found = self.drupe.stat(path)
            except OSError:
                # It leads nowhere.
                pass
        kind = "other"
        if stat.S_ISDIR(found.st_mode):
            kind = "directory"
        elif stat.S_ISREG(found.st_mode):
            kind = "file"
        return info | {
            "type": kind,
            "size": found.st_size,
            "created": self.drupe.birth_time(path) or found.st_ctime,
            "mtime": found.st_mtime,
            "mode": found.st_mode,
            "uid": found.st_uid,
            "gid": found.st_gid,
            "ino": found.st_ino,
            "nlink": found.st_nlink,
        }

    def info(self, path: Any, **kwargs: Any) -> dict[str, Any]:
        """What is known of a file."""
        path = self._strip_protocol(path)
        return self._described(path, self.drupe.lstat(path))

    def ls(self, path: Any, detail: bool = True, **kwargs: Any) -> list[Any]:
        """What is in a directory; of a file, that."""
        path = self._strip_protocol(path)
        fs = self.drupe
        if not fs.is_dir(path):
            return [self.info(path)] if detail else [self.info(path)["name"]]
        entries = list(fs.scandir(path))
        if not detail:
            return [entry.path for entry in entries]
        infos = []
        for entry in entries:
            try:
                infos.append(self._described(entry.path, entry.stat(follow_symlinks=False)))
            except FileNotFoundError:
                # Gone since.
                pass
        return infos

    def exists(self, path: Any, **kwargs: Any) -> bool:
        """Whether there is such a file."""
        return self.drupe.exists(self._strip_protocol(path))

    def lexists(self, path: Any, **kwargs: Any) -> bool:
        """Whether there is such a file, or a link to nowhere."""
        return self.drupe.lexists(self._strip_protocol(path))

    def isfile(self, path: Any) -> bool:
        """Whether it is a regular file."""
        return self.drupe.is_file(self._strip_protocol(path))

    def isdir(self, path: Any) -> bool:
        """Whether it is a directory."""
        return self.drupe.is_dir(self._strip_protocol(path))

    def created(self, path: Any) -> datetime.datetime:
        """When it was made."""
        return datetime.datetime.fromtimestamp(self.info(path)["created"], datetime.timezone.utc)

    def modified(self, path: Any) -> datetime.datetime:
        """When it was last changed."""
        return datetime.datetime.fromtimestamp(self.info(path)["mtime"], datetime.timezone.utc)

    # Contents

    def _open(
        self,
        path: str,
        mode: str = "rb",
        block_size: Any = None,
        autocommit: bool = True,
        cache_options: Any = None,
        **kwargs: Any,
    ) -> Any:
        if "r" in mode and "+" not in mode:
            file = self.drupe.open(self._strip_protocol(path), mode)
            # What reads a part of it, from its end for example, asks for this.
            file.size = file.raw.stat().st_size
            return file
        path = self._for_writing(path)
        if autocommit or "w" not in mode:
            return self.drupe.open(path, mode)
        return _Pending(self.drupe, path, mode)

    def cat_file(
        self, path: Any, start: int | None = None, end: int | None = None, **kwargs: Any
    ) -> bytes:
        """The contents of a file, or a part of them."""
        path = self._strip_protocol(path)
        if start is None and end is None:
            return self.drupe.read_bytes(path)
        part: bytes = super().cat_file(path, start, end)
        return part

    def pipe_file(self, path: Any, value: Any, mode: str = "overwrite", **kwargs: Any) -> None:
        """Makes the contents of a file."""
        path = self._for_writing(path)
        if mode == "create":
            with self.drupe.open(path, "xb") as file:
                file.write(value)
        else:
            self.drupe.write_bytes(path, value)

    def get_file(self, rpath: Any, lpath: Any, callback: Any = None, **kwargs: Any) -> None:
        """Copies a file, or makes a directory, on the host."""
        rpath = self._strip_protocol(rpath)
        if isfilelike(lpath):
            with self.drupe.open(rpath, "rb") as file:
                shutil.copyfileobj(file, lpath, 1 << 20)
        elif self.drupe.is_dir(rpath):
            os.makedirs(lpath, exist_ok=True)
        else:
            os.makedirs(os.path.dirname(lpath) or ".", exist_ok=True)
            with self.drupe.open(rpath, "rb") as file, open(lpath, "wb") as target:
                shutil.copyfileobj(file, target, 1 << 20)

    def put_file(
        self, lpath: Any, rpath: Any, callback: Any = None, mode: str = "overwrite", **kwargs: Any
    ) -> None:
        """Copies a file of the host's, or makes a directory."""
        if os.path.isdir(lpath):
            self.makedirs(rpath, exist_ok=True)
            return
        rpath = self._for_writing(rpath)
        how = "xb" if mode == "create" else "wb"
        with open(lpath, "rb") as source, self.drupe.open(rpath, how) as file:
            shutil.copyfileobj(source, file, 1 << 20)

    def cp_file(self, path1: Any, path2: Any, **kwargs: Any) -> None:
        """Copies a file, or makes a directory."""
        path1 = self._strip_protocol(path1)
        if self.drupe.is_dir(path1):
            self.makedirs(path2, exist_ok=True)
            return
        path2 = self._for_writing(path2)
        if self.drupe.is_dir(path2):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path2)
        self.drupe.copy(path1, path2, archive=False)

    def touch(self, path: Any, truncate: bool = True, **kwargs: Any) -> None:
        """Makes a file, or sets its times to now; ``truncate`` empties it."""
        path = self._for_writing(path)
        self.drupe.touch(path)
        if truncate:
            self.drupe.truncate(path, 0)

    # Names

    def mkdir(self, path: Any, create_parents: bool = True, **kwargs: Any) -> None:
        """Makes a directory."""
        path = self._strip_protocol(path)
        if self.drupe.lexists(path):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path)
        (self.drupe.makedirs if create_parents else self.drupe.mkdir)(path)

    def makedirs(self, path: Any, exist_ok: bool = False) -> None:
        """Makes a directory and those above it."""
        self.drupe.makedirs(self._strip_protocol(path), exist_ok)

    def rmdir(self, path: Any) -> None:
        """Removes an empty directory."""
        self.drupe.rmdir(self._strip_protocol(path))

    def rm_file(self, path: Any) -> None:
        """Removes a file."""
        self.drupe.unlink(self._strip_protocol(path))

    def _rm(self, path: Any) -> None:
        self.rm_file(path)

    def rm(self, path: Any, recursive: bool = False, maxdepth: int | None = None) -> None:
        """Removes files, and directories if ``recursive``."""
        for each in path if isinstance(path, list) else [path]:
            each = self._strip_protocol(each)
            if not self.drupe.is_dir(each) or self.drupe.is_symlink(each):
                self.drupe.unlink(each)
            elif recursive:
                self.drupe.rmtree(each)
            else:
                raise ValueError("Cannot delete directory, set recursive=True")

    def mv(self, path1: Any, path2: Any, recursive: bool = True, **kwargs: Any) -> None:
        """Renames a file or a directory; into a directory that is there."""
        path1 = self._strip_protocol(path1)
        path2 = self._for_writing(path2)
        if self.drupe.is_dir(path2):
            path2 = f"{path2.rstrip('/')}/{path1.rsplit('/', 1)[-1]}"
        self.drupe.rename(path1, path2)

    def link(self, src: Any, dst: Any) -> None:
        """Makes a hard link."""
        self.drupe.link(self._strip_protocol(src), self._strip_protocol(dst))

    def symlink(self, src: Any, dst: Any) -> None:
        """Makes a symbolic link."""
        self.drupe.symlink(stringify_path(src), self._strip_protocol(dst))

    def islink(self, path: Any) -> bool:
        """Whether it is a symbolic link."""
        return self.drupe.is_symlink(self._strip_protocol(path))

    def chmod(self, path: Any, mode: int) -> None:
        """Sets permissions."""
        self.drupe.chmod(self._strip_protocol(path), mode)


class _Pending(io.BufferedWriter):
    """A file that is written in a transaction: it gets its name when that is over."""

    def __init__(self, fs: FileSystem, path: str, mode: str) -> None:
        self._fs = fs
        self._path = path
        self._temporary = f"{path}.{uuid.uuid4().hex[:8]}"
        super().__init__(fs.open(self._temporary, mode, 0))

    def commit(self) -> None:
        """Gives it its name."""
        self.close()
        self._fs.rename(self._temporary, self._path)

    def discard(self) -> None:
        """Removes it."""
        self.close()
        self._fs.unlink(self._temporary)
