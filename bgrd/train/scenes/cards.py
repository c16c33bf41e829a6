"""Flat things in perspective: banknotes, cards, books, screens, signs, boxes; printed, framed, lying or held up."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from bgrd.train.raster import Picture, Points, perspective
from bgrd.train.scenes.beside import held
from bgrd.train.scenes.grounds import ground, table
from bgrd.train.scenes.materials import Material, coloured, material
from bgrd.train.scenes.outlines import blob, box, ellipse, moved, polygon, rounded, smooth
from bgrd.train.scenes.palette import colour, kin, vary
from bgrd.train.scenes.parts import Part, posed
from bgrd.train.scenes.placing import laid, stand
from bgrd.train.scenes.stage import Scene, Stage
from bgrd.train.scenes.textures import marble, patterned, surface

__all__ = ["draw"]


def draw(stage: Stage) -> Scene:
    """Set a flat thing or a box on a table or any ground, one in three in a hand."""
    kinds: list[Callable[[Stage], list[Part]]] = [_note, _book, _device, _package, _sign]
    thing = kinds[int(stage.rng.choice(5, p=[0.4, 0.2, 0.12, 0.2, 0.08]))](stage)
    behind = table(stage) if stage.chance(0.3) else ground(stage)
    layer = laid(stage, [thing], behind, tilt=np.pi if stage.chance(0.4) else 0.3, low=0.45, high=1.4)
    return held(stage, layer, behind) if stage.chance(0.35) else stand(stage, layer, behind)


def _tipped(stage: Stage, parts: list[Part], *, half: float) -> list[Part]:
    """Tip a flat thing, 1 wide to each side and `half` tall, away from the viewer."""
    corners = np.array([[-1, -half], [1, -half], [1, half], [-1, half]], np.float32)
    moved_to = corners + stage.rng.uniform(-0.25, 0.25, (4, 2)).astype(np.float32) * np.array([1, half], np.float32)
    return posed(parts, perspective(corners, moved_to))


def _print(stage: Stage) -> Material:
    """Give printed paper: a fine pattern, a blotched tone, or a photo."""
    kind = stage.rng.random()
    tints = vary(stage.rng, kin(stage.rng, 3) * np.float32(0.5) + np.float32(0.45), amount=0.05)

    def made(width: int, height: int) -> Picture:
        if kind < 0.4:
            picture = patterned(stage, width=width, height=height)
            return np.asarray(picture * np.float32(0.35) + tints[0] * np.float32(0.65), np.float32)
        if kind < 0.7:
            return marble(stage, width=width, height=height, colours=tints)
        return surface(stage, width=width, height=height)

    return Material(surface=made, bulge=0.05, rim=0.1, ambient=0.7, diffuse=0.35)


def _lines(stage: Stage, left: float, top: float, right: float, bottom: float) -> Part:
    """Give lines of writing within a box."""
    step = stage.between(0.05, 0.14)
    lines = []
    for y in np.arange(top + step / 2, bottom, step):
        end = left + (right - left) * stage.between(0.5, 1.0)
        lines.append(polygon([[left, y], [max(end, left + 0.02), y]]))
    ink = Material(surface=coloured(stage, colour(stage.rng) * np.float32(0.5)), bulge=0)
    return Part(
        outlines=lines or [polygon([[left, top], [right, top]])], made=ink, thickness=step * stage.between(0.15, 0.5)
    )


def _note(stage: Stage) -> list[Part]:
    """Give a banknote or card: its print, a frame, a portrait, a seal, numbers; half of them bent or creased."""
    half = stage.between(0.38, 0.62)
    edge = stage.between(0.03, 0.12)
    paper = Material(
        surface=coloured(stage, vary(stage.rng, np.full(3, 0.85, np.float32), amount=0.06), amount=0.06), bulge=0.05
    )
    face, x = blob(stage.rng, bumps=4, rough=0.12), stage.between(-0.7, 0.7)
    outline = box(-1, -half, 1, half) if stage.chance(0.7) else rounded(-1, -half, 1, half, radius=0.08)
    parts = [
        Part(outlines=[outline], made=paper),
        Part(outlines=[box(-1 + edge, -half + edge, 1 - edge, half - edge)], made=_print(stage)),
        Part(outlines=[moved(face, x=x, y=0, scale=(half * 0.55, half * 0.75))], made=_print(stage)),
        Part(outlines=[ellipse(-x, 0, across=0.2, down=0.2)], made=_print(stage)),
        _lines(stage, -0.9, -half + edge, -0.3, -half + 0.3),
        _lines(stage, 0.3, half - 0.3, 0.9, half - edge),
    ]
    if stage.chance(0.5):
        parts = [_bent(part, bow=stage.between(-0.18, 0.18)) for part in parts]
    return _tipped(stage, parts, half=half)


def _bent(part: Part, *, bow: float) -> Part:
    """Bend a flat thing as paper bends: its edges' middles moved up or down."""

    def bent(points: Points) -> Points:
        between = (
            np.concatenate([_between(points, np.roll(points, -1, 0)), points[:1]]) if part.thickness is None else points
        )
        found = between.copy()
        found[:, 1] += np.float32(bow) * (1 - between[:, 0] ** 2)
        return found

    return Part(outlines=[bent(each) for each in part.outlines], made=part.made, thickness=part.thickness)


def _between(points: Points, following: Points) -> Points:
    steps = np.linspace(0, 1, 8, endpoint=False, dtype=np.float32)[:, None, None]
    return np.asarray((points + steps * (following - points)).transpose(1, 0, 2).reshape(-1, 2), np.float32)


def _book(stage: Stage) -> list[Part]:
    """Give a book, a framed picture or a poster."""
    half = stage.between(0.6, 1.5)
    edge = stage.between(0.02, 0.15)
    parts = [Part(outlines=[box(-1, -half, 1, half)], made=material(stage))]
    inner = Part(outlines=[box(-1 + edge, -half + edge, 1 - edge, half - edge)], made=_print(stage))
    parts.append(inner)
    if stage.chance(0.6):
        top = stage.between(-half + 0.2, half - 0.5)
        parts.append(_lines(stage, -0.7, top, 0.7, top + 0.4))
    if stage.chance(0.5):
        thick = stage.between(0.03, 0.2)
        pages = polygon([[1, -half], [1 + thick, -half + thick], [1 + thick, half + thick], [1, half]])
        foot = polygon([[-1, half], [1, half], [1 + thick, half + thick], [-1 + thick, half + thick]])
        white = Material(surface=coloured(stage, np.full(3, stage.between(0.5, 0.95), np.float32), amount=0.2), bulge=0)
        parts += [Part(outlines=[pages], made=white), Part(outlines=[foot], made=white)]
    return _tipped(stage, parts, half=half)


def _device(stage: Stage) -> list[Part]:
    """Give a telephone, tablet or screen."""
    half = stage.between(0.55, 2.0)
    edge = stage.between(0.03, 0.1)
    shell = Material(
        surface=coloured(stage, np.full(3, stage.between(0.02, 0.9), np.float32)), bulge=0.2, rim=0.1, gloss=0.4
    )
    screen = Material(surface=lambda width, height: surface(stage, width=width, height=height), bulge=0)
    parts = [
        Part(outlines=[rounded(-1, -half, 1, half, radius=0.15)], made=shell),
        Part(outlines=[rounded(-1 + edge, -half + edge, 1 - edge, half - edge, radius=0.1)], made=screen),
    ]
    tiles: list[NDArray[np.float32]] = []
    for x in (-0.6, 0.0, 0.6):
        for y in np.arange(-half + 0.4, half - 0.2, 0.5):
            tiles.append(rounded(x - 0.18, float(y) - 0.15, x + 0.18, float(y) + 0.15, radius=0.05))  # noqa: PERF401 # reads better
    if stage.chance(0.5) and tiles:
        parts.append(Part(outlines=tiles, made=material(stage)))
    return _tipped(stage, parts, half=half)


def _package(stage: Stage) -> list[Part]:
    """Give a box from a corner: three faces of different light, print on two."""
    tall, deep = stage.between(0.4, 1.4), stage.between(0.3, 0.9)
    lift = stage.between(0.1, 0.4)
    front = polygon([[-1, -tall / 2], [0.1, -tall / 2 + lift * 0.4], [0.1, tall / 2 + lift * 0.4], [-1, tall / 2]])
    side = polygon(
        [[0.1, -tall / 2 + lift * 0.4], [0.1 + deep, -tall / 2], [0.1 + deep, tall / 2], [0.1, tall / 2 + lift * 0.4]]
    )
    top = polygon(
        [
            [-1, -tall / 2],
            [0.1, -tall / 2 + lift * 0.4],
            [0.1 + deep, -tall / 2],
            [-1 + deep * 1.05, -tall / 2 - lift * 0.4],
        ]
    )
    base = colour(stage.rng)
    tones = [
        Material(surface=coloured(stage, np.clip(base * np.float32(light), 0, 1)), bulge=0)
        for light in (1.0, 0.65, 1.25)
    ]
    parts = [Part(outlines=[face], made=tone) for face, tone in zip((front, side, top), tones, strict=True)]
    if stage.chance(0.7):
        middle = front.mean(0)
        shrink = np.float32(stage.between(0.4, 0.95))
        parts.append(Part(outlines=[middle + (front - middle) * shrink], made=_print(stage)))
    if stage.chance(0.5):
        parts.append(_lines(stage, -0.8, -tall * 0.2, -0.1, tall * 0.3))
    return parts


def _sign(stage: Stage) -> list[Part]:
    """Give a sign on a pole, or a balloon or kite on a string."""
    face = [
        ellipse(0, -0.5, across=0.45, down=0.45),
        rounded(-0.5, -0.9, 0.5, -0.2, radius=0.08),
        polygon([[0.0, -1.0], [0.5, -0.15], [-0.5, -0.15]]),
    ]
    shape = face[int(stage.rng.integers(3))]
    middle = shape.mean(0)
    pole = smooth([[0, -0.3], [stage.between(-0.1, 0.1), 0.4], [0, 1.0]], closed=False)
    return [
        Part(outlines=[pole], made=material(stage), thickness=stage.between(0.02, 0.08)),
        Part(outlines=[shape], made=material(stage)),
        Part(outlines=[middle + (shape - middle) * np.float32(0.82)], made=material(stage)),
    ]
