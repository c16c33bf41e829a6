"""Drawn things: lettering, line art, stickers and flat pictures on paper; all within the outermost line is subject."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from bgrd.train.raster import Picture, Plane, Points, blur, dilate, fill, strokes, warp
from bgrd.train.scenes.creatures import beast, bird
from bgrd.train.scenes.figures import person
from bgrd.train.scenes.flutter import butterfly, fish
from bgrd.train.scenes.grounds import ground, studio
from bgrd.train.scenes.layers import Layer
from bgrd.train.scenes.outlines import blob
from bgrd.train.scenes.palette import colour
from bgrd.train.scenes.parts import Part, fitted, pose, posed
from bgrd.train.scenes.placing import stand
from bgrd.train.scenes.shapes import thing
from bgrd.train.scenes.stage import Scene, Stage
from bgrd.train.scenes.textures import surface
from bgrd.train.scenes.vehicles import car
from bgrd.train.scenes.vessels import bottle, vase

__all__ = ["draw", "draw_lettering"]

_LETTERS = "AABCDEEFGHIJKLMNOPQRSTUVWXYZaabcdeefghijklmnopqrstuvwxyz0123456789&!?%+"
_KINDS: tuple[Callable[[Stage], list[Part]], ...] = (thing, beast, bird, person, butterfly, fish, car, bottle, vase)


def draw(stage: Stage) -> Scene:
    """Draw a thing in lines on paper: empty, filled with flat colours, or as a sticker with a white rim."""
    side = stage.side
    parts = posed(fitted(_KINDS[int(stage.rng.integers(len(_KINDS)))](stage)), pose(stage, tilt=0.3, low=0.5, high=1.2))
    behind = studio(stage) if stage.chance(0.65) else ground(stage)
    kind = int(stage.rng.choice(3, p=[0.45, 0.35, 0.2]))
    pale = float(behind.mean()) < 0.45
    ink = np.full(3, stage.between(0.75, 1.0) if pale else stage.between(0.0, 0.2), np.float32)
    thick = stage.scale(0.6, 5)
    layer = Layer.empty(side)
    for part in parts:
        cover, rim = _covered(part, side=side)
        layer.lay(behind if kind == 0 else np.broadcast_to(colour(stage.rng), behind.shape), cover)
        if kind != 1 or stage.chance(0.6):
            layer.lay(np.broadcast_to(ink, behind.shape), strokes(rim, thickness=thick, width=side, height=side))
    if kind == 2:
        layer = _rimmed(stage, layer)
        return stand(stage, layer, behind)
    return stand(stage, layer, behind, floor=False)


def _covered(part: Part, *, side: int) -> tuple[Plane, list[Points]]:
    """Give what a part covers and the lines around it."""
    if part.thickness is not None:
        return strokes(part.outlines, thickness=max(part.thickness, 1.5), width=side, height=side), list(part.outlines)
    closed = [np.concatenate([each, each[:1]]) for each in part.outlines]
    return fill(part.outlines, width=side, height=side, union=part.union), closed


def _rimmed(stage: Stage, layer: Layer) -> Layer:
    """Put a pale rim around a layer, as a sticker has one."""
    wide = dilate(layer.alpha, pixels=int(stage.between(2, 8)))
    pale = np.full((stage.side, stage.side, 3), stage.between(0.9, 1.0), np.float32)
    return Layer.of(pale, np.clip(blur(wide, 1.0), 0, 1)).under(layer)


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def draw_lettering(stage: Stage) -> Scene:
    """Set letters or a mark on a ground: the lettering is subject, with its outline; so is the mark it stands on."""
    side = stage.side
    behind = studio(stage) if stage.chance(0.5) else ground(stage)
    letters = _letters(stage)
    cover = np.clip(letters, 0, 1)
    layer = Layer.of(_filled(stage, behind), cover)
    if stage.chance(0.3):
        wide = np.clip(blur(dilate(cover, pixels=int(stage.between(1, 5))), 0.6), 0, 1)
        layer = Layer.of(np.broadcast_to(colour(stage.rng), behind.shape).astype(np.float32), wide).under(layer)
    if stage.chance(0.3):
        mark = blob(stage.rng, bumps=3, rough=0.15) * np.float32(side * stage.between(0.4, 0.65)) + np.float32(side / 2)
        plate = fill([mark], width=side, height=side)
        layer = Layer.of(_filled(stage, behind), plate).under(layer)
    return stand(stage, layer, behind)


def _filled(stage: Stage, behind: Picture) -> Picture:
    if stage.chance(0.7):
        return np.broadcast_to(colour(stage.rng), behind.shape).astype(np.float32)
    return surface(stage, width=stage.side, height=stage.side)


def _letters(stage: Stage) -> Plane:
    """Give the coverage of one to three lines of one to six letters, large, turned and stretched."""
    side = stage.side
    lines = []
    for _ in range(int(stage.rng.choice([1, 2, 3], p=[0.6, 0.25, 0.15]))):
        picks = stage.rng.integers(len(_LETTERS), size=int(stage.rng.integers(1, 7)))
        lines.append("".join(_LETTERS[pick] for pick in picks))
    text, bold = "\n".join(lines), int(stage.rng.integers(0, 4))
    canvas = Image.new("L", (side, side))
    pen = ImageDraw.Draw(canvas)
    font = _font(64)
    left, top, right, bottom = pen.multiline_textbbox((0, 0), text, font=font, stroke_width=bold)
    canvas = Image.new("L", (int(right - left) + 4, int(bottom - top) + 4))
    ImageDraw.Draw(canvas).multiline_text(
        (2 - left, 2 - top), text, font=font, fill=255, stroke_width=bold, align="center"
    )
    plane = np.asarray(canvas, np.float32) / np.float32(255)
    matrix = pose(stage, tilt=0.3, low=0.5, high=1.1) @ np.diag([2 / plane.shape[1], 2 / plane.shape[1], 1])
    matrix = matrix @ np.array([[1, 0, -plane.shape[1] / 2], [0, 1, -plane.shape[0] / 2], [0, 0, 1]])
    found = warp(plane, matrix, side=(side, side))
    mirrored = float(np.linalg.det(matrix[:2, :2])) < 0
    return np.ascontiguousarray(found[:, ::-1] if mirrored else found, np.float32)
