"""Small files that ask for much, and large ones that hold little: bombs of every picture format bgrd reads."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator

from tests.pictures.making import corners, encoded, exif_with, png_chunk, profile
from tests.pictures.seeds import tiff

__all__ = ["METADATA_BYTES", "blank_png", "many_scans", "metadata_bombs"]

METADATA_BYTES = 50 * 2**20
_SEGMENT_BYTES = 65_000


def blank_png(width: int, height: int, *, colour_type: int = 0, bits: int = 8) -> bytes:
    """Make a PNG of zeros: a thousandth of its pixels' bytes."""
    channels = {0: 1, 2: 3, 6: 4}[colour_type]
    row = bytes(1 + (width * channels * bits + 7) // 8)
    packer = zlib.compressobj(1)
    band = row * max(1, 2**20 // len(row))
    packed = [packer.compress(band) for _ in range(height * len(row) // len(band))]
    packed += [packer.compress(bytes(height * len(row) % len(band))), packer.flush()]
    head = struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, 0)
    chunks = (b"IHDR", head), (b"IDAT", b"".join(packed)), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(name, body) for name, body in chunks)


def animated_png(frames: int) -> bytes:
    """Make a PNG that announces that many frames, all empty."""
    whole = encoded(corners(), "PNG")
    control = png_chunk(b"acTL", struct.pack(">II", frames, 0))
    frame = png_chunk(b"fcTL", bytes(26))
    return whole[:33] + control + frame * frames + whole[33:]


def chunked_png(chunks: int) -> bytes:
    """Make a PNG whose data is preceded by empty chunks, of a kind that draws and one that does not by turns."""
    whole = encoded(corners(), "PNG")
    return whole[:33] + (png_chunk(b"IDAT", b"") + png_chunk(b"teXt", b"")) * (chunks // 2) + whole[33:]


def text_png(mebibytes: int = 1024) -> bytes:
    """Make a PNG with compressed text and a compressed profile of so many mebibytes each."""
    packer = zlib.compressobj(9)
    packed = b"".join(packer.compress(bytes(2**20)) for _ in range(mebibytes)) + packer.flush()
    whole = encoded(corners(), "PNG")
    bombs = ((b"zTXt", b"w\0\0"), (b"iTXt", b"w\0\1\0\0\0"), (b"iCCP", b"w\0\0"))
    return whole[:33] + b"".join(png_chunk(name, head + packed) for name, head in bombs) + whole[33:]


def animated_gif(frames: int) -> bytes:
    """Make a GIF of that many frames of one pixel."""
    whole = encoded(corners(), "GIF")
    frame = b"\x21\xf9\x04\0\0\0\0\0" + b"\x2c" + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02\x44\x01\0"
    return whole[:-1] + frame * frames + b";"


def talking_gif(blocks: int) -> bytes:
    """Make a GIF with that many empty comments before its picture."""
    whole = encoded(corners(), "GIF")
    start = 13 + 3 * 2 ** ((whole[10] & 7) + 1)
    return whole[:start] + b"\x21\xfe\0" * blocks + whole[start:]


def many_scans(scans: int, *, width: int = 4000, height: int = 3000) -> bytes:
    """Make a progressive JPEG that repeats an empty refinement of all its pixels."""
    whole = encoded(corners(width, height), "JPEG", progressive=True)
    end = whole.rindex(b"\xff\xd9")
    last = whole.rindex(b"\xff\xda", 0, end)
    return whole[:last] + whole[last:end] * scans + b"\xff\xd9"


def segmented_jpeg(segments: int) -> bytes:
    """Make a JPEG with that many empty application segments."""
    whole = encoded(corners(), "JPEG")
    return whole[:2] + b"\xff\xe5\0\2" * segments + whole[2:]


def marked_jpeg(markers: int) -> bytes:
    """Make a JPEG with that many start markers in a row."""
    whole = encoded(corners(), "JPEG")
    return whole[:2] + b"\xff\xd8" * markers + whole[2:]


def paged_tiff(pages: int) -> bytes:
    """Make a TIFF with directories that follow each other, all showing the first one's pixels."""
    whole = tiff(corners())
    first = struct.unpack_from("<I", whole, 4)[0]
    size = 2 + 12 * struct.unpack_from("<H", whole, first)[0]
    page = whole[first : first + size]
    links = [len(whole) + number * (size + 4) for number in range(pages)]
    head = whole[: first + size] + struct.pack("<I", links[0]) + whole[first + size + 4 :]
    return head + b"".join(page + struct.pack("<I", link) for link in [*links[1:], 0])


def repeating_tiff(entries: int = 60_000, values: int = 5_000_000) -> bytes:
    """Make a TIFF whose directory names the same long table of strips again and again."""
    place = 8 + 4 * values
    entry = struct.pack("<HHII", 273, 4, values, 8)
    return (
        b"II*\0"
        + struct.pack("<I", place)
        + bytes(4 * values)
        + struct.pack("<H", entries)
        + entry * entries
        + bytes(4)
    )


def jpeg_with(marker: int, head: bytes, size: int) -> bytes:
    """Make a JPEG with `size` bytes of one kind of application data, in as many segments as that takes."""
    whole = encoded(corners(), "JPEG")
    body = head + b"m" * (_SEGMENT_BYTES - len(head))
    segment = struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body
    return whole[:2] + segment * (size // _SEGMENT_BYTES) + whole[2:]


def jpeg_with_profile(size: int) -> bytes:
    """Make a JPEG with an ICC profile of that size, in 255 segments at most: none is larger."""
    return encoded(corners(), "JPEG", icc_profile=_profile(min(size, 255 * 65_500)))


def webp_with(name: bytes, body: bytes) -> bytes:
    """Put a chunk at the end of an extended WebP that announces a profile, EXIF and XMP."""
    whole = encoded(corners(), "WEBP", exif=exif_with({271: "m"}), icc_profile=profile(), xmp=b"<x/>")
    parts = whole.partition(name)
    size = int.from_bytes(parts[2][:4], "little")
    rest = parts[2][4 + size + size % 2 :]
    made = parts[0] + name + struct.pack("<I", len(body)) + body + rest
    return made[:4] + struct.pack("<I", len(made) - 8) + made[8:]


def _profile(size: int) -> bytes:
    whole = profile()
    return struct.pack(">I", size) + whole[4:] + bytes(size - len(whole))


def metadata_bombs(size: int = METADATA_BYTES) -> Iterator[tuple[str, Callable[[], bytes]]]:
    """Give pictures with that much beside their pixels, by name."""
    exif = exif_with({270: "m" * size})
    raw = exif.removeprefix(b"Exif\0\0")
    text, image, icc = b"m" * size, corners(), _profile(size)
    png = encoded(image, "PNG")
    yield "JPEG EXIF", lambda: jpeg_with(0xE1, b"Exif\0\0", size)
    yield "JPEG XMP", lambda: jpeg_with(0xE1, b"http://ns.adobe.com/xap/1.0/\0", size)
    yield "JPEG extended XMP", lambda: jpeg_with(0xE1, b"http://ns.adobe.com/xmp/extension/\0", size)
    yield "JPEG ICC", lambda: jpeg_with_profile(size)
    yield "JPEG ICC parts", lambda: jpeg_with(0xE2, b"ICC_PROFILE\0\1\1", size)
    yield "JPEG Photoshop", lambda: jpeg_with(0xED, b"Photoshop 3.0\0", size)
    yield "JPEG comments", lambda: jpeg_with(0xFE, b"", size)
    yield "PNG EXIF", lambda: png[:33] + png_chunk(b"eXIf", raw) + png[33:]
    yield "PNG XMP", lambda: png[:33] + png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + text) + png[33:]
    yield "PNG ICC", lambda: png[:33] + png_chunk(b"iCCP", b"w\0\0" + zlib.compress(icc, 0)) + png[33:]
    yield "WEBP EXIF", lambda: webp_with(b"EXIF", raw)
    yield "WEBP XMP", lambda: webp_with(b"XMP ", text)
    yield "WEBP ICC", lambda: webp_with(b"ICCP", icc)
    yield "TIFF EXIF", lambda: encoded(image, "TIFF", tiffinfo={270: "m" * size})
    yield "TIFF XMP", lambda: encoded(image, "TIFF", tiffinfo={700: text})
    yield "TIFF ICC", lambda: encoded(image, "TIFF", icc_profile=icc)
    yield "AVIF EXIF", lambda: encoded(image, "AVIF", exif=exif)
    yield "AVIF ICC", lambda: encoded(image, "AVIF", icc_profile=icc)
