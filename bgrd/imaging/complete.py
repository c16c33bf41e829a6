"""Whether a file holds its whole first image, told from its bytes without decoding.

Decoders prove too little: a baseline JPEG with a hole of zeros decodes without a word, and so do a lossy WebP and
an AVIF.
What lies after the end of the first image is allowed (motion photos, padded camera files).

Residual risks: a hole in a BMP or an uncompressed TIFF is black, and black is a legitimate picture. Where the file
system tells of the hole, such a file waits for its grace, since it may still be filled; then it is taken for whole,
as copies spare blocks of honest zeros: a copy that was given up half done is then published with a black part.
A JPEG whose writer closed it early with an end marker is taken as complete.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from bgrd.errors import IncompleteFault, InputFault
from bgrd.imaging import jpeg

__all__ = ["HOLE_BYTES", "Extent", "extent", "has_gap", "has_hole", "is_plain", "sniff"]

HOLE_BYTES = 32 * 1024
"""So many zeros in a row inside compressed data are a part that never arrived."""

_PAGE_BYTES = 4096
"""Parts that never arrived begin and end with pages; compressed data does so by chance only."""

_MOST_PARTS = 250_000
"""More than any picture has; each costs a reader some microseconds, however few bytes it is."""

_HEIF_BRANDS = frozenset(
    {b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"hevm", b"hevs", b"mif1", b"mif2", b"msf1"},
)
_AVIF_BRANDS = frozenset({b"avif", b"avis"})
_ISO_BOXES = frozenset({b"ftyp", b"meta", b"mdat", b"moov", b"free", b"skip", b"uuid", b"idat"})
_CUT_SHORT = "The file ends before the picture does; it is truncated or still being written."


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """Where the first image ends (None: nobody says), the parts that must not hold zeros, its size where known.

    `flat_zeros` says that zeros in those parts can also be a blank ground, `surplus` lists what no decoder may see.
    """

    end: int | None = None
    dense: tuple[tuple[int, int], ...] = ()
    size: tuple[int, int] | None = None
    animated: bool = False
    flat_zeros: bool = False
    surplus: tuple[tuple[int, int], ...] = ()


def sniff(head: bytes) -> str | None:
    """Name the picture format of a file's first 64 bytes (Pillow's names; HEIC is HEIF), or None."""
    simple = (
        (b"\xff\xd8\xff", "JPEG"),
        (b"\x89PNG\r\n\x1a\n", "PNG"),
        (b"GIF87a", "GIF"),
        (b"GIF89a", "GIF"),
        (b"II*\0", "TIFF"),
        (b"MM\0*", "TIFF"),
        (b"II+\0", "TIFF"),
        (b"MM\0+", "TIFF"),
    )
    for magic, name in simple:
        if head.startswith(magic):
            return name
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    # "BM" alone is two letters of text: a bitmap also has two reserved zeros and a sensible header size.
    if head[:2] == b"BM" and head[6:10] == bytes(4) and head[14:18] in _BMP_HEADERS:
        return "BMP"
    return _sniff_iso(head) if head[4:8] == b"ftyp" else None


_BMP_HEADERS = frozenset(struct.pack("<I", size) for size in (12, 16, 40, 52, 56, 64, 108, 124))


def _sniff_iso(head: bytes) -> str | None:
    size = min(int.from_bytes(head[:4], "big"), len(head))
    brands = {head[8:12], *(head[at : at + 4] for at in range(16, size - 3, 4))}
    if brands & _AVIF_BRANDS:
        return "AVIF"
    return "HEIF" if brands & _HEIF_BRANDS else None


def is_plain(data: bytes) -> bool:
    """Whether a BMP is not compressed, so that zeros in it are pixels. Source: BITMAPINFOHEADER, biCompression."""
    return data[14:15] == b"\x0c" or int.from_bytes(data[30:34], "little") in _PLAIN_BMP


_PLAIN_BMP = frozenset({0, 3, 6})
"""BI_RGB, BI_BITFIELDS and BI_ALPHABITFIELDS."""


def _parts() -> Iterator[int]:
    """Count a file's parts. Raises InputFault where they are too many."""
    yield from range(_MOST_PARTS)
    message = "The file is damaged: it has more parts than any picture."
    raise InputFault(message)


def has_hole(data: bytes, found: Extent) -> bool:
    """Whether zeros stand where compressed data should: HOLE_BYTES in a row inside a dense part.

    Where zeros can be a blank ground, only a run that begins or ends with a page counts.
    """
    return any(
        not found.flat_zeros or _near_page(-run_start) or _near_page(run_stop)
        for start, stop in found.dense
        for run_start, run_stop in _runs(data, start, stop)
    )


def _runs(data: bytes, start: int, stop: int) -> Iterator[tuple[int, int]]:
    """Yield the runs of at least HOLE_BYTES zeros."""
    zeros = bytes(HOLE_BYTES)
    while (run := data.find(zeros, start, stop)) >= 0:
        rest = np.flatnonzero(np.frombuffer(data, np.uint8, min(stop, len(data)) - run, run))
        start = run + int(rest[0]) if rest.size else stop
        yield run, start


def _near_page(place: int) -> bool:
    """Whether a page boundary is at most a few bytes on; real data beside a hole may end in zeros of its own."""
    return place % _PAGE_BYTES < 8


def has_gap(data: bytes) -> bool:
    """Whether a page of zeros lies anywhere in the file, which makes a decoding error a sign of an unfinished copy."""
    return data.find(bytes(_PAGE_BYTES)) >= 0


def extent(data: bytes, name: str) -> Extent:
    """Find the end of the first image of format `name`. BMP and TIFF have no end marker: Pillow checks their lengths.

    Raises IncompleteFault where the file ends before it, InputFault where it has more parts than any picture.
    """
    match name:
        case "JPEG":
            return _jpeg(data)
        case "WEBP":
            return _webp(data)
        case "GIF":
            return _gif(data)
        case "AVIF" | "HEIF":
            return _iso(data)
        case _:
            return Extent()


def _jpeg(data: bytes) -> Extent:
    found = jpeg.segments(data, least_bytes=HOLE_BYTES)
    return Extent(
        end=found.end,
        dense=tuple(found.dense),
        flat_zeros=found.flat_zeros,
        surplus=tuple(found.surplus),
    )


def _webp(data: bytes) -> Extent:
    """Check the RIFF size and find the lossy parts. Source: RFC 9649, 2.3-2.7."""
    end = 8 + int.from_bytes(data[4:8], "little")
    # The pad byte of an odd last chunk is missing from some writers' files.
    if end > len(data) + 1 or len(data) < 30:
        raise IncompleteFault(_CUT_SHORT)
    dense: list[tuple[int, int]] = []
    position = 12
    for _ in _parts():
        if position + 8 > min(end, len(data)):
            break
        name, size = data[position : position + 4], int.from_bytes(data[position + 4 : position + 8], "little")
        body = position + 8
        if name == b"VP8 " or (name == b"ANMF" and data[body + 16 : body + 20] in {b"VP8 ", b"ALPH"}):
            dense.append((body, body + size))
        if name == b"ANMF":
            break
        position = body + size + size % 2
    return Extent(end=end, dense=tuple(dense), size=_webp_size(data))


def _webp_size(data: bytes) -> tuple[int, int]:
    """Read the canvas size; the decoder would allocate the canvas before saying it."""
    kind = data[12:16]
    if kind == b"VP8X":
        return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    if kind == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return (bits & 0x3FFF) + 1, ((bits >> 14) & 0x3FFF) + 1
    return int.from_bytes(data[26:28], "little") & 0x3FFF, int.from_bytes(data[28:30], "little") & 0x3FFF


def _gif(data: bytes) -> Extent:
    """Walk the blocks to the end of the first image. Source: GIF89a specification, 17-25."""
    if len(data) < 13:
        raise IncompleteFault(_CUT_SHORT)
    width, height = struct.unpack_from("<HH", data, 6)
    position = 13 + _gif_palette(data[10])
    for _ in _parts():
        kind = data[position] if position < len(data) else 0
        if kind == 0x21:
            position = _gif_blocks(data, position + 2)
        elif kind == 0x2C and position + 10 < len(data):
            left, top, across, down = struct.unpack_from("<HHHH", data, position + 1)
            size = (max(width, left + across), max(height, top + down))
            position = _gif_blocks(data, position + 11 + _gif_palette(data[position + 9]))
            return Extent(end=None, size=size, animated=data[position : position + 1] in {b"\x21", b"\x2c"})
        else:
            break
    raise IncompleteFault(_CUT_SHORT)


def _gif_palette(flags: int) -> int:
    return 3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0


def _gif_blocks(data: bytes, position: int) -> int:
    """Skip sub-blocks up to their terminator."""
    while position < len(data):
        length = data[position]
        position += 1 + length
        if length == 0:
            return position
    raise IncompleteFault(_CUT_SHORT)


def _iso(data: bytes) -> Extent:
    """Walk the top-level boxes. Source: ISO/IEC 14496-12, 4.2. Phones append boxes and raw data of their own."""
    position = 0
    seen: set[bytes] = set()
    dense: list[tuple[int, int]] = []
    for _ in _parts():
        if position + 8 > len(data):
            break
        start = position
        size, name = int.from_bytes(data[position : position + 4], "big"), data[position + 4 : position + 8]
        if name not in _ISO_BOXES:
            break
        if size == 1:
            size = int.from_bytes(data[position + 8 : position + 16], "big")
        position = position + size if size >= 8 else len(data)
        seen.add(name)
        if name == b"mdat":
            dense.append((start, position))
    if position > len(data) or b"meta" not in seen or not seen & {b"mdat", b"idat"}:
        raise IncompleteFault(_CUT_SHORT)
    return Extent(end=position, dense=tuple(dense))
