"""Small whole pictures of every kind bgrd reads: what mutants are bred from."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from PIL import Image
from pillow_heif import from_pillow

from bgrd.imaging.complete import sniff
from tests.pictures.making import cmyk_profile, encoded, exif_with, noise, png_chunk, png_of_size, png_with, profile
from tests.pictures.scenes import photo

__all__ = ["Seed", "interlaced", "seeds", "tiff"]

_COMPRESSIONS = ("raw", "packbits", "tiff_lzw", "tiff_adobe_deflate", "jpeg", "lzma", "zstd")
_ADAM7 = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
"""First row, first column, row step and column step of each pass. Source: PNG specification (third edition), 8.1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seed:
    """A whole picture: what kind it is, its format as `sniff` names it, its bytes."""

    kind: str
    format: str
    data: bytes


@cache
def seeds() -> tuple[Seed, ...]:
    """Make one picture of every kind, always the same bytes but for the dates in colour profiles."""
    made = [*_jpegs(), *_pngs(), *_webps(), *_isos(), *_tiffs(), *_bitmaps(), *_gifs()]
    return tuple(Seed(kind=kind, format=sniff(data[:64]) or "", data=data) for kind, data in made)


def _jpegs() -> Iterator[tuple[str, bytes]]:
    small, exif = photo(64, 48), exif_with({0x0112: 6, 270: "a figure"}, exif={33434: 0.01}, gps={1: "N"})
    yield "baseline", encoded(small, "JPEG")
    yield "progressive", encoded(small, "JPEG", progressive=True, optimize=True)
    yield "grey", encoded(small.convert("L"), "JPEG")
    yield "cmyk", encoded(small.convert("CMYK"), "JPEG", icc_profile=cmyk_profile())
    yield "restarts", encoded(small, "JPEG", subsampling=0, restart_marker_blocks=2)
    yield "with metadata", encoded(small, "JPEG", exif=exif, icc_profile=profile(), xmp=_XMP, comment=b"words")
    yield "large", encoded(noise(240, 200), "JPEG", quality=97)


def _pngs() -> Iterator[tuple[str, bytes]]:
    small = photo(40, 32)
    for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"):
        yield (
            mode,
            encoded(small.convert("L").convert("I").convert("I;16") if mode == "I;16" else small.convert(mode), "PNG"),
        )
    yield "keyed", encoded(small.convert("P"), "PNG", transparency=3)
    yield "interlaced", interlaced(small)
    yield "deep", _deep_png()
    frames = [photo(40, 32, seed=seed) for seed in (2, 3)]
    yield "animated", encoded(small, "PNG", save_all=True, append_images=frames)
    whole = encoded(small, "PNG", icc_profile=profile(), exif=exif_with({0x0112: 3}), dpi=(72, 72))
    yield (
        "with metadata",
        png_with(whole, (b"tEXt", b"words\0" + b"w" * 99), (b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + _XMP)),
    )
    yield "large", encoded(noise(200, 150), "PNG")


def _webps() -> Iterator[tuple[str, bytes]]:
    small = photo(64, 48)
    yield "lossy", encoded(small, "WEBP")
    yield "lossless", encoded(small, "WEBP", lossless=True)
    yield "alpha", encoded(_translucent(small), "WEBP")
    yield "animated", encoded(small, "WEBP", save_all=True, append_images=[photo(64, 48, seed=2)])
    yield "with metadata", encoded(small, "WEBP", exif=exif_with({0x0112: 8}), icc_profile=profile(), xmp=_XMP)
    yield "large", encoded(noise(240, 200), "WEBP", quality=90)


def _isos() -> Iterator[tuple[str, bytes]]:
    small = photo(64, 48)
    yield "still", encoded(small, "AVIF")
    yield "alpha", encoded(_translucent(small), "AVIF")
    yield "sequence", encoded(small, "AVIF", save_all=True, append_images=[photo(64, 48, seed=2)])
    yield "with metadata", encoded(small, "AVIF", exif=exif_with({0x0112: 6}), icc_profile=profile(), xmp=_XMP)
    yield "heic", _heic(small)
    yield "heic alpha", _heic(_translucent(small))
    yield "heic several", _heic(small, photo(64, 48, seed=2))


def _tiffs() -> Iterator[tuple[str, bytes]]:
    small = photo(48, 40)
    for compression in _COMPRESSIONS:
        yield compression, encoded(small, "TIFF", compression=compression)
    for compression in ("group3", "group4", "tiff_ccitt"):
        yield compression, encoded(small.convert("1"), "TIFF", compression=compression)
    yield "predictor", encoded(small, "TIFF", compression="tiff_lzw", tiffinfo={317: 2})
    for mode in ("P", "CMYK", "LAB", "RGBA", "LA", "I", "F"):
        yield (
            mode,
            encoded(
                small.convert("L" if mode in {"I", "F"} else "RGB").convert(mode) if mode != "LAB" else _lab(small),
                "TIFF",
            ),
        )
    yield "deep", encoded(small.convert("L").convert("I").convert("I;16"), "TIFF")
    yield "several", encoded(small, "TIFF", save_all=True, append_images=[photo(48, 40, seed=2)])
    yield "with metadata", encoded(small, "TIFF", exif=exif_with({0x0112: 6}), icc_profile=profile(), dpi=(300, 300))
    yield "big-endian", tiff(small, order=">")
    yield "big", tiff(small, big=True)
    yield "tiled", tiff(small, tile=16)
    yield "looped", tiff(small, looped=True)


def _bitmaps() -> Iterator[tuple[str, bytes]]:
    small = photo(40, 32)
    for mode in ("1", "L", "P", "RGB", "RGBA"):
        yield mode, encoded(small.convert(mode), "BMP")


def _gifs() -> Iterator[tuple[str, bytes]]:
    small = photo(64, 48)
    yield "plain", encoded(small, "GIF")
    yield "keyed", encoded(small.convert("P"), "GIF", transparency=5, interlace=1)
    yield "animated", encoded(small, "GIF", save_all=True, append_images=[photo(64, 48, seed=2)])


_XMP = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'><rdf:RDF tiff:Orientation=\"6\"/></x:xmpmeta>" + b" " * 200


def _translucent(image: Image.Image) -> Image.Image:
    image = image.copy()
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    return image


def _lab(image: Image.Image) -> Image.Image:
    return Image.merge("LAB", image.split())


def _heic(*images: Image.Image) -> bytes:
    file = from_pillow(images[0])
    for image in images[1:]:
        file.add_from_pillow(image)
    stream = io.BytesIO()
    file.save(stream, quality=60)
    return stream.getvalue()


def _deep_png() -> bytes:
    """Make a PNG of 16 bits a channel, which Pillow reads but does not write."""
    rows = np.random.default_rng(3).integers(0, 256, (20, 1 + 24 * 6), dtype=np.uint8)
    rows[:, 0] = 0
    return png_of_size(24, 20, bits=16, rows=rows.tobytes())


def interlaced(image: Image.Image) -> bytes:
    """Write an RGB picture as an interlaced PNG, which Pillow reads but does not write."""
    pixels = np.asarray(image)
    passes = [pixels[row::down, column::across] for row, column, down, across in _ADAM7]
    rows = b"".join(b"\0" + line.tobytes() for part in passes if part.size for line in part)
    head = struct.pack(">IIBBBBB", *image.size, 8, 2, 0, 0, 1)
    body = (b"IHDR", head), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(name, part) for name, part in body)


def tiff(
    image: Image.Image,
    *,
    order: str = "<",
    big: bool = False,
    tile: int = 0,
    looped: bool = False,
    extra: Sequence[tuple[int, int, Sequence[int]]] = (),
) -> bytes:
    """Write an RGB picture as an uncompressed TIFF of a layout Pillow does not write.

    `extra` entries (tag, type 3 short or 4 long, values) come in addition or instead; `looped` lets the last
    directory be followed by the first. Source: TIFF 6.0, 2, 15; BigTIFF design.
    """
    parts = _tiles(image, tile) if tile else [image.tobytes()]
    word, start = ("Q", 16) if big else ("I", 8)
    offsets = [start + sum(len(part) for part in parts[:index]) for index in range(len(parts))]
    places, sizes = (324, 325) if tile else (273, 279)
    entries: dict[int, tuple[int, Sequence[int]]] = {
        256: (4, [image.width]),
        257: (4, [image.height]),
        258: (3, [8, 8, 8]),
        259: (3, [1]),
        262: (3, [2]),
        277: (3, [3]),
        places: (4, offsets),
        sizes: (4, [len(part) for part in parts]),
    }
    entries |= {322: (3, [tile]), 323: (3, [tile])} if tile else {278: (4, [image.height])}
    entries |= {tag: (kind, values) for tag, kind, values in extra}
    head = (b"II" if order == "<" else b"MM") + struct.pack(
        order + ("HHH" if big else "H"), *((43, 8, 0) if big else (42,))
    )
    first = start + sum(len(part) for part in parts)
    directory = _directory(entries, first, order=order, word=word, following=first if looped else 0)
    return head + struct.pack(order + word, first) + b"".join(parts) + directory


def _directory(
    entries: dict[int, tuple[int, Sequence[int]]], first: int, *, order: str, word: str, following: int
) -> bytes:
    count, width = ("Q", 8) if word == "Q" else ("H", 4)
    behind = first + struct.calcsize(order + count) + len(entries) * (4 + 2 * width) + width
    listed, values_behind = struct.pack(order + count, len(entries)), b""
    for tag, (kind, values) in sorted(entries.items()):
        packed = struct.pack(order + {3: "H", 4: "I"}[kind] * len(values), *values)
        if len(packed) > width:
            packed, place = b"", len(values_behind)
            values_behind += struct.pack(order + {3: "H", 4: "I"}[kind] * len(values), *values)
            packed = struct.pack(order + word, behind + place)
        listed += struct.pack(order + "HH" + word, tag, kind, len(values)) + packed.ljust(width, b"\0")
    return listed + struct.pack(order + word, following) + values_behind


def _tiles(image: Image.Image, side: int) -> list[bytes]:
    boxes = [(x, y) for y in range(0, image.height, side) for x in range(0, image.width, side)]
    return [image.crop((x, y, x + side, y + side)).tobytes() for x, y in boxes]
