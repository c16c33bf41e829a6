"""Whether the memory a picture takes can be had at all.

Image libraries hide a shortage: libwebp "could not create decoder object", libjpeg and libheif speak of broken data,
libavif of colour planes. What they say of a picture is believed only where there was room for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

__all__ = ["has_room", "most_bytes", "rarer"]

_BYTES_PER_PIXEL = {
    "WEBP": 18,
    "AVIF": 14,
    "HEIF": 8.5,
    "deep HEIF": 10.5,
    "full HEIF": 15,
    "deep full HEIF": 23,
    "deep PNG": 15,
    "deep TIFF": 18,
}
_BYTES_PER_NEW_PIXEL = {"new webp": 33, "new avif": 29, "new full avif": 42, "new jpeg": 8, "new tiff": 8, "new png": 8}
"""What encoding takes at most beside the picture, measured at 12 million pixels with noise and its file, rounded up.

WebP lossless 31.5, lossy 19; AVIF 27, with a colour at every pixel (full) 40; JPEG with its own tables 6.8; TIFF 2.
"""

_BYTES_PER_PIXEL_ELSE = 12
"""What decoding takes at most, measured at 12 million pixels, rounded up: JPEG 5 (progressive 11), PNG 10, TIFF 8.

HEIF as phones write it 7.2 at 24 and 48 million without its file; with a colour at every pixel 10.4, with opacity 9.9.
At 6 million, where the first takes 6.3: of more than 8 bits 8; both 13.5; a colour at every pixel and more than 8 bits
15.6, with opacity 21.2.
PNG and TIFF whose low bytes are kept (deep), with opacity: 13, TIFF in one strip 16.
"""

_SPARE_BYTES = 8 * 2**20
"""What the decoders need whatever the size is."""


def most_bytes(size: tuple[int, int], name: str) -> int:
    """Give the bytes that decoding a picture of this size and format may take; `name` may be a `rarer` one.

    For encoding `name` is "new" and the product's format, as in "new avif", or its larger kind "new full avif".
    """
    known = _BYTES_PER_PIXEL | _BYTES_PER_NEW_PIXEL
    return int(size[0] * size[1] * known.get(name, _BYTES_PER_PIXEL_ELSE)) + _SPARE_BYTES


def rarer(name: str, *, mode: str, info: Mapping[Any, Any]) -> str:
    """Name the kind of a format by what an opened picture's header says: other kinds take other amounts."""
    if name != "HEIF":
        return name
    deep = "" if info.get("bit_depth") == 8 else "deep "
    full = "" if mode in {"RGB", "L"} and info.get("chroma") in {400, 420} else "full "
    return f"{deep}{full}HEIF"


def has_room(byte_count: int) -> bool:
    """Say whether so many bytes could be had now. They are asked for and given back; no page of them is touched."""
    try:
        np.empty(byte_count, np.uint8)
    except (MemoryError, ValueError):  # more than can be asked for is a ValueError
        return False
    return True
