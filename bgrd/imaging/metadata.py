"""What of a picture's EXIF may stay in its result.

A result never carries what shows or tells the picture it was cut from: no thumbnail, no maker note (they hold
previews, serial numbers and offsets that break on rewriting), no XMP, IPTC or Photoshop block (they may hold
locations in forms nobody can list).
"""

from __future__ import annotations

import math
import struct
from typing import Any

from PIL import ExifTags, Image

__all__ = ["BROKEN_METADATA", "kept_exif", "orientation_and_exif", "resolution", "without_location"]

BROKEN_METADATA = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    RuntimeError,
    EOFError,
    AssertionError,
    struct.error,
)
"""What reading or writing garbage metadata is known to raise."""

_MOST_EXIF_BYTES = 2**20
"""A JPEG holds 64 KB of it, preview and all; whoever puts more into a picture does not mean it to be carried on."""

_MOST_VALUE_BYTES = 2**16
_MOST_DPI = 100_000.0

_TAGS = frozenset(
    {270, 271, 272, 282, 283, 296, 305, 306, 315, 33432, 18246, 18249, 34665, 34853, 40091, 40092, 40093, 40094, 40095},
)
"""Title, maker, model, resolution, software, date, author, rights, rating, the Exif and GPS directories."""

_LEFT_OUT = frozenset({37500, 40965, 40962, 40963, 59932})
"""In the Exif directory: maker note, interoperability, the old pixel size, padding."""


def kept_exif(exif: Image.Exif) -> bytes | None:
    """Give the EXIF block a result may carry, without orientation, or None where nothing is left.

    Raises one of BROKEN_METADATA on garbage.
    """
    kept = Image.Exif()
    for tag in _TAGS & set(exif):
        if tag == ExifTags.IFD.Exif:
            _set(kept, tag, {key: value for key, value in exif.get_ifd(tag).items() if key not in _LEFT_OUT})
        elif tag == ExifTags.IFD.GPSInfo:
            _set(kept, tag, dict(exif.get_ifd(tag)))
        else:
            _set(kept, tag, exif[tag])
    block = kept.tobytes() if len(kept) else None
    return block if block and len(block) <= _MOST_EXIF_BYTES else None


def without_location(exif: bytes) -> bytes | None:
    """Give the EXIF block without its GPS directory, or None where nothing else is left or the block is garbage."""
    parsed = Image.Exif()
    try:
        parsed.load(exif)
        kept = Image.Exif()
        for tag in set(parsed) - {ExifTags.IFD.GPSInfo}:
            kept[tag] = dict(parsed.get_ifd(tag)) if tag == ExifTags.IFD.Exif else parsed[tag]
        return kept.tobytes() if len(kept) else None
    except BROKEN_METADATA:
        return None


def _set(exif: Image.Exif, tag: int, value: Any) -> None:
    """Take over a value, or what of a directory is there, unless it is larger than any camera's."""
    if isinstance(value, dict):
        value = {key: part for key, part in value.items() if not _excessive(part)}
    if value != {} and not _excessive(value):
        exif[tag] = value


def _excessive(value: Any) -> bool:
    return isinstance(value, str | bytes | tuple) and len(value) > _MOST_VALUE_BYTES


def resolution(image: Image.Image) -> tuple[float, float] | None:
    """Give the resolution in dots per inch, across and down, where it is two sensible numbers."""
    try:
        across, down = (float(part) for part in image.info["dpi"])
    except BROKEN_METADATA:
        return None
    sensible = all(math.isfinite(part) and 0.0 < part <= _MOST_DPI for part in (across, down))
    return (across, down) if sensible else None


def orientation_and_exif(image: Image.Image, notes: list[str]) -> tuple[int, bytes | None]:
    """Read the EXIF orientation (1 where there is none) and the block that may be kept; garbage is noted in `notes`."""
    try:
        exif = image.getexif()
        orientation = exif.get(ExifTags.Base.Orientation)
        excessive = len(image.info.get("exif") or b"") > _MOST_EXIF_BYTES
        kept = None if excessive else kept_exif(exif)
        if excessive:
            notes.append("The EXIF block is larger than any camera's and was left out.")
    except BROKEN_METADATA:
        notes.append("The EXIF block is damaged and was ignored.")
        return 1, None
    return (orientation if isinstance(orientation, int) else 1), kept
