"""Puts files on the shelf and takes them off: which name a file gets, what is written down of it, what goes with it."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from bgrd.errors import CannotCreateError, ModelFileError, NoInputError, UsageError
from bgrd.models import index
from bgrd.models.catalogue import BUILT_IN, ROWS
from bgrd.models.index import Entry
from bgrd.models.partial import Digest, Origin, Partial, digest, leftovers
from bgrd.models.store import variant_of

__all__ = ["checked_name", "copied", "file_name_for", "files_of", "readable", "record", "remove", "tidy"]

_BLOCK_BYTES = 1 << 16
_LONGEST_NAME = 64
_LONGEST_BYTES = 160
"""Of a file's name, so that what is hidden beside it while it comes still has one."""


def checked_name(name: str) -> str:
    """Give a name that somebody wants for a model, or raise UsageError where it could not be one.

    It has to stand in the configuration in one piece, and become a file's name. A colon divides model and variant.
    """
    fine = 1 <= len(name) <= _LONGEST_NAME and name.isprintable() and name == name.strip()
    if not fine or set(name) & set("/[]") or name.startswith("."):
        message = f"a model's name has 1 to 64 printable characters without / [ ] and no dot in front, not {name!r}"
        raise UsageError(message)
    if ":" in name and (name.count(":") > 1 or not all(name.split(":"))):
        message = f"a colon stands between a model's name and that of one variant, which {name!r} has not"
        raise UsageError(message)
    if name == BUILT_IN:
        message = f"{BUILT_IN} comes with bgrd and stays as it is: choose another name"
        raise UsageError(message)
    return name


def file_name_for(name: str, entries: Mapping[str, Entry], *, beside: str | None = None) -> str:
    """Give the name under which a model's file is kept: the catalogue's, or one that no other model's has.

    `beside` is the file's own name where it has weights in other files: they find each other in a directory by that,
    which is never the one of the files that are there now: those stay whole until the new ones are.
    """
    if name in entries and beside is None and not entries[name].external:
        return entries[name].file_name
    listed = variant_of(name)
    if listed is not None and beside is None:
        return listed[1].file_name
    others = (entry for entry in entries.values() if entry.name != name or (beside is not None and entry.external))
    taken = {entry.file_name.partition("/")[0] for entry in others}
    taken |= {variant.file_name for row in ROWS.values() for variant in row.variants}
    stem = name.replace(":", ".")
    if len(stem.encode()) > _LONGEST_BYTES or {stem, f"{stem}.onnx"} & taken:
        short = stem.encode()[:_LONGEST_BYTES].decode("utf-8", "ignore")
        stem = f"{short}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
    return f"{stem}.onnx" if beside is None else f"{stem}/{beside}"


def files_of(directory: Path, entry: Entry) -> list[Path]:
    """Give where an entry's files lie, the model's own first."""
    path = directory / entry.file_name
    return [path, *(path.parent / part for part in entry.external)]


def tidy(directory: Path, gone: Entry, *, kept: Entry | None = None) -> None:
    """Remove the files of an entry, but for those of the one that replaces it. Raises CannotCreateError."""
    staying = set() if kept is None else {*files_of(directory, kept)}
    path = directory / gone.file_name
    for one in files_of(directory, gone):
        if one not in staying:
            _removed(one)
    if gone.external:
        with suppress(OSError):
            path.parent.rmdir()


def copied(source: Path, target: Path, *, expected: Digest | None = None) -> Digest:
    """Copy a file onto the shelf, whole and durable, unless it lies there already; gives what it is.

    Raises NoInputError, CannotCreateError, and ModelFileError where it is not what was `expected`.
    """
    with readable(source):
        if target.exists() and target.samefile(source):
            return digest(target)
        with source.open("rb", buffering=0) as stream, Partial(target, resumable=False) as partial:
            partial.begin(Origin(url=str(source), validator=None))
            partial.room_for(os.fstat(stream.fileno()).st_size)
            while block := stream.read(_BLOCK_BYTES):
                partial.write(block)
            found = partial.digest()
            if expected is not None and found != expected:
                message = f"{source} changed while it was copied: run the same command again"
                raise ModelFileError(message)
            partial.install()
            return found


@contextmanager
def readable(file: Path) -> Iterator[None]:
    """Turn what the system says against reading a file into a sentence; a pipe or a device is none."""
    try:
        if not stat.S_ISREG(os.stat(file).st_mode):
            message = f"{file} is no file"
            raise NoInputError(message)
        yield
    except OSError as error:
        message = f"{file} cannot be read: {os.strerror(error.errno or 0)}"
        raise NoInputError(message) from error


def record(directory: Path, entry: Entry) -> None:
    """Write down what was installed. Raises CannotCreateError, ModelFault."""
    index.change(directory, lambda entries: entries.update({entry.name: entry}))


def remove(directory: Path, name: str) -> tuple[Path, ...]:
    """Take a model off the shelf, with what of it was still on its way; gives what went.

    Raises UsageError for the built-in one, NoInputError where it is not there, BusyError while it is being fetched,
    CannotCreateError where it cannot go.
    """
    if name == BUILT_IN:
        message = f"{BUILT_IN} comes with bgrd and cannot be removed"
        raise UsageError(message)
    entries, listed = index.read(directory), variant_of(name)
    entry = entries.get(name)
    found = files_of(directory, entry) if entry else [directory / listed[1].file_name] if listed else []
    # Where nobody knows the name a file that has it is somebody's own; what a killed `add` left is ours.
    coming = found or [directory / file_name_for(checked_name(name), entries)]
    begun = [part for one in coming for part in _forgotten(one)]
    gone = (*(one for one in found if _removed(one)), *begun)
    if entry is not None:
        # Last: a file without an entry would be a foreign one, an entry without a file says that it is gone.
        index.change(directory, lambda entries: entries.pop(name, None))
        if entry.external:
            with suppress(OSError):
                found[0].parent.rmdir()
    elif not gone:
        message = f"model {name} is not installed"
        raise NoInputError(message)
    return gone


def _forgotten(path: Path) -> list[Path]:
    """Remove what is on its way to a path, unless it still is; gives what went. Raises BusyError, CannotCreateError."""
    there = [one for one in leftovers(path) if one.exists()]
    if there:
        with Partial(path) as partial:
            partial.restart()
    return there


def _removed(path: Path) -> bool:
    try:
        path.unlink()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        message = f"{path} cannot be removed: {os.strerror(error.errno or 0)}"
        raise CannotCreateError(message) from error
    return True
