"""Picture and opacity to what a product shows."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from PIL import Image, ImageChops

from bgrd.imaging.foreground import laid
from bgrd.imaging.frame import Box, Layout, layout
from bgrd.imaging.ground import checkerboard, spread
from bgrd.imaging.shadow import shadow_of
from bgrd.product import Frame

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bgrd.imaging.foreground import Patch
    from bgrd.imaging.picture import Picture
    from bgrd.product import Product

__all__ = ["compose", "whole_opacity"]

_HIDDEN = [255] + [0] * 255
"""Table from opacity to a mask of what is gone."""

_FILTER = Image.Resampling.BICUBIC
_GAP = 3.0


def whole_opacity(picture: Picture, alpha: Image.Image) -> Image.Image:
    """Give the opacity with the picture's own multiplied in: what a screenshot had made transparent stays so."""
    return ImageChops.multiply(alpha, picture.alpha) if picture.alpha is not None else alpha


def compose(
    picture: Picture,
    alpha: Image.Image,
    product: Product,
    *,
    subject: Box | None = None,
    grounds: Sequence[Picture] = (),
    cleaned: Sequence[Patch] = (),
    consume: bool = False,
) -> Image.Image:
    """Give what a product shows: mode `product.shows`, laid out by its frame.

    `alpha` (L) has the picture's size, and its own opacity is multiplied in here. `subject` is the box to trim to,
    `grounds` are the recipe's pictures, `cleaned` the subject's colours where they are not the picture's. Where a
    result is fully transparent its colour is zero, so that the background is gone and not hidden. A result in the
    picture's own frame costs one RGB(A) copy, unless `consume` allows its pixels to be reused (nothing else may need
    them then), and one or two L masks; another frame the part that is shown and the canvas, cleaned colours a copy.
    """
    opacity = whole_opacity(picture, alpha)
    match product.kind:
        case "mask":
            return _mask(opacity, layout(opacity.size, product.frame, subject=subject))
        case "background":
            bare = replace(product, kind="cutout", ground=type(product.ground)(), shadow=None, frame=_own(product))
            return _cut_out(picture, whole_opacity(picture, ImageChops.invert(alpha)), bare, (), consume=consume)
        case "compare":
            return _compare(picture, _recoloured(picture, cleaned), opacity, product, grounds)
        case "cutout":
            plan = layout(opacity.size, product.frame, subject=subject)
            behind, picture = picture, _recoloured(picture, cleaned)
            reuse = consume or picture is not behind
            return _cut_out(picture, opacity, product, grounds, plan=plan, behind=behind, consume=reuse)


def _recoloured(picture: Picture, cleaned: Sequence[Patch]) -> Picture:
    """Give the picture with the subject's own colours: a copy, or itself where there are none."""
    if not cleaned:
        return picture
    laid(image := picture.image.copy(), cleaned)
    return replace(picture, image=image)


def _own(product: Product) -> Frame:
    """Give the picture's own frame, no longer than the product may be."""
    return Frame(max_side=product.frame.max_side)


def _mask(opacity: Image.Image, plan: Layout) -> Image.Image:
    if plan.plain:
        return opacity
    shown = opacity.crop(plan.box)
    shown = shown.resize(plan.size, _FILTER, reducing_gap=_GAP) if shown.size != plan.size else shown
    if plan.size == plan.canvas:
        return shown
    canvas = Image.new("L", plan.canvas)
    canvas.paste(shown, plan.at)
    return canvas


def _cut_out(
    picture: Picture,
    opacity: Image.Image,
    product: Product,
    grounds: Sequence[Picture],
    *,
    plan: Layout | None = None,
    behind: Picture | None = None,
    consume: bool = False,
) -> Image.Image:
    """Give a cut-out; `behind` is the picture as it was, of which a blurred ground is made."""
    plan = plan or layout(opacity.size, product.frame)
    ground = product.ground
    if plan.plain and product.shadow is None and ground.kind in {"transparent", "colour"}:
        image = picture.image if consume else picture.image.copy()
        if ground.kind == "transparent":
            return _transparent(image, opacity)
        image.paste(ground.colour, None, ImageChops.invert(opacity))
        return image
    below = None
    if ground.kind != "transparent":
        below = spread(ground, plan.canvas, picture=behind or picture, opacity=opacity, pictures=grounds)
        if plan.plain and product.shadow is None:
            below.paste(picture.image, None, opacity)
            return below
    return _placed(_shown(picture, opacity, plan), plan, product, below)


def _transparent(image: Image.Image, opacity: Image.Image) -> Image.Image:
    """Make an RGB image of one's own transparent, and its colour zero where nothing of it is seen."""
    image.putalpha(opacity)
    return _cleared(image, opacity)


def _cleared(image: Image.Image, opacity: Image.Image) -> Image.Image:
    """Make the colour of an RGBA image of one's own zero where its opacity is."""
    image.paste((0, 0, 0, 0), None, opacity.point(_HIDDEN, "1"))
    return image


def _shown(picture: Picture, opacity: Image.Image, plan: Layout) -> Image.Image:
    """Give the part that is shown as RGBA at its size: made smaller with its colours weighed by their opacity.

    Otherwise what lies hidden beside an edge would shine into it as a dark or light fringe.
    """
    shown = _transparent(picture.image.crop(plan.box), opacity.crop(plan.box))
    if shown.size == plan.size:
        return shown
    shown = shown.convert("RGBa").resize(plan.size, _FILTER, reducing_gap=_GAP).convert("RGBA")
    return _cleared(shown, shown.getchannel("A"))  # what rounds to no opacity has kept a trace of its colour


def _placed(shown: Image.Image, plan: Layout, product: Product, below: Image.Image | None) -> Image.Image:
    """Put what is shown, and its shadow under it, on the ground, or on nothing."""
    dark = None
    if product.shadow is not None:
        dark = shadow_of(shown.getchannel("A"), product.shadow, at=plan.at, canvas=plan.canvas)
    if below is not None:
        if dark is not None:
            below.paste((0, 0, 0), None, dark)
        below.paste(shown, plan.at, shown)
        return below
    if dark is None and plan.size == plan.canvas:
        return shown
    canvas = Image.new("RGBA", plan.canvas)
    if dark is None:
        canvas.paste(shown, plan.at)
    else:
        canvas.putalpha(dark)
        canvas.alpha_composite(shown, plan.at)
    return canvas


def _compare(
    picture: Picture, recoloured: Picture, opacity: Image.Image, product: Product, grounds: Sequence[Picture]
) -> Image.Image:
    """Put the picture and its cut-out side by side; a checkerboard stands for transparency."""
    width, height = opacity.size
    pair = layout((2 * width, height), _own(product)).canvas
    plan = Layout(box=(0, 0, width, height), size=(half := (max(1, pair[0] // 2), pair[1])), at=(0, 0), canvas=half)
    before = checkerboard(half)
    own = picture.alpha if picture.alpha is not None else Image.new("L", opacity.size, 255)
    before.paste(shown := _shown(picture, own, plan), None, shown)
    if product.ground.kind == "transparent":
        below = checkerboard(half)
    else:
        below = spread(product.ground, half, picture=picture, opacity=opacity, pictures=grounds)
    after = _placed(_shown(recoloured, opacity, plan), plan, product, below)
    canvas = Image.new("RGB", (2 * half[0], half[1]))
    canvas.paste(before)
    canvas.paste(after, (half[0], 0))
    return canvas
