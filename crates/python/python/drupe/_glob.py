"""Walks and patterns."""

from __future__ import annotations

import fnmatch
import re
import stat
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._filesystem import FileSystem

_MAGIC = re.compile(r"[*?[]")


def walk(
    fs: FileSystem,
    top: str,
    topdown: bool,
    onerror: Callable[[OSError], object] | None,
    followlinks: bool,
) -> Iterator[tuple[str, list[str], list[str]]]:
    """As ``os.walk``, without recursion: trees may be deeper than Python's stack."""
    stack: list[str | tuple[str, list[str], list[str]]] = [top]
    while stack:
        item = stack.pop()
        if isinstance(item, tuple):
            yield item
            continue
        dirs: list[str] = []
        files: list[str] = []
        links: set[str] = set()
        base = item.rstrip("/")
        try:
            for name, kind, _ in fs._native.scan(item):
                if kind == stat.S_IFLNK:
                    # A link to a directory is among the directories, as in os.walk.
                    links.add(name)
                    kind = fs._native.kind(f"{base}/{name}", True) or kind
                (dirs if kind == stat.S_IFDIR else files).append(name)
        except OSError as error:
            if onerror is not None:
                onerror(error)
            continue
        if topdown:
            yield item, dirs, files
        else:
            stack.append((item, dirs, files))
        for name in reversed(dirs):
            if followlinks or name not in links:
                stack.append(f"{base}/{name}")


def _matcher(part: str, hidden: bool) -> Callable[[str], bool]:
    match = re.compile(fnmatch.translate(part)).match
    if hidden or part.startswith("."):
        return lambda name: match(name) is not None
    return lambda name: not name.startswith(".") and match(name) is not None


def _scan(fs: FileSystem, directory: str) -> list[tuple[str, int, int]]:
    try:
        return sorted(fs._native.scan(directory or "/"))
    except (FileNotFoundError, NotADirectoryError):
        return []


def select(fs: FileSystem, base: str, pattern: str, hidden: bool) -> Iterator[str]:
    """The paths below ``base`` that a pattern matches, each once."""
    parts = [part for part in pattern.split("/") if part]
    seen: set[str] = set()
    for path in _select(fs, base.rstrip("/"), parts, hidden):
        if path not in seen:
            seen.add(path)
            if not pattern.endswith("/"):
                yield path
            elif fs.is_dir(path):
                yield path


def _select(fs: FileSystem, base: str, parts: list[str], hidden: bool) -> Iterator[str]:
    if not parts:
        yield base or "/"
        return
    part, rest = parts[0], parts[1:]
    if part == "**":
        yield from _select(fs, base, rest, hidden)
        for name, kind, _ in _scan(fs, base):
            if name.startswith(".") and not hidden:
                continue
            path = f"{base}/{name}"
            if kind == stat.S_IFDIR:
                yield from _select(fs, path, parts, hidden)
            elif not rest:
                yield path
    elif _MAGIC.search(part):
        matches = _matcher(part, hidden)
        for name, kind, _ in _scan(fs, base):
            if matches(name):
                path = f"{base}/{name}"
                if not rest:
                    yield path
                elif kind == stat.S_IFDIR or (kind == stat.S_IFLNK and fs.is_dir(path)):
                    yield from _select(fs, path, rest, hidden)
    else:
        path = f"{base}/{part}"
        if rest or fs.lexists(path):
            yield from _select(fs, path, rest, hidden)
