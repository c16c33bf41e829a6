"""Names of results, archived sources and hidden files: pure functions on path bytes, no file system asked."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator

from bgrd.product import Product, product_name

__all__ = ["candidates", "hidden_note", "hidden_probe", "hidden_result", "hidden_source", "noted", "numbered"]

_LONGEST_NAME = 255
"""Bytes a name may have on Linux (NAME_MAX)."""

_RESERVED = frozenset({b"_corrections", b"_failed"})
"""The directories at the top of an outbox that belong to corrected results and to failure notes."""


def candidates(path: bytes, product: Product, *, only: bool) -> Iterator[bytes]:
    """Give the names a result may take, best first and without end, all in the source's mirrored directory.

    `a/IMG_1.jpg` gives `a/IMG_1.png`, `a/IMG_1.jpg.png`, `a/IMG_1.jpg-2.png`, `a/IMG_1.jpg-3.png` ... A name over
    255 bytes is cut at a character boundary and told apart by 8 hex digits of the path's hash. What lies in a
    top-level source directory `_failed` (in any case) goes to `_failed_`, since `_failed` holds failure notes, and so
    for `_corrections`, which holds corrected results.
    """
    head, slash, name = path.rpartition(b"/")
    first, tail = product_name(product, only=only)
    stem, dot, _suffix = name.rpartition(b".")
    stem = stem if dot and stem else name
    plain = [(first + stem, tail), (first + name, tail)]
    counted = ((first + name, b"-%d%s" % (number, tail)) for number in itertools.count(2))
    last = b""
    for base, ending in itertools.chain(plain, counted):
        fitting = _fitted(base, ending, path=path)
        if fitting != last:
            yield _mirrored(head) + slash + fitting
        last = fitting


def numbered(path: bytes) -> Iterator[bytes]:
    """Give `x.jpg`, `x-2.jpg`, `x-3.jpg` ... without end for the last component of `path`, which is all it gives."""
    name = path.rpartition(b"/")[2]
    yield name
    stem, dot, suffix = name.rpartition(b".")
    if not stem:
        stem, dot, suffix = name, b"", b""
    for number in itertools.count(2):
        yield _fitted(stem, b"-%d%s%s" % (number, dot, suffix), path=path)


def noted(path: bytes) -> Iterator[bytes]:
    """Give `x.jpg.txt`, `x.jpg-2.txt` ... without end: the names a failure note of `path` may take in its directory."""
    name = path.rpartition(b"/")[2]
    yield _fitted(name, b".txt", path=path)
    for number in itertools.count(2):
        yield _fitted(name, b"-%d.txt" % number, path=path)


def hidden_note(path: bytes) -> bytes:
    """Name the hidden file in which the failure note of a path is written."""
    return b".bgrd-note-%s.tmp" % hashlib.sha256(path).hexdigest()[:16].encode()


def hidden_probe(thread: int) -> bytes:
    """Name the hidden file by which a thread, by its id in the system, tries a directory out.

    Folders that share an outbox may do so at once, each on its own thread, and `bgrd check` beside the daemon.
    """
    return b".bgrd-probe-%d.tmp" % thread


def hidden_result(job_id: int, index: int) -> bytes:
    """Name the hidden file in which product `index` of a job is written where unnamed files are missing."""
    return b".bgrd-%d-%d.tmp" % (job_id, index)


def hidden_source(job_id: int) -> bytes:
    """Name the hidden file a source becomes while a job's source policy is applied."""
    return b".bgrd-src-%d" % job_id


def _mirrored(directory: bytes) -> bytes:
    top, slash, rest = directory.partition(b"/")
    # Compared without case: an outbox on VFAT or SMB takes `_FAILED` for the same directory.
    return top + b"_" + slash + rest if top.lower() in _RESERVED else directory


def _fitted(base: bytes, ending: bytes, *, path: bytes) -> bytes:
    if len(base) + len(ending) <= _LONGEST_NAME:
        return base + ending
    mark = b"~" + hashlib.sha256(path).hexdigest()[:8].encode()
    room = _LONGEST_NAME - len(ending) - len(mark)
    if room < 1:
        # A "suffix" of hundreds of bytes is no suffix: cut the whole name instead.
        return _fitted(base + ending, b"", path=path)
    return base[: _boundary(base, room)] + mark + ending


def _boundary(name: bytes, room: int) -> int:
    """Give the longest cut up to `room` that splits no UTF-8 character; bytes that are no UTF-8 are cut anywhere."""
    for back in range(min(4, room)):
        if room - back >= len(name) or name[room - back] & 0xC0 != 0x80:
            return min(room - back, len(name))
    return room
