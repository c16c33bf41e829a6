"""Whether the memory a picture takes can be had at all.

Image libraries hide a shortage: libwebp "could not create decoder object", libjpeg and libheif speak of broken data,
libavif of colour planes. What they say of a picture is believed only where there was room for it.
"""

from __future__ import annotations

import numpy as np

__all__ = ["has_room", "most_bytes"]

_BYTES_PER_PIXEL = {"WEBP": 18, "AVIF": 14, "HEIF": 14}
_BYTES_PER_PIXEL_ELSE = 12
"""What decoding takes at most, measured at 12 million pixels, rounded up: JPEG 5 (progressive 11), PNG 10, TIFF 8."""

_SPARE_BYTES = 8 * 2**20
"""What the decoders need whatever the size is."""


def most_bytes(size: tuple[int, int], name: str) -> int:
    """Give the bytes that decoding a picture of this size and format may take."""
    return size[0] * size[1] * _BYTES_PER_PIXEL.get(name, _BYTES_PER_PIXEL_ELSE) + _SPARE_BYTES


def has_room(byte_count: int) -> bool:
    """Say whether so many bytes could be had now. They are asked for and given back; no page of them is touched."""
    try:
        np.empty(byte_count, np.uint8)
    except (MemoryError, ValueError):  # more than can be asked for is a ValueError
        return False
    return True
