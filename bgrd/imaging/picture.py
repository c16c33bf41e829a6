"""What decoding gives and composing takes: one upright picture in memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["Deep", "Picture"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Deep:
    """What a source of 16 bits a sample has beside its high bytes, upright and of the picture's size.

    `low` holds the low bytes in mode L, LA, RGB or RGBA; `key` is the one colour that is transparent, in 16 bits.
    """

    low: Image.Image
    key: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A decoded picture, upright: `image` is mode RGB, `alpha` mode L of the same size or None where all is opaque.

    `icc` is an RGB profile that belongs to `image`; `exif` carries neither orientation nor thumbnail; `dpi` is
    (across, down) after turning upright; `notes` are short sentences on what was changed or left out. Where `deep` is
    there, `image` and `alpha` are exactly the source's high bytes.
    """

    image: Image.Image
    alpha: Image.Image | None = None
    icc: bytes | None = None
    exif: bytes | None = None
    dpi: tuple[float, float] | None = None
    deep: Deep | None = None
    format: str = ""
    notes: tuple[str, ...] = ()
