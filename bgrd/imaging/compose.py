"""Picture and opacity to what a product shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PIL import Image, ImageChops

from bgrd.imaging.foreground import laid

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bgrd.imaging.foreground import Patch
    from bgrd.imaging.picture import Picture
    from bgrd.job import Product

__all__ = ["compose"]

_HIDDEN = [255] + [0] * 255
"""Table from opacity to a mask of what is gone."""


def compose(
    picture: Picture,
    alpha: Image.Image,
    product: Product,
    *,
    cleaned: Sequence[Patch] = (),
    consume: bool = False,
) -> Image.Image:
    """Give a cut-out as RGBA, or as RGB on the product's colour, or the mask as L; size and place of the picture.

    `cleaned` are the subject's colours where they are not the picture's. A picture's own opacity is multiplied in.
    Where a cut-out is fully transparent its colour is zero, so that the background is gone and not hidden. Copies: one
    RGB(A) picture, unless `consume` allows the picture's pixels to be reused (nothing else may need them then), and
    one or two L masks.
    """
    opacity = ImageChops.multiply(alpha, picture.alpha) if picture.alpha is not None else alpha
    if product.kind == "mask":
        return opacity
    image = picture.image if consume else picture.image.copy()
    laid(image, cleaned)
    if product.colour is not None:
        image.paste(product.colour, None, ImageChops.invert(opacity))
        return image
    image.putalpha(opacity)
    image.paste((0, 0, 0, 0), None, opacity.point(_HIDDEN, "1"))
    return image
