"""Pictures that show what figures do not: photo, truth, result and cut-out side by side, and a sheet of many."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from bgrd.imaging.ground import checkerboard
from bgrd.train.evaluate import Judge, Judged, read_pair

__all__ = ["contact_sheet", "draw_worst", "side_by_side", "write_sides"]

_WORST = 24
"""So many fill a sheet that is still looked at."""

_JPEG_QUALITY = 90

_GAP = 4
_SHEET_COLUMNS = 2
_SHEET_TILE = 150
_STRIP = (4 * _SHEET_TILE + 3 * _GAP, _SHEET_TILE)
"""What a strip is shrunk to; one that was is left as it is."""

_CAPTION_HEIGHT = 16
_CAPTION_LETTERS = 96
_NAME_BYTES = 110
_PAPER, _INK = (255, 255, 255), (20, 20, 20)


def side_by_side(photo: Image.Image, truth: Image.Image, result: Image.Image) -> Image.Image:
    """Put photo (RGB), truth (L), result (L) and the cut-out over a checkerboard beside each other, in their size."""
    cut = checkerboard(photo.size)
    cut.paste(photo, None, result)
    width, height = photo.size
    whole = Image.new("RGB", (4 * width + 3 * _GAP, height), _PAPER)
    for number, tile in enumerate((photo, truth, result, cut)):
        whole.paste(tile.convert("RGB"), (number * (width + _GAP), 0))
    return whole


def contact_sheet(strips: Sequence[tuple[str, Image.Image]]) -> Image.Image:
    """Put strips of `side_by_side`, in tiles of one size, in two columns; each has its caption above it.

    Raises ValueError where there are none.
    """
    if not strips:
        message = "a sheet of no pictures"
        raise ValueError(message)
    width, height = _STRIP[0], _STRIP[1] + _CAPTION_HEIGHT + _GAP
    lines = -(-len(strips) // _SHEET_COLUMNS)
    sheet = Image.new("RGB", (_SHEET_COLUMNS * (width + 2 * _GAP), lines * height), _PAPER)
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=11)
    for number, (caption, strip) in enumerate(strips):
        x, y = _GAP + (number % _SHEET_COLUMNS) * (width + 2 * _GAP), number // _SHEET_COLUMNS * height
        pen.text((x, y), caption[:_CAPTION_LETTERS], fill=_INK, font=font)
        small = strip.copy()
        small.thumbnail(_STRIP)
        sheet.paste(small, (x, y + _CAPTION_HEIGHT))
    return sheet


def write_sides(place: Path, number: int, judged: Judged, result: Image.Image) -> None:
    """Write the strip of one picture, the `number`-th; sorted by name the worst come first. Raises OSError."""
    picture, truth = read_pair(judged.entry)
    source, stem = _short(judged.entry.source), _short(judged.entry.image.stem)
    name = f"{judged.figures.iou:.3f}-{source}-{number}-{stem}.jpg"
    side_by_side(picture.image, truth, result).save(place / name, quality=_JPEG_QUALITY)


def _short(text: str) -> str:
    """Give what may stand in a file's name, cut so that two of them fit into one."""
    kept = os.fsencode(text.replace("/", "_").replace("\0", "_"))[:_NAME_BYTES]
    return kept.decode(errors="ignore")


def draw_worst(path: Path, judge: Judge, found: Sequence[Judged]) -> None:
    """Draw the 24 worst by intersection over union, the worst first. Raises OSError."""
    strips = []
    for each in sorted(found, key=lambda judged: judged.figures.iou)[:_WORST]:
        picture, truth = read_pair(each.entry)
        strip = side_by_side(picture.image, truth, judge.opacity(picture))
        strip.thumbnail(_STRIP)  # at once: two dozen at full size take gigabytes
        caption = f"{each.figures.iou:.3f}  {each.entry.source}  {each.entry.category}  {each.entry.image.name}"
        strips.append((caption, strip))
    contact_sheet(strips).save(path, format="PNG")
