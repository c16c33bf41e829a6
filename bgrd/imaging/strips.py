"""A picture as a TIFF file, strip by strip: the compressed file never stands in memory.

Pillow's own writer for compressed files does not: it hands libtiff the descriptor, and what the disk says is lost.
Source: TIFF 6.0, 2, 7 and 14; Adobe's technical note on Deflate (compression 8).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from PIL import Image, TiffImagePlugin

from bgrd.imaging.deep import Deepened, samples
from bgrd.imaging.deflate import packed

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["write_tiff"]

_STRIP_BYTES = 2**20
_LONG = 4
_DEFLATE, _RAW = 8, 1
_GREY, _RGB = 1, 2
_OPACITY = 2
"""An extra sample that colours are not multiplied by."""

_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _OFFSETS, _SAMPLES, _ROWS, _COUNTS = (
    256,
    257,
    258,
    259,
    262,
    273,
    277,
    278,
    279,
)
_ACROSS, _DOWN, _PLANES, _UNIT, _PREDICTOR, _EXTRA, _PROFILE = 282, 283, 284, 296, 317, 338, 34675
_INCH = 2


def write_tiff(image: Image.Image | Deepened, stream: BinaryIO, level: int, options: dict[str, Any]) -> None:
    """Write an L, RGB or RGBA image, or one of 16 bits, to the beginning of a stream.

    Level 0 is without compression, 1 to 9 are Deflate.
    `options` are icc_profile, exif and dpi, as Pillow has them. Raises OSError where the stream does.
    """
    width, height = image.size
    rows = min(height, max(1, _STRIP_BYTES // (width * len(image.mode) * (2 if isinstance(image, Deepened) else 1))))
    tops = range(0, height, rows)
    directory = _directory(image, level, options)
    directory[_ROWS] = rows
    for tag in (_OFFSETS, _COUNTS):
        directory.tagtype[tag] = _LONG
    counts = [0] * len(tops)
    # Written twice, at the same length: how long the strips are is known last, and it stands first.
    _save(directory, stream, counts)
    for index, top in enumerate(tops):
        strip = _strip(samples(image, top, min(height, top + rows)), level)
        stream.write(strip)
        counts[index] = len(strip)
    end = stream.tell()
    stream.seek(0)
    _save(directory, stream, counts)
    stream.seek(end)


def _directory(
    image: Image.Image | Deepened, level: int, options: dict[str, Any]
) -> TiffImagePlugin.ImageFileDirectory_v2:
    directory = TiffImagePlugin.ImageFileDirectory_v2()
    if exif := options.get("exif"):
        kept = Image.Exif()
        kept.load(exif)
        for tag in kept:
            directory[tag] = dict(kept.get_ifd(tag)) if tag in {0x8769, 0x8825} else kept[tag]
    bands = len(image.mode)
    directory[_WIDTH], directory[_HEIGHT] = image.size
    directory[_BITS] = (16 if isinstance(image, Deepened) else 8,) * bands
    directory[_COMPRESSION] = _DEFLATE if level else _RAW
    directory[_PHOTOMETRIC] = _GREY if bands == 1 else _RGB
    directory[_SAMPLES], directory[_PLANES] = bands, 1
    if level:
        directory[_PREDICTOR] = 2
    if bands == 4:
        directory[_EXTRA] = (_OPACITY,)
    if dpi := options.get("dpi"):
        directory[_ACROSS], directory[_DOWN] = dpi
        directory[_UNIT] = _INCH
    if icc := options.get("icc_profile"):
        directory[_PROFILE] = icc
    return directory


def _save(directory: TiffImagePlugin.ImageFileDirectory_v2, stream: BinaryIO, counts: list[int]) -> None:
    """Write header and directory; the writer adds where they end to each strip's offset."""
    starts = np.cumsum([0, *counts[:-1]])
    directory[_COUNTS], directory[_OFFSETS] = tuple(counts), tuple(int(start) for start in starts)
    directory.save(stream)


def _strip(pixels: NDArray[np.uint8] | NDArray[np.uint16], level: int) -> bytes:
    """Give rows as they stand, or each sample less the one to its left and compressed."""
    if pixels.dtype == np.uint16:
        pixels = np.ascontiguousarray(pixels, "<u2")  # as the header says
    if not level:
        return pixels.tobytes()
    rows = pixels.copy()
    np.subtract(pixels[:, 1:], pixels[:, :-1], out=rows[:, 1:])
    return packed(rows.data.cast("B"), level)
