"""Screenshots: a window or dialog over a desktop, which is the subject, and a product on a page, which is."""

from __future__ import annotations

import numpy as np

from bgrd.train.raster import Picture, fill, strokes
from bgrd.train.scenes.grounds import photo, studio
from bgrd.train.scenes.layers import Layer, over
from bgrd.train.scenes.materials import lamp
from bgrd.train.scenes.outlines import box, ellipse, polygon, rounded
from bgrd.train.scenes.palette import Colour, colour, vary
from bgrd.train.scenes.parts import fitted, painted_parts, pose, posed
from bgrd.train.scenes.placing import shadowed
from bgrd.train.scenes.shapes import thing
from bgrd.train.scenes.stage import Scene, Stage
from bgrd.train.scenes.subjects import cutout

__all__ = ["draw", "product"]


def draw(stage: Stage) -> Scene:
    """Give a window on a desktop, with its shadow, which is not subject."""
    side = stage.side
    behind = photo(stage) if stage.chance(0.6) else studio(stage)
    if stage.chance(0.3):
        behind = _page(stage, behind, left=0, top=0, right=side, bottom=side) * np.float32(stage.between(0.3, 0.9))
    wide, tall = side * stage.between(0.35, 0.92), side * stage.between(0.3, 0.92)
    left, top = stage.between(0, side - wide), stage.between(0, side - tall)
    radius = side * stage.between(0, 0.04)
    outline = rounded(left, top, left + wide, top + tall, radius=radius)
    cover = fill([outline], width=side, height=side)
    face = _page(stage, np.zeros_like(behind), left=left, top=top, right=left + wide, bottom=top + tall)
    layer = Layer.of(_titled(stage, face, left=left, top=top, right=left + wide), cover)
    behind = shadowed(stage, behind, layer, kinds=(2,))
    return Scene(picture=over(layer, behind), alpha=layer.alpha)


def product(stage: Stage) -> Scene:
    """Give a thing on a white or pale page, with writing beside it that is not subject, and a soft shadow."""
    side = stage.side
    white = np.full((side, side, 3), stage.between(0.92, 1.0), np.float32)
    if stage.chance(0.3):
        white = np.asarray(white * vary(stage.rng, np.ones(3, np.float32), amount=0.08), np.float32)
    if stage.stock.cutouts and stage.chance(0.6):
        layer = cutout(stage, low=0.4, high=0.9)
    else:
        parts = posed(fitted(thing(stage)), pose(stage, tilt=0.3, low=0.4, high=0.9))
        layer = painted_parts(stage, parts, ground=white, light=lamp(stage))
    if stage.chance(0.35):
        white = _written(stage, white, left=0.05 * side, top=0.05 * side, right=side * 0.95, bottom=side * 0.2)
    if stage.chance(0.7):
        white = shadowed(stage, white, layer, kinds=(0, 0, 1, 3))
    return Scene(picture=over(layer, white), alpha=np.clip(layer.alpha, 0, 1))


def _page(stage: Stage, behind: Picture, *, left: float, top: float, right: float, bottom: float) -> Picture:
    """Fill a rectangle as an app does: pale or dark, a bar at its side, blocks, pictures, lines."""
    side = stage.side
    dark = stage.chance(0.3)
    paper = np.full(3, stage.between(0.05, 0.25) if dark else stage.between(0.85, 1.0), np.float32)
    layer = Layer.of(behind, np.ones((side, side), np.float32))
    _block(layer, vary(stage.rng, paper, amount=0.03), left, top, right, bottom)
    bar = left + (right - left) * stage.between(0.15, 0.35) if stage.chance(0.4) else left
    if bar > left:
        _block(layer, vary(stage.rng, paper * np.float32(0.9), amount=0.05), left, top, bar, bottom)
    for _ in range(int(stage.rng.integers(0, 4))):
        x, y = stage.between(bar, right), stage.between(top, bottom)
        wide, tall = (right - bar) * stage.between(0.1, 0.5), (bottom - top) * stage.between(0.05, 0.4)
        _block(layer, colour(stage.rng), x, y, min(x + wide, right), min(y + tall, bottom))
    found = layer.colour
    if stage.chance(0.4):
        wide, tall = int((right - bar) * stage.between(0.3, 0.9)), int((bottom - top) * stage.between(0.2, 0.6))
        if wide > 8 and tall > 8:
            x, y = int(stage.between(bar, right - wide)), int(stage.between(top, bottom - tall))
            found[y : y + tall, x : x + wide] = stage.photo(width=wide, height=tall)
    return _written(stage, found, left=bar + 6, top=top + side * 0.08, right=right - 4, bottom=bottom - 4)


def _block(layer: Layer, tint: Colour, left: float, top: float, right: float, bottom: float) -> None:
    side = layer.alpha.shape[0]
    if right - left > 1 and bottom - top > 1:
        layer.lay(
            np.broadcast_to(tint, (side, side, 3)), fill([box(left, top, right, bottom)], width=side, height=side)
        )


def _written(stage: Stage, picture: Picture, *, left: float, top: float, right: float, bottom: float) -> Picture:
    """Write lines of what looks like words."""
    side, step = stage.side, stage.side * stage.between(0.02, 0.05)
    words = []
    for y in np.arange(top, bottom, step):
        if stage.chance(0.25):
            continue
        x, end = left, left + (right - left) * stage.between(0.3, 1.0)
        while x < end:
            long = step * stage.between(0.5, 3)
            words.append(polygon([[x, y], [min(x + long, right), y]]))
            x += long + step * 0.5
    if not words:
        return picture
    ink = np.full(3, stage.between(0, 0.4) if float(picture.mean()) > 0.5 else stage.between(0.6, 1), np.float32)
    cover = strokes(words, thickness=step * stage.between(0.25, 0.5), width=side, height=side)
    return over(Layer.of(np.broadcast_to(ink, picture.shape).astype(np.float32), cover * np.float32(0.7)), picture)


def _titled(stage: Stage, face: Picture, *, left: float, top: float, right: float) -> Picture:
    """Put a title bar on a window, with round or square buttons."""
    if stage.chance(0.2):
        return face
    side, tall = stage.side, stage.side * stage.between(0.03, 0.08)
    layer = Layer.of(face, np.ones((side, side), np.float32))
    _block(layer, np.full(3, stage.between(0.1, 0.95), np.float32), left, top, right, top + tall)
    first = left + tall if stage.chance(0.5) else right - 3 * tall
    for number, tint in enumerate(((0.93, 0.38, 0.33), (0.95, 0.75, 0.25), (0.3, 0.78, 0.3))):
        shape = ellipse(first + number * tall * 0.8, top + tall / 2, across=tall * 0.22, down=tall * 0.22)
        cover = fill([shape], width=side, height=side)
        layer.lay(np.broadcast_to(np.array(tint, np.float32), (side, side, 3)), cover)
    return layer.colour
