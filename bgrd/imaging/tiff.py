"""The first directory of a TIFF: whether all of its picture is in the file. Source: TIFF 6.0, 2; BigTIFF design."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from bgrd.errors import IncompleteFault, InputFault

__all__ = ["Pages", "first_page"]

_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_CODES = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q"}
_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _STRIPS, _SAMPLES, _STRIP_ROWS, _STRIP_SIZES = (
    256,
    257,
    258,
    259,
    273,
    277,
    278,
    279,
)
_PLANES, _TILE_WIDTH, _TILE_HEIGHT, _TILES, _TILE_SIZES = 284, 322, 323, 324, 325
_NEEDED = frozenset(
    {_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _STRIPS, _SAMPLES, _STRIP_ROWS, _STRIP_SIZES}
    | {_PLANES, _TILE_WIDTH, _TILE_HEIGHT, _TILES, _TILE_SIZES}
)
_MOST_PARTS = 4 * 2**20
_MOST_REPEATED = 4
"""How often a file's bytes may be pointed to: a directory that names one long table again and again is a bomb."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pages:
    """What the first directory says: bits per sample, whether another page follows, whether nothing is compressed."""

    bits: int
    several: bool
    plain: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layout:
    """The widths of a directory's fields: classic TIFF or BigTIFF, in either byte order."""

    order: str
    count: str
    entry: str
    offset: str


def first_page(data: bytes) -> Pages:
    """Read the first directory. Raises IncompleteFault where it, or what it points to, lies beyond the end of the file.

    Raises InputFault where it asks for more than a picture can need, or has less than its size says.
    """
    try:
        return _first_page(data)
    except (struct.error, OverflowError, _BeyondEndError) as error:
        message = "The TIFF file ends before the picture does; it is truncated or still being written."
        raise IncompleteFault(message) from error


class _BeyondEndError(Exception):
    """Something needed lies after the end of the file."""


def _first_page(data: bytes) -> Pages:
    order = "<" if data[:2] == b"II" else ">"
    big = data[2:4] in {b"+\0", b"\0+"}
    layout = (
        _Layout(order=order, count="Q", entry="HHQ", offset="Q")
        if big
        else _Layout(order=order, count="H", entry="HHI", offset="I")
    )
    (start,) = struct.unpack_from(order + layout.offset, data, 8 if big else 4)
    (count,) = struct.unpack_from(order + layout.count, data, start)
    start += struct.calcsize(order + layout.count)
    step = struct.calcsize(order + layout.entry) + struct.calcsize(order + layout.offset)
    (following,) = struct.unpack_from(order + layout.offset, data, start + count * step)
    values: dict[int, tuple[int, ...]] = {}
    pointed_to = 0
    for at in range(start, start + count * step, step):
        tag, kind, length = struct.unpack_from(order + layout.entry, data, at)
        pointed_to += min(length * _SIZES.get(kind, 0), len(data))
        if pointed_to > _MOST_REPEATED * len(data) or (tag in _NEEDED and length > _MOST_PARTS):
            raise _damaged("it has more parts than any picture")
        if tag in _NEEDED and kind in _CODES:
            values[tag] = _values(data, at, layout=layout, kind=kind, length=length)
    _check_parts(values.get(_STRIPS, ()), values.get(_STRIP_SIZES, ()), len(data))
    _check_parts(values.get(_TILES, ()), values.get(_TILE_SIZES, ()), len(data))
    _check_cover(values)
    plain = values.get(_COMPRESSION, (1,))[:1] == (1,)
    if plain and values.get(_PLANES, (1,))[:1] == (2,) and values.get(_SAMPLES, (1,)) > (1,) and 16 in values[_BITS]:
        # Pillow takes each byte of theirs for a sample.
        message = "TIFF files of 16 bits whose colours lie in separate planes, uncompressed, cannot be read here."
        raise InputFault(message)
    return Pages(bits=max(values.get(_BITS, (1,)), default=1), several=following != 0, plain=plain)


def _values(data: bytes, at: int, *, layout: _Layout, kind: int, length: int) -> tuple[int, ...]:
    """Read an entry's numbers, which stand in the entry itself where they fit."""
    at += struct.calcsize(layout.order + layout.entry)
    if length * _SIZES[kind] > struct.calcsize(layout.order + layout.offset):
        (at,) = struct.unpack_from(layout.order + layout.offset, data, at)
    if at + length * _SIZES[kind] > len(data):
        raise _BeyondEndError
    return struct.unpack_from(f"{layout.order}{length}{_CODES[kind]}", data, at)


def _damaged(what: str) -> InputFault:
    return InputFault(f"The TIFF file is damaged: {what}.")


def _check_cover(values: dict[int, tuple[int, ...]]) -> None:
    """Hold that an uncompressed picture has all of its strips or tiles: decoders leave what is missing black."""

    def first(tag: int, default: int) -> int:
        return (values.get(tag) or (default,))[0]

    width, height = first(_WIDTH, 0), first(_HEIGHT, 0)
    if first(_COMPRESSION, 1) != 1 or not (width and height):
        return
    planes = first(_SAMPLES, 1) if first(_PLANES, 1) == 2 else 1
    across, down = first(_TILE_WIDTH, width), first(_TILE_HEIGHT, 0) or min(first(_STRIP_ROWS, height), height)
    parts = len(values.get(_TILES) or values.get(_STRIPS) or ())
    if across and down and 0 < parts < -(-width // across) * -(-height // down) * planes:
        raise _damaged("it has fewer rows than its size says")


def _check_parts(offsets: tuple[int, ...], sizes: tuple[int, ...], length: int) -> None:
    if any(offset + size > length for offset, size in zip(offsets, sizes, strict=False)):
        raise _BeyondEndError
