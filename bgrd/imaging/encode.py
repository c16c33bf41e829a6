"""A composed picture to a file's bytes."""

from __future__ import annotations

import struct
from io import RawIOBase
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import numpy as np

# Each writer registers itself on import: `save` would otherwise import every format Pillow has.
from PIL import AvifImagePlugin, Image, JpegImagePlugin, PngImagePlugin, WebPImagePlugin, features

from bgrd.errors import InputFault, MemoryFault, UnknownFault
from bgrd.imaging.deep import Deepened, samples
from bgrd.imaging.deflate import crc32, packed, packer
from bgrd.imaging.metadata import without_location
from bgrd.imaging.room import has_room, most_bytes
from bgrd.imaging.strips import write_tiff

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from bgrd.job import Metadata
    from bgrd.product import Format, Product

__all__ = ["encode", "missing_encoder"]

_SHORT = "There is not enough memory to encode this picture."
_QUICK_LEVEL = 3
"""Up to this level PNG rows are filtered by the row above only.

Pillow tries all five filters on every row, which takes longer than packing does and pays from level 4 on. By the
pixel to the left photos become 4 % larger, by none half as large again. A JPEG is written in one pass up to this
level, without tables of its own.
"""

_MOST_SIDES: dict[Format, int] = {"webp": 16_383, "jpeg": 65_500, "avif": 32_768}
"""What a format, or its encoder, holds at most."""

_NAMES: dict[Format, str] = {"webp": "WebP", "jpeg": "JPEG", "avif": "AVIF"}
_FULL_COLOUR = 90
"""From this quality on JPEG and AVIF keep a colour for each pixel: on a plain ground halved ones show at the edge."""

_USUAL_QUALITY: dict[Format, int] = {"jpeg": 90, "avif": 85}
_MOST_SEGMENT_BYTES = 65_533
_BAND_BYTES = 2**18
"""So much at a time stays in the processor's cache: with four times as much encoding takes a fifth longer."""

_FILTER_UP = 2
_COLOUR_TYPES = {"L": 0, "RGB": 2, "RGBA": 6}
_FORMATS: dict[Format, str] = {
    "png": PngImagePlugin.PngImageFile.format,
    "webp": WebPImagePlugin.WebPImageFile.format,
    "avif": AvifImagePlugin.AvifImageFile.format,
    "jpeg": JpegImagePlugin.JpegImageFile.format,
}


class _Sink(RawIOBase):
    """A stream without its descriptor: Pillow would give that to encoders which do not tell what the disk said."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def write(self, body: Any, /) -> int:
        """Pass on."""
        return self._stream.write(body)


def missing_encoder(format: Format) -> str:  # noqa: A002 - the word for it everywhere here
    """Say that the Pillow installed here cannot write a format; empty where it can."""
    if format in {"avif", "webp"} and not features.check(format):
        return f"{_NAMES[format]} cannot be written by the Pillow installed here."
    return ""


def encode(
    image: Image.Image | Deepened,
    stream: BinaryIO,
    product: Product,
    *,
    icc: bytes | None = None,
    exif: bytes | None = None,
    dpi: tuple[float, float] | None = None,
    metadata: Metadata = "no-location",
) -> None:
    """Write `image` to `stream` as the product says; a TIFF to its beginning.

    The colour profile is kept always, or colours would change (a mask has none); EXIF and resolution follow
    `metadata`, the resolution where the format has a place for it. Raises OSError where the stream does, InputFault
    where the format cannot hold the picture.
    """
    options: dict[str, Any] = {}
    if icc and image.mode != "L":
        options["icc_profile"] = icc
    if metadata != "none":
        kept = without_location(exif) if exif and metadata == "no-location" else exif
        options |= {"exif": kept} if kept and _holds(product.format, kept) else {}
        options |= {"dpi": dpi} if dpi and product.format in {"png", "tiff", "jpeg"} else {}
    if isinstance(image, Image.Image):
        # Pillow would write what a picture's `info` says where an option is absent.
        image.info.clear()
    try:
        _write(image, stream, product, options)
    except MemoryError as error:
        raise MemoryFault(_SHORT) from error
    except (OSError, ValueError, RuntimeError) as error:
        # An encoder that gets no memory says that it failed. What the stream raises has a number.
        if getattr(error, "errno", None) is not None or has_room(_most_bytes(image.size, product)):
            raise
        raise MemoryFault(_SHORT) from error


def _holds(format: Format, exif: bytes) -> bool:  # noqa: A002 - as above
    """Say whether a format has room for so much EXIF: a JPEG has one segment for it."""
    return format != "jpeg" or len(exif) <= _MOST_SEGMENT_BYTES


def _write(image: Image.Image | Deepened, stream: BinaryIO, product: Product, options: dict[str, Any]) -> None:
    most = _MOST_SIDES.get(product.format, 2**31)
    if max(image.size) > most:
        name = _NAMES[product.format]
        message = (
            f"{name} holds at most {most} pixels a side; this result is {image.size[0]} x {image.size[1]}: "
            "set max_side, or another format."
        )
        raise InputFault(message)
    if missing := missing_encoder(product.format):
        raise UnknownFault(missing)
    if product.format == "avif" and not has_room(_most_bytes(image.size, product)):
        raise MemoryFault(_SHORT)  # its encoder would end the process somewhere in the middle
    if product.format == "tiff":
        write_tiff(image, stream, product.level, options)
    elif isinstance(image, Deepened) or (product.format == "png" and product.level <= _QUICK_LEVEL):
        _write_png(image, stream, product.level, options)
    else:
        image.save(cast("BinaryIO", _Sink(stream)), format=_FORMATS[product.format], **options, **_options(product))


def _most_bytes(size: tuple[int, int], product: Product) -> int:
    full = "full " if product.format == "avif" and (product.quality or 0) >= _FULL_COLOUR else ""
    return most_bytes(size, f"new {full}{product.format}")


def _options(product: Product) -> dict[str, Any]:
    """Give what Pillow's writer of the format wants to be told."""
    quality = product.quality or _USUAL_QUALITY.get(product.format, 0)
    match product.format:
        case "webp":
            # Lossless `quality` is effort; 0 keeps level the one setting of effort. `exact` keeps colours zero where
            # nothing is seen, which costs 1.2 % more bytes: else the subject's are smeared over what is transparent.
            lossless = product.quality is None
            return {"method": product.level, "lossless": lossless, "exact": lossless, "quality": quality}
        case "jpeg":
            return {
                "quality": quality,
                "optimize": product.level > _QUICK_LEVEL,
                "subsampling": 0 if quality >= _FULL_COLOUR else 2,
            }
        case "avif":
            return {
                "quality": quality,
                "speed": 10 - product.level,
                "subsampling": "4:4:4" if quality >= _FULL_COLOUR else "4:2:0",
                # A lane has its threads, and others have theirs.
                "max_threads": 1,
            }
        case _:
            return {"compress_level": product.level}


def _write_png(image: Image.Image | Deepened, stream: BinaryIO, level: int, options: dict[str, Any]) -> None:
    """Write a PNG band by band; the compressed file never stands in memory. Source: PNG specification, 5 to 11."""
    bits = 16 if isinstance(image, Deepened) else 8
    stream.write(b"\x89PNG\r\n\x1a\n")
    _write_chunk(stream, b"IHDR", struct.pack(">IIBBBBB", *image.size, bits, _COLOUR_TYPES[image.mode], 0, 0, 0))
    if icc := options.get("icc_profile"):
        _write_chunk(stream, b"iCCP", b"ICC Profile\0\0" + packed(icc, _QUICK_LEVEL))
    if dpi := options.get("dpi"):
        _write_chunk(stream, b"pHYs", struct.pack(">IIB", *(round(part / 0.0254) for part in dpi), 1))
    if exif := options.get("exif"):
        _write_chunk(stream, b"eXIf", exif.removeprefix(b"Exif\0\0"))
    made = packer(level)
    for band in _filtered(image):
        if body := made.compress(band.data):
            _write_chunk(stream, b"IDAT", body)
    _write_chunk(stream, b"IDAT", made.flush())
    _write_chunk(stream, b"IEND", b"")


def _filtered(image: Image.Image | Deepened) -> Iterator[NDArray[np.uint8]]:
    """Yield bands of rows, each row less the one above it and led by its filter's number."""
    width, height = image.size
    row_bytes = width * len(image.mode) * (2 if isinstance(image, Deepened) else 1)
    above = np.zeros((1, row_bytes), np.uint8)
    rows = max(1, _BAND_BYTES // row_bytes)
    for top in range(0, height, rows):
        found = samples(image, top, min(height, top + rows))
        # Of 16 bits the high byte comes first.
        pixels = np.ascontiguousarray(found, found.dtype.newbyteorder(">")).view(np.uint8).reshape(-1, row_bytes)
        band = np.empty((pixels.shape[0], row_bytes + 1), np.uint8)
        band[:, 0] = _FILTER_UP
        np.subtract(pixels[:1], above, out=band[:1, 1:])
        np.subtract(pixels[1:], pixels[:-1], out=band[1:, 1:])
        above = pixels[-1:]
        yield band


def _write_chunk(stream: BinaryIO, name: bytes, body: bytes) -> None:
    stream.write(struct.pack(">I", len(body)) + name)
    stream.write(body)
    stream.write(struct.pack(">I", crc32(body, crc32(name))))
