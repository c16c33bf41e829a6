"""The chunks of a PNG: whether they are whole, and the few that matter.

Only what draws the picture reaches the decoder. Text chunks may hold megabytes (prompts, workflows, bombs), their
keys would mix with the decoder's own facts, and a damaged one would fail a good picture.
Source: PNG specification (third edition), 5 and 11.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from bgrd.errors import IncompleteFault, InputFault
from bgrd.imaging.complete import has_gap
from bgrd.imaging.deflate import crc32

__all__ = ["Lean", "lacks_rows", "lean"]

_DRAWN = frozenset({b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS"})
_KEPT = _DRAWN | {b"pHYs", b"eXIf"}
_MOST_PROFILE_BYTES = 16 * 2**20
_MOST_CHUNKS = 250_000
"""Of a kilobyte each in the largest file; each costs its readers some microseconds, however few bytes it has."""

_STEP_BYTES = 2**20
_SLICE_BYTES = 64 * 1024
"""What a step leaves of its input is copied: given whole, a picture in one chunk would be copied with every step."""

_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
"""First column, first row, column step and row step of each pass."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lean:
    """A PNG reduced to what is needed: `data` to decode, where the first image ended, the profile, bits per sample.

    `spoiled` says that there is a profile which cannot be used.
    """

    data: bytes
    end: int
    icc: bytes | None
    bits: int
    size: tuple[int, int]
    animated: bool
    spoiled: bool


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
    view = memoryview(data)
    slim: bytearray | None = None
    profile: _Chunk | None = None
    end, animated = 8, False
    for chunk in _chunks(data):
        if not chunk.whole and chunk.name in _DRAWN:
            raise _damaged(data, "a checksum does not match")
        if chunk.name in _KEPT and chunk.whole:
            end = chunk.end
            if slim is not None:
                slim += view[chunk.start : chunk.end]
        elif slim is None:
            slim = bytearray(view[: chunk.start])
        profile = chunk if chunk.name == b"iCCP" and profile is None else profile
        animated |= chunk.name == b"acTL"
    if data[8:16] != b"\0\0\0\x0dIHDR":
        raise _damaged(data, "it does not begin with its header")
    icc = _profile(data[profile.start + 8 : profile.end - 4]) if profile and profile.whole else None
    return Lean(
        data=data if slim is None else bytes(slim),
        end=end,
        icc=icc,
        bits=data[24],
        size=(int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")),
        animated=animated,
        spoiled=profile is not None and icc is None,
    )


def lacks_rows(data: bytes) -> bool:
    """Say whether a whole PNG unpacks to fewer bytes than its size takes: decoders leave the rest of it black."""
    wanted = _raw_bytes(data)
    try:
        for size in _unpacked(data):
            wanted -= size
            if wanted <= 0:
                return False
    except zlib.error:
        return True
    return True


def _unpacked(data: bytes) -> Iterator[int]:
    """Unpack the picture's bytes and yield how many each step gave."""
    view, unpacker = memoryview(data), zlib.decompressobj()
    for chunk in _chunks(data):
        stop = chunk.end - 4 if chunk.name == b"IDAT" else 0
        for start in range(chunk.start + 8, stop, _SLICE_BYTES):
            packed: bytes | memoryview = view[start : min(start + _SLICE_BYTES, stop)]
            size = _STEP_BYTES
            while packed or size == _STEP_BYTES:  # a full step may have left some inside
                size = len(unpacker.decompress(packed, _STEP_BYTES))
                packed = unpacker.unconsumed_tail
                yield size
            if unpacker.eof:
                return


def _raw_bytes(data: bytes) -> int:
    """Give the unpacked size of all rows with their filter bytes."""
    width, height = int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
    bits = data[24] * _CHANNELS.get(data[25], 1)
    passes = _ADAM7 if data[28] else ((0, 0, 1, 1),)
    sizes = (
        (math.ceil((width - left) / across), math.ceil((height - top) / down)) for left, top, across, down in passes
    )
    return sum(rows * (1 + math.ceil(columns * bits / 8)) for columns, rows in sizes if columns > 0 and rows > 0)


def _chunks(data: bytes) -> Iterator[_Chunk]:
    """Yield every chunk up to and with IEND."""
    view = memoryview(data)
    position = 8
    for _ in range(_MOST_CHUNKS):
        if position + 12 > len(data):
            break
        length, name = int.from_bytes(data[position : position + 4], "big"), data[position + 4 : position + 8]
        end = position + 12 + length
        if not name.isalpha():
            raise _damaged(data, "its parts do not follow each other")
        if end > len(data):
            break
        whole = crc32(view[position + 4 : end - 4]) == int.from_bytes(data[end - 4 : end], "big")
        yield _Chunk(name=name, start=position, end=end, whole=whole)
        if name == b"IEND":
            return
        position = end
    else:
        raise _damaged(data, "it has more parts than any picture")
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
