"""What part of a picture a result shows, at what size, and where in what canvas: numbers only."""

from __future__ import annotations

import math
from dataclasses import dataclass

from PIL import Image

from bgrd.errors import InputFault
from bgrd.product import Anchor, Frame

__all__ = ["Box", "Layout", "layout", "subject_box"]

Box = tuple[int, int, int, int]

_SEEN = 25
"""Opacity above which a pixel belongs to the subject, a tenth: models leave fainter traces far from it."""

_MOST_PIXELS = 2**28
"""A wide margin around a large picture would be a canvas that no program opens."""

_SEEN_TABLE = [0] * (_SEEN + 1) + [255] * (255 - _SEEN)
_SHARES: dict[Anchor, tuple[float, float]] = {
    "center": (0.5, 0.5),
    "top": (0.5, 0.0),
    "bottom": (0.5, 1.0),
    "left": (0.0, 0.5),
    "right": (1.0, 0.5),
    "top-left": (0.0, 0.0),
    "top-right": (1.0, 0.0),
    "bottom-left": (0.0, 1.0),
    "bottom-right": (1.0, 1.0),
}
"""How much of the free room lies left of and above what is shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """`box` of the picture, brought to `size`, lies at `at` in a result of the size `canvas`."""

    box: Box
    size: tuple[int, int]
    at: tuple[int, int]
    canvas: tuple[int, int]

    @property
    def plain(self) -> bool:
        """Whether the result is the picture's own frame, pixel by pixel."""
        return self.box == (0, 0, *self.size) and self.size == self.canvas


def subject_box(opacity: Image.Image) -> Box | None:
    """Give the smallest box that holds all that can be seen of the subject, None where nothing can."""
    return opacity.point(_SEEN_TABLE, "1").getbbox()


def layout(size: tuple[int, int], frame: Frame, *, subject: Box | None = None) -> Layout:
    """Lay a picture of this size out; `subject` is what it is trimmed to, None shows it whole.

    What is shown lies wholly inside the canvas. Raises InputFault where the canvas would be larger than any picture.
    """
    box = subject if frame.trim and subject is not None else (0, 0, *size)
    shown = (box[2] - box[0], box[3] - box[1])
    canvas, scale = _fixed(shown, frame) if frame.canvas is not None else _grown(shown, frame)
    if canvas[0] * canvas[1] > _MOST_PIXELS:
        message = f"The result would be {canvas[0]} x {canvas[1]} pixels, more than any picture has: set max_side."
        raise InputFault(message)
    rim = round(frame.margin * max(canvas))
    across, down = (min(max(1, round(side * scale)), room) for side, room in zip(shown, canvas, strict=True))
    share = _SHARES[frame.anchor]
    return Layout(
        box=box,
        size=(across, down),
        at=(_offset(canvas[0] - across, rim, share[0]), _offset(canvas[1] - down, rim, share[1])),
        canvas=canvas,
    )


def _fixed(shown: tuple[int, int], frame: Frame) -> tuple[tuple[int, int], float]:
    """Give the canvas as it is set, and the scale by which what is shown fits into it less the margin."""
    canvas = frame.canvas or shown
    rim = 2 * round(frame.margin * max(canvas))
    scale = min(max(1, room - rim) / side for room, side in zip(canvas, shown, strict=True))
    return canvas, scale if frame.enlarge else min(1.0, scale)


def _grown(shown: tuple[int, int], frame: Frame) -> tuple[tuple[int, int], float]:
    """Give the smallest canvas that has the margin and the aspect, shrunk to the longest side, and that scale."""
    if frame.aspect is None:
        rim = max(shown) * frame.margin / (1 - 2 * frame.margin)
        wanted = (shown[0] + 2 * round(rim), shown[1] + 2 * round(rim))
    else:
        wanted = _with_aspect(shown, frame.aspect, frame.margin)
    scale = min(1.0, frame.max_side / max(wanted)) if frame.max_side else 1.0
    return (max(1, round(wanted[0] * scale)), max(1, round(wanted[1] * scale))), scale


def _with_aspect(shown: tuple[int, int], aspect: tuple[int, int], margin: float) -> tuple[int, int]:
    """Give the smallest size of this aspect that holds what is shown and a margin around it."""
    rim = 2 * margin * max(aspect)
    unit = max(side / (part - rim) for side, part in zip(shown, aspect, strict=True))
    # What is a hair above a whole number by rounding is that number.
    across, down = (math.ceil(round(part * unit, 6)) for part in aspect)
    return across, down


def _offset(room: int, rim: int, share: float) -> int:
    """Share out the free room on an axis, with the margin on both sides where there is room for it."""
    rim = min(rim, room // 2)
    return rim + round((room - 2 * rim) * share)
