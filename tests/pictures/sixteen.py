"""PNG and TIFF of 16 bits a sample, written and read by the letter of their formats: no decoder of another's."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Sequence

from tests.pictures.making import png_chunk

__all__ = ["Rows", "channels_of", "noisy", "png16", "read16", "tiff16", "turned"]

Rows = list[list[tuple[int, ...]]]
"""Rows of pixels, each a tuple of samples."""

_COLOUR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}
_ADAM7 = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
_HEAD = b"\x89PNG\r\n\x1a\n"
_NONE, _LZW, _DEFLATE = 1, 5, 8


def noisy(width: int, height: int, channels: int, *, seed: int = 1) -> Rows:
    """Make rows of all kinds of samples, among them the ends of the range."""
    state, rows = seed * 2654435761 % 2**32, []
    for _ in range(height):
        row = []
        for _ in range(width):
            pixel = []
            for _ in range(channels):
                state = (state * 1664525 + 1013904223) % 2**32
                pixel.append((0, 0xFFFF, 0xFF00, 0x00FF)[state >> 30] if state >> 27 & 7 == 0 else state >> 16)
            row.append(tuple(pixel))
        rows.append(row)
    return rows


def channels_of(rows: Rows) -> int:
    """Give the samples of a pixel."""
    return len(rows[0][0])


def turned(rows: Rows, orientation: int) -> Rows:
    """Give the upright picture of one that lies as EXIF says. Source: Exif 3.0, 4.6.5.1 (tag 274)."""
    flipped = [row[::-1] for row in rows]
    columns = [list(column) for column in zip(*rows, strict=True)]
    return {
        1: rows,
        2: flipped,
        3: flipped[::-1],
        4: rows[::-1],
        5: columns,
        6: [column[::-1] for column in columns],
        7: [column[::-1] for column in columns[::-1]],
        8: columns[::-1],
    }[orientation]


def _packed(row: Sequence[tuple[int, ...]], order: str = ">") -> bytes:
    samples = [sample for pixel in row for sample in pixel]
    return struct.pack(f"{order}{len(samples)}H", *samples)


def _paeth(left: int, above: int, corner: int) -> int:
    guess = left + above - corner
    return min((left, above, corner), key=lambda near: abs(guess - near))


def _predicted(kind: int, left: int, above: int, corner: int) -> int:
    """Give what a PNG filter expects. Source: PNG specification, 9.2."""
    return (0, left, above, (left + above) // 2, _paeth(left, above, corner))[kind]


def _filtered(lines: Sequence[bytes], step: int, kinds: Sequence[int]) -> bytes:
    body, above = bytearray(), bytes(len(lines[0]) if lines else 0)
    for number, line in enumerate(lines):
        kind = kinds[number % len(kinds)]
        body.append(kind)
        for at, value in enumerate(line):
            left, corner = (line[at - step], above[at - step]) if at >= step else (0, 0)
            body.append((value - _predicted(kind, left, above[at], corner)) % 256)
        above = line
    return bytes(body)


def png16(
    rows: Rows,
    *,
    kinds: Sequence[int] = (0, 1, 2, 3, 4),
    adam7: bool = False,
    chunks: Sequence[tuple[bytes, bytes]] = (),
) -> bytes:
    """Write a PNG of 16 bits: grey, grey and opacity, RGB or RGBA; `kinds` are the rows' filters in turn."""
    step = 2 * channels_of(rows)
    parts = [[row[left::across] for row in rows[top::down]] for top, left, down, across in _ADAM7] if adam7 else [rows]
    body = b"".join(_filtered([_packed(row) for row in part], step, kinds) for part in parts if part and part[0])
    head = struct.pack(">IIBBBBB", len(rows[0]), len(rows), 16, _COLOUR_TYPES[step // 2], 0, 0, int(adam7))
    written = [(b"IHDR", head), *chunks, (b"IDAT", zlib.compress(body)), (b"IEND", b"")]
    return _HEAD + b"".join(png_chunk(name, part) for name, part in written)


def tiff16(
    rows: Rows,
    *,
    order: str = "<",
    compression: int = _NONE,
    predictor: bool = False,
    strip_rows: int = 0,
    planar: bool = False,
    tags: Sequence[tuple[int, int]] = (),
) -> bytes:
    """Write a TIFF of 16 bits, grey, RGB or RGBA (opacity apart); `tags` (number, short) come in addition or instead.

    With `planar` each sample has a strip of its own, without predictor.

    Source: TIFF 6.0, 2, 13, 14.
    """
    channels, height = channels_of(rows), len(rows)
    step = strip_rows or height
    planes: list[Rows] = [
        [[(pixel[part],) for pixel in row] for row in rows] for part in range(channels if planar else 0)
    ]
    lines = [_packed(_differences(row) if predictor else row, order) for row in rows]
    packers: dict[int, Callable[[bytes], bytes]] = {_NONE: bytes, _LZW: _lzw, _DEFLATE: zlib.compress}
    parts = [lines[top : top + step] for top in range(0, height, step)]
    parts = [[_packed(row, order) for row in plane] for plane in planes] or parts
    strips = [packers[compression](b"".join(part)) for part in parts]
    offsets = [8 + sum(len(strip) for strip in strips[:number]) for number in range(len(strips))]
    entries: dict[int, tuple[str, list[int]]] = {
        256: ("I", [len(rows[0])]),
        257: ("I", [height]),
        258: ("H", [16] * channels),
        259: ("H", [compression]),
        262: ("H", [2 if channels > 2 else 1]),
        273: ("I", offsets),
        277: ("H", [channels]),
        278: ("I", [step]),
        279: ("I", [len(strip) for strip in strips]),
        **({284: ("H", [2])} if planar else {}),
        **({317: ("H", [2])} if predictor else {}),
        **({338: ("H", [2])} if channels == 4 and 262 not in dict(tags) else {}),
        **{tag: ("H", [value]) for tag, value in tags},
    }
    body = b"".join(strips)
    return _with_directory(order, body + bytes(len(body) % 2), entries)


def _with_directory(order: str, body: bytes, entries: dict[int, tuple[str, list[int]]]) -> bytes:
    start = 8 + len(body)
    beside = start + 2 + 12 * len(entries) + 4
    directory, longer = struct.pack(order + "H", len(entries)), b""
    for tag, (code, values) in sorted(entries.items()):
        packed = struct.pack(f"{order}{len(values)}{code}", *values)
        directory += struct.pack(order + "HHI", tag, {"H": 3, "I": 4}[code], len(values))
        directory += packed.ljust(4, b"\0") if len(packed) <= 4 else struct.pack(order + "I", beside + len(longer))
        longer += packed if len(packed) > 4 else b""
    head = (b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, start)
    return head + body + directory + bytes(4) + longer


def _differences(row: Sequence[tuple[int, ...]]) -> list[tuple[int, ...]]:
    before = [tuple(0 for _ in row[0]), *row]
    return [
        tuple((here - left) % 2**16 for here, left in zip(pixel, last, strict=True))
        for pixel, last in zip(row, before, strict=False)
    ]


def _lzw(data: bytes) -> bytes:
    """Pack into codes of 9 bits alone, with the table cleared before it needs more."""
    codes = [256]
    for number, value in enumerate(data, 1):
        codes += [value, 256] if number % 200 == 0 else [value]
    bits = "".join(f"{code:09b}" for code in [*codes, 257])
    return bytes(int(bits[at : at + 8].ljust(8, "0"), 2) for at in range(0, len(bits), 8))


def read16(data: bytes) -> Rows:
    """Read what bgrd wrote in 16 bits, PNG or TIFF; anything else fails."""
    return _read_png(data) if data.startswith(_HEAD) else _read_tiff(data)


def _read_png(data: bytes) -> Rows:
    at, packed, head = len(_HEAD), b"", b""
    while at < len(data):
        (length,) = struct.unpack_from(">I", data, at)
        name, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        assert struct.unpack_from(">I", data, at + 8 + length)[0] == zlib.crc32(name + body)
        head = body if name == b"IHDR" else head
        packed += body if name == b"IDAT" else b""
        at += length + 12
    width, height, bits, colour_type, *rest = struct.unpack(">IIBBBBB", head)
    assert (bits, rest) == (16, [0, 0, 0])
    channels = {kind: count for count, kind in _COLOUR_TYPES.items()}[colour_type]
    step, length, body = 2 * channels, 2 * channels * width, zlib.decompress(packed)
    assert len(body) == height * (length + 1)
    lines, above = [], bytes(length)
    for top in range(0, len(body), length + 1):
        line = bytearray(body[top + 1 : top + 1 + length])
        for place in range(length):
            left, corner = (line[place - step], above[place - step]) if place >= step else (0, 0)
            line[place] = (line[place] + _predicted(body[top], left, above[place], corner)) % 256
        lines.append(above := bytes(line))
    return [_pixels(line, channels, ">") for line in lines]


def _read_tiff(data: bytes) -> Rows:
    assert data[:4] == b"II*\0"
    (start,) = struct.unpack_from("<I", data, 4)
    tags = {}
    for number in range(struct.unpack_from("<H", data, start)[0]):
        at = start + 2 + 12 * number
        tag, kind, count = struct.unpack_from("<HHI", data, at)
        if kind in {3, 4}:
            at = at + 8 if count * (kind - 2) * 2 <= 4 else struct.unpack_from("<I", data, at + 8)[0]
            tags[tag] = struct.unpack_from(f"<{count}{'HI'[kind - 3]}", data, at)
    (width,), (height,), (channels,) = tags[256], tags[257], tags[277]
    assert tags[258] == (16,) * channels
    assert tags[262] == (2 if channels > 1 else 1,)
    assert tags.get(338) == ((2,) if channels == 4 else None)
    body = b""
    for offset, size in zip(tags[273], tags[279], strict=True):
        strip = data[offset : offset + size]
        body += zlib.decompress(strip) if tags[259] == (_DEFLATE,) else strip
    length = 2 * channels * width
    assert len(body) == height * length
    rows = [_pixels(body[top : top + length], channels, "<") for top in range(0, len(body), length)]
    return [_summed(row) for row in rows] if tags.get(317) == (2,) else rows


def _pixels(line: bytes, channels: int, order: str) -> list[tuple[int, ...]]:
    samples = struct.unpack(f"{order}{len(line) // 2}H", line)
    return [samples[at : at + channels] for at in range(0, len(samples), channels)]


def _summed(row: list[tuple[int, ...]]) -> list[tuple[int, ...]]:
    made = [row[0]]
    for pixel in row[1:]:
        made.append(tuple((here + left) % 2**16 for here, left in zip(pixel, made[-1], strict=True)))
    return made
