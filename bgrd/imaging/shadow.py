"""The soft shadow a subject throws on what it stands on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PIL import Image, ImageFilter

if TYPE_CHECKING:
    from bgrd.product import Shadow

__all__ = ["shadow_of"]

_SHORT_RADIUS = 4


def shadow_of(opacity: Image.Image, shadow: Shadow, *, at: tuple[int, int], canvas: tuple[int, int]) -> Image.Image:
    """Give the opacity (L, the canvas's size) of the shadow of what lies at `at`.

    What falls outside the canvas is lost. Two L pictures of the canvas's size at most; the blur is made at a reduced
    one.
    """
    longest = max(canvas)
    step_right, step_down = (round(share * longest) for share in shadow.offset)
    dark = Image.new("L", canvas)
    dark.paste(opacity, (at[0] + step_right, at[1] + step_down))
    radius = shadow.size * longest
    step = max(1, int(radius / _SHORT_RADIUS))
    soft = dark.reduce(step).filter(ImageFilter.GaussianBlur(radius / step))
    del dark
    soft = soft.point([round(value * shadow.opacity) for value in range(256)])
    return soft if soft.size == canvas else soft.resize(canvas, Image.Resampling.BILINEAR, box=_box(canvas, step))


def _box(canvas: tuple[int, int], step: int) -> tuple[float, float, float, float]:
    """Give the canvas in reduced coordinates: the last column and row may stand for less than a whole step."""
    return 0.0, 0.0, canvas[0] / step, canvas[1] / step
