"""The chunks of a PNG: whether they are whole, and the few that matter.

Only what draws the picture reaches the decoder. Text chunks may hold megabytes (prompts, workflows, bombs), their
keys would mix with the decoder's own facts, and a damaged one would fail a good picture.
Source: PNG specification (third edition), 5 and 11.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from bgrd.errors import IncompleteFault, InputFault
from bgrd.imaging.complete import has_gap

__all__ = ["Lean", "lean"]

_DRAWN = frozenset({b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS"})
_KEPT = _DRAWN | {b"pHYs", b"eXIf"}
_MOST_PROFILE_BYTES = 4 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Lean:
    """A PNG reduced to what is needed: `data` to decode, where the first image ended, the profile, bits per sample."""

    data: bytes
    end: int
    icc: bytes | None
    bits: int
    size: tuple[int, int]
    animated: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Chunk:
    name: bytes
    start: int
    end: int
    whole: bool


def lean(data: bytes) -> Lean:
    """Check every chunk up to IEND and drop what draws nothing.

    Raises IncompleteFault where the file ends before IEND or zeros stand for a part of it, InputFault on other damage.
    """
    kept: list[_Chunk] = []
    dropped: list[_Chunk] = []
    for chunk in _chunks(data):
        if not chunk.whole and chunk.name in _DRAWN:
            raise _damaged(data, "a checksum does not match")
        (kept if chunk.name in _KEPT and chunk.whole else dropped).append(chunk)
    head = data[kept[0].start + 8 :] if kept[0].name == b"IHDR" and kept[0].end - kept[0].start == 25 else b""
    if not head:
        raise _damaged(data, "it does not begin with its header")
    view = memoryview(data)
    slim = b"".join([view[:8], *(view[chunk.start : chunk.end] for chunk in kept)]) if dropped else data
    return Lean(
        data=slim,
        end=kept[-1].end,
        icc=next((_profile(data[c.start + 8 : c.end - 4]) for c in dropped if c.name == b"iCCP" and c.whole), None),
        bits=head[8],
        size=(int.from_bytes(head[:4], "big"), int.from_bytes(head[4:8], "big")),
        animated=any(chunk.name == b"acTL" for chunk in dropped),
    )


def _chunks(data: bytes) -> Iterator[_Chunk]:
    """Yield every chunk up to and with IEND."""
    view = memoryview(data)
    position = 8
    while position + 12 <= len(data):
        length, name = int.from_bytes(data[position : position + 4], "big"), data[position + 4 : position + 8]
        end = position + 12 + length
        if not name.isalpha():
            raise _damaged(data, "its parts do not follow each other")
        if end > len(data):
            break
        whole = zlib.crc32(view[position + 4 : end - 4]) == int.from_bytes(data[end - 4 : end], "big")
        yield _Chunk(name=name, start=position, end=end, whole=whole)
        if name == b"IEND":
            return
        position = end
    message = "The PNG file ends before the picture does; it is truncated or still being written."
    raise IncompleteFault(message)


def _damaged(data: bytes, what: str) -> IncompleteFault | InputFault:
    if has_gap(data):
        return IncompleteFault("The PNG file has holes of zeros; parts of it have not arrived yet.")
    return InputFault(f"The PNG file is damaged: {what}.")


def _profile(body: bytes) -> bytes | None:
    """Unpack an iCCP chunk; None where it is damaged or larger than any profile is."""
    _name, _zero, packed = body.partition(b"\0")
    unpacker = zlib.decompressobj()
    try:
        profile = unpacker.decompress(packed[1:], _MOST_PROFILE_BYTES)
    except zlib.error:
        return None
    return profile if unpacker.eof else None
