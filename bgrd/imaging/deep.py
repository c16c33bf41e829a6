"""Samples of 16 bits: read exactly, in two halves, and given to the writers band by band.

Pillow has no colour of 16 bits. Its decoders unpack rows by a raw mode, whose width in bits is all they know of a
sample: read as if the bytes stood the other way round, the same file gives the low bytes where it gave the high ones.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from PIL import Image, ImageChops

from bgrd.imaging.frame import Box, Layout, layout
from bgrd.product import Frame

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.ImageFile import ImageFile

    from bgrd.imaging.picture import Deep, Picture
    from bgrd.product import Product

__all__ = ["REDUCED", "Deepened", "bits_of", "deepened", "low_bytes", "samples"]

REDUCED = "Reduced from 16 to 8 bits."
"""What is noted where a source of 16 bits becomes a result of 8."""

_NATIVE, _SWAPPED = ("L", "B") if sys.byteorder == "little" else ("B", "L")
_ORDERS = {"B": "L", "L": "B", "N": _SWAPPED}
"""From the byte order of a raw mode to the other one; libtiff gives samples as the processor has them."""

_COLOURS = frozenset({"RGB;16", "RGBA;16", "RGBX;16"})
_MOST = 65_535
_PHOTOMETRIC, _PLANES = 262, 284


def low_bytes(image: ImageFile) -> Image.Image | str:
    """Decode the low bytes of an opened PNG's or TIFF's samples of 16 bits: mode L, LA, RGB or RGBA, as the file lies.

    Gives the reason, the end of a sentence, where the file is of a kind of which only the high bytes are had. Uses
    the image up. Raises what decoding does. Peak memory: 4 bytes a pixel, grey 3.
    """
    tags = getattr(image, "tag_v2", {})
    rawmode = _rawmode(image)
    if tags.get(_PLANES, 1) != 1:
        return "its colours lie in separate planes"
    if rawmode.startswith("RGBa"):
        return "its colours are multiplied by their opacity"
    if image.mode in {"I;16", "I;16B"} and tags.get(_PHOTOMETRIC, 1) == 1:
        image.load()
        return _low_grey(image)
    if rawmode == "LA;16B":  # two samples of 16 bits are unpacked as four of 8
        return Image.merge("LA", _unpacked(image, "RGBA").split()[1::2])
    if rawmode[:-1] not in _COLOURS:
        return "it is neither RGB nor grey of 16 bits"
    return _unpacked(image, rawmode[:-1] + _ORDERS[rawmode[-1]])


def bits_of(image: ImageFile) -> int:
    """Give the bits a sample has in an opened PNG or TIFF whose pixels are not decoded yet: 16, or else 8."""
    return 16 if ";16" in _rawmode(image) else 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Deepened:
    """A result of 16 bits a sample, made band by band; like an image it has `mode` (L or RGBA), `size` and bands.

    `alpha` is the opacity (L) by which the picture's own is multiplied.
    """

    picture: Picture
    deep: Deep
    alpha: Image.Image
    plan: Layout
    mode: Literal["L", "RGBA"]

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.plan.canvas

    def rows(self, top: int, bottom: int) -> NDArray[np.uint16]:
        """Give the rows from `top` to before `bottom`: (rows, width, 1 or 4), zero where opacity is."""
        made = np.zeros((bottom - top, self.size[0], len(self.mode)), np.uint16)
        left, upper, right, _lower = self.plan.box
        across, down = self.plan.at
        first, last = max(top, down), min(bottom, down + self.plan.size[1])
        if first >= last:
            return made
        box = (left, upper + first - down, right, upper + last - down)
        shown = made[first - top : last - top, across : across + right - left]
        shown[:, :, -1] = self._opacity(box)
        if self.mode == "RGBA":
            shown[:, :, :3] = self._colours(box)
            shown[shown[:, :, 3] == 0] = 0
        return made

    def _opacity(self, box: Box) -> NDArray[np.uint32]:
        """Give round(alpha * own / 255), which is alpha in 16 bits times the picture's own; halves never occur."""
        alpha = np.asarray(self.alpha.crop(box)).astype(np.uint32)
        return (alpha * self._own(box) + np.uint32(127)) // np.uint32(255)

    def _own(self, box: Box) -> NDArray[np.uint32] | np.uint32:
        """Give the picture's own opacity in 16 bits."""
        if self.deep.key is not None:
            hidden = (self._colours(box) == np.array(self.deep.key, np.uint16)).all(axis=2)
            return np.where(hidden, 0, _MOST).astype(np.uint32)
        if not self.deep.low.mode.endswith("A"):
            return np.uint32(_MOST)
        low = _pixels(self.deep.low, box)[:, :, -1].astype(np.uint32)
        own = self.picture.alpha
        high = np.uint32(255) if own is None else np.asarray(own.crop(box)).astype(np.uint32)
        return np.left_shift(high, 8, dtype=np.uint32) | low

    def _colours(self, box: Box) -> NDArray[np.uint16]:
        """Give the samples of a part (rows, width, 3); a grey one stands three times."""
        high = _pixels(self.picture.image, box).astype(np.uint16)
        low = _pixels(self.deep.low, box)
        low = low[:, :, : 3 if self.deep.low.mode.startswith("RGB") else 1]
        return np.left_shift(high, 8, dtype=np.uint16) | low


def deepened(
    picture: Picture, alpha: Image.Image, product: Product, *, subject: Box | None = None, cleaned: bool = False
) -> Deepened | str:
    """Give what a product shows in 16 bits, as `compose` does in 8; or the reason why it cannot, a sentence's end.

    `picture` is one with `deep`. `cleaned` says that the subject's colours are not the picture's. Takes no pixels of
    its own but a mask for a background; the picture must stay as it is until the result is written.
    """
    if product.ground.kind != "transparent":
        return "it stands on a ground"
    if product.shadow is not None:
        return "it has a shadow"
    if cleaned and product.kind == "cutout":
        return "its colours are cleaned"
    bare = product.kind == "background"
    frame = Frame(max_side=product.frame.max_side) if bare else product.frame
    plan = layout(alpha.size, frame, subject=None if bare else subject)
    if plan.size != (plan.box[2] - plan.box[0], plan.box[3] - plan.box[1]):
        return "it is scaled"
    if picture.deep is None:
        message = "a picture without low bytes has no result of 16 bits"
        raise AssertionError(message)
    return Deepened(
        picture=picture,
        deep=picture.deep,
        alpha=ImageChops.invert(alpha) if bare else alpha,
        plan=plan,
        mode="L" if product.kind == "mask" else "RGBA",
    )


def samples(image: Image.Image | Deepened, top: int, bottom: int) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """Give the rows from `top` to before `bottom` of what is written: (rows, width) or (rows, width, bands)."""
    if isinstance(image, Deepened):
        return image.rows(top, bottom)
    return np.asarray(image.crop((0, top, image.width, bottom)))


def _rawmode(image: ImageFile) -> str:
    """Name how the rows of an opened file are unpacked; empty where there are none."""
    args = image.tile[0].args if image.tile else ""
    return args if isinstance(args, str) else str((args or ("",))[0])


def _unpacked(image: ImageFile, rawmode: str) -> Image.Image:
    """Decode with another raw mode of the same width."""
    image.tile = [
        tile._replace(args=rawmode if isinstance(tile.args, str) else (rawmode, *(tile.args or ())[1:]))
        for tile in image.tile
    ]
    image.load()
    return image


def _low_grey(image: Image.Image) -> Image.Image:
    """Give the low bytes of a grey picture of 16 bits, by bands."""
    low = Image.new("L", image.size)
    rows = max(1, 2**20 // image.width)
    for top in range(0, image.height, rows):
        box = (0, top, image.width, min(image.height, top + rows))
        low.paste(Image.fromarray((np.asarray(image.crop(box)) & 255).astype(np.uint8)), box)
    return low


def _pixels(image: Image.Image, box: Box) -> NDArray[np.uint8]:
    """Give a part of an image as (rows, width, bands)."""
    part = np.asarray(image.crop(box))
    return part.reshape(*part.shape[:2], -1)
