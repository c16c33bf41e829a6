"""Deflate and its checksums, as fast as this machine can; the one importer of ISA-L.

Over 43 photos' cut-outs, rows less the one above, ISA-L packs 4.5 times as fast as zlib's level 1, and 3 % smaller;
zlib-ng's level 2 is as small at a third of that speed, its level 1 a third larger. From level 3 on zlib gives what
ISA-L has not: smaller files for more time. Either gives the same bytes for the same pieces; ISA-L chooses its code by
the processor, so that another machine may give others of the same meaning.
"""

from __future__ import annotations

import zlib
from typing import Protocol, cast

from isal import isal_zlib

__all__ = ["Packer", "Unpacker", "crc32", "packed", "packer"]

_FAST_LEVELS = range(1, 3)
"""These are ISA-L's own: its third is slower than its second, and no smaller."""

_FIRST_BYTES = 289
"""What ISA-L has to be handed alone first, or the stream depends on where in memory its packer lies.

ISA-L 2.32 on x86 takes the first byte apart (`.write_first_byte` in igzip_icf_body_h1_gr_bt.asm) and then, for what
begins at the third, a register for its hash that holds the address of its own state. At one address of thousands that
is the hash of something else that matters, and a match is found or missed: a valid stream still, some bytes longer or
shorter. It looks 288 bytes ahead: of one more it packs the first only, and with the next piece makes all hashes anew.
Fewer than that it packs at the end, all under one hash. Time and size stay what they were.
"""

_MOST_LEVEL, _MOST_MEMORY = 9, 9
_BROKEN = cast("type[Exception]", isal_zlib.error)  # its stubs call it an instance


class Packer(Protocol):
    """Packs a stream piece by piece."""

    def compress(self, body: bytes | memoryview, /) -> bytes:
        """Take a piece and give what is ready."""

    def flush(self) -> bytes:
        """Give the rest."""


def packer(level: int) -> Packer:
    """Give what packs a zlib stream at a level: 0 not at all, 9 as small as it gets.

    Level 3 is zlib's fourth, and so on: its third is of the size of ISA-L's second and takes 7 times as long.
    """
    if level in _FAST_LEVELS:
        return _Fast(level)
    return zlib.compressobj(min(_MOST_LEVEL, level + 1) if level else 0, zlib.DEFLATED, zlib.MAX_WBITS, _MOST_MEMORY)


class _Fast:
    """ISA-L's, handed its first bytes alone."""

    def __init__(self, level: int) -> None:
        self._inner = isal_zlib.compressobj(level)
        self._first, self._begun = bytearray(), False

    def compress(self, body: bytes | memoryview, /) -> bytes:
        """Take a piece and give what is ready."""
        if self._begun:
            return self._inner.compress(body)
        view, missing = memoryview(body), _FIRST_BYTES - len(self._first)
        if view.nbytes < missing:
            self._first += view
            return b""
        flat = view.cast("B")
        self._first += flat[:missing]
        self._begun = True
        return self._inner.compress(self._first) + self._inner.compress(flat[missing:])

    def flush(self) -> bytes:
        """Give the rest."""
        short = b"" if self._begun else self._inner.compress(self._first)
        return short + self._inner.flush()


def packed(body: bytes | memoryview, level: int) -> bytes:
    """Give the zlib stream of all there is, at a level as of `packer`."""
    made = packer(level)
    return made.compress(body) + made.flush()


class Unpacker:
    """Unpacks a zlib stream of so many bytes, piece by piece, in half the time that zlib takes.

    Raises ValueError where it is damaged, its checksum does not match or it holds another number of bytes.
    """

    def __init__(self, length: int) -> None:
        self._missing = length
        self._inner = isal_zlib.decompressobj()

    def take(self, packed: bytes) -> bytes:
        """Give what a piece unpacks to."""
        try:
            found = self._inner.decompress(packed, self._missing + 1)
        except _BROKEN as error:
            raise ValueError(str(error)) from error
        self._missing -= len(found)
        if self._missing < 0 or self._inner.unused_data:
            message = "it unpacks to more than it should"
            raise ValueError(message)
        return found

    def end(self) -> None:
        """Hold that all of it was taken."""
        if self._missing or not self._inner.eof:
            message = "it unpacks to less than it should"
            raise ValueError(message)


def crc32(body: bytes | memoryview, value: int = 0) -> int:
    """Give the checksum of PNG's chunks, going on from `value`; zlib's takes five times as long."""
    return isal_zlib.crc32(body, value)
