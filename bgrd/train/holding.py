"""What lies in a folder or a zip file: names that can be trusted, and bytes with a limit. Nothing is unpacked to disk.

Links, special files, names that lead elsewhere and members that would be too large are named with a reason and never
read. An archive may say what it likes of a member's size: no more than the limit is ever unpacked of it.
"""

from __future__ import annotations

import lzma
import os
import stat
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bgrd.delivery.beneath import open_regular, opened_directory, split
from bgrd.errors import NoInputError, TrainingError
from bgrd.escape import line
from bgrd.intake.ignore import classify, ignored

__all__ = ["MOST_BYTES", "Holding", "Member", "UnreadableError", "opened"]

MOST_BYTES = 256 * 2**20
"""The largest file that is read, as an inbox's default."""

_MOST_MEMBERS = 500_000
_ENCRYPTED = 1
_BROKEN = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError, RuntimeError, ValueError)
"""What unpacking raises: NotImplementedError, of an unknown compression, is a RuntimeError."""

_LINK = "is a link, and links are not followed"
_SPECIAL = "is no regular file"
_OUTSIDE = "has a name that leads out of the archive"
_LARGE = f"is larger than {MOST_BYTES // 2**20} MiB"


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A file by its name below the top, `/` between directories; `trouble` says why it is not read, "" if it may be."""

    name: str
    trouble: str = ""


class UnreadableError(Exception):
    """A member cannot be read; the message is the rest of a sentence that begins with it."""


class Holding(Protocol):
    """A folder or an archive. Threads may read at once."""

    def members(self) -> list[Member]:
        """Give what may be a picture, sorted by name; hidden files and those that are surely none are left out."""
        ...

    def read(self, name: str) -> bytes:
        """Give a member's bytes, at most MOST_BYTES. Raises UnreadableError."""
        ...


@contextmanager
def opened(path: Path) -> Iterator[Holding]:
    """Open a folder or a zip file. Raises NoInputError, or TrainingError where it is no zip file or one too full."""
    if path.is_dir():
        yield _Folder(path)
        return
    try:
        archive = zipfile.ZipFile(path)
    except OSError as error:
        message = f"{path} cannot be read: {os.strerror(error.errno or 0)}"
        raise NoInputError(message) from error
    except _BROKEN as error:
        message = f"{path} is neither a folder nor a zip file"
        raise TrainingError(message) from error
    with archive:
        if len(archive.infolist()) > _MOST_MEMBERS:
            message = f"{path} has {len(archive.infolist())} members; {_MOST_MEMBERS} are the most"
            raise TrainingError(message)
        yield _Archive(archive)


class _Folder:
    """A folder, walked to its end, without following links."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def members(self) -> list[Member]:
        found: list[Member] = []
        try:
            self._walk("", found)
        except OSError as error:
            message = f"{error.filename or self._root} cannot be read: {os.strerror(error.errno or 0)}"
            raise NoInputError(message) from error
        return sorted(found, key=lambda member: member.name)

    def _walk(self, below: str, found: list[Member]) -> None:
        with os.scandir(self._root / below) as entries:
            for entry in entries:
                name = f"{below}/{entry.name}" if below else entry.name
                if ignored(os.fsencode(entry.name), sync_conflicts=False):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    self._walk(name, found)
                elif classify(os.fsencode(entry.name)) != "other":
                    found.append(Member(name=name, trouble=_trouble(entry.stat(follow_symlinks=False))))

    def read(self, name: str) -> bytes:
        parent, last = split(os.fsencode(name))
        try:
            with opened_directory(self._root, parent) as directory:
                descriptor = open_regular(last, directory=directory)
            if descriptor is None:
                raise UnreadableError(_SPECIAL)
            with os.fdopen(descriptor, "rb") as stream:
                return _limited(stream.read(MOST_BYTES + 1))
        except OSError as error:
            message = f"cannot be read: {os.strerror(error.errno or 0)}"
            raise UnreadableError(message) from error


def _trouble(found: os.stat_result) -> str:
    if stat.S_ISLNK(found.st_mode):
        return _LINK
    if not stat.S_ISREG(found.st_mode):
        return _SPECIAL
    return _LARGE if found.st_size > MOST_BYTES else ""


class _Archive:
    """A zip file; of two members of one name the first counts."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self._infos: dict[str, zipfile.ZipInfo] = {}

    def members(self) -> list[Member]:
        self._infos = {}
        found: list[Member] = []
        for info in self._archive.infolist():
            name = os.fsencode(info.filename)
            trouble = _zip_trouble(info)
            left_out = trouble != _OUTSIDE and ignored(name, sync_conflicts=False)  # `..` begins as hidden names do
            if info.is_dir() or left_out or classify(name) == "other":
                continue
            if info.filename in self._infos:
                trouble = "is there twice; the first was taken"
            else:
                self._infos[info.filename] = info
            found.append(Member(name=info.filename, trouble=trouble))
        return sorted(found, key=lambda member: (member.name, member.trouble))

    def read(self, name: str) -> bytes:
        try:
            with self._archive.open(self._infos[name]) as stream:
                return _limited(stream.read(MOST_BYTES + 1))
        except _BROKEN as error:
            message = f"cannot be unpacked: {line(str(error)) or 'it is damaged'}"
            raise UnreadableError(message) from error


def _zip_trouble(info: zipfile.ZipInfo) -> str:
    mode = info.external_attr >> 16
    try:
        split(os.fsencode(info.filename))
    except ValueError:
        return _OUTSIDE
    if stat.S_ISLNK(mode):
        return _LINK
    if stat.S_IFMT(mode) not in {0, stat.S_IFREG}:  # 0: made where there are no such modes
        return _SPECIAL
    if info.flag_bits & _ENCRYPTED:
        return "is encrypted"
    return _LARGE if info.file_size > MOST_BYTES else ""


def _limited(data: bytes) -> bytes:
    """Give the bytes. Raises UnreadableError where they are more than the limit."""
    if len(data) > MOST_BYTES:
        raise UnreadableError(_LARGE)
    return data
