"""Thin things: bicycles, rackets, chairs, lamps, plants, wires, scissors; what one sees through them is ground."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from bgrd.train.raster import Points
from bgrd.train.scenes.figures import person
from bgrd.train.scenes.grounds import ground, outdoors
from bgrd.train.scenes.materials import Material, coloured, material, metal, painted
from bgrd.train.scenes.outlines import capsule, ellipse, moved, polygon, smooth
from bgrd.train.scenes.palette import colour, vary
from bgrd.train.scenes.parts import Part
from bgrd.train.scenes.placing import shown
from bgrd.train.scenes.stage import Scene, Stage

__all__ = ["draw"]


def draw(stage: Stage) -> Scene:
    """Set a thin thing on a ground."""
    kinds: list[Callable[[Stage], list[Part]]] = [_bicycle, _racket, _chair, _lamp, _plant, _plant, _wire, _scissors]
    thing = kinds[int(stage.rng.integers(len(kinds)))](stage)
    return shown(stage, [thing], outdoors(stage) if stage.chance(0.5) else ground(stage), tilt=0.2, low=0.6, high=1.4)


def _bar(stage: Stage) -> Material:
    return painted(stage) if stage.chance(0.6) else metal(stage)


def _ring(x: float, y: float, radius: float) -> Points:
    circle = ellipse(x, y, across=radius, down=radius)
    return np.concatenate([circle, circle[:1]])


def _bicycle(stage: Stage) -> list[Part]:
    """Give a bicycle, half of them ridden."""
    frame, rubber = _bar(stage), Material(surface=coloured(stage, np.full(3, 0.06, np.float32)), bulge=0.5)
    radius = stage.between(0.3, 0.4)
    back, front, crank = np.array([-0.6, 0.3]), np.array([0.6, 0.3]), np.array([-0.12, 0.32])
    saddle, head = np.array([-0.28, -0.25]), np.array([0.42, -0.25])
    tube = stage.between(0.025, 0.06)
    spokes = []
    for middle in (back, front):
        for turn in np.linspace(0, np.pi, int(stage.rng.integers(4, 12)), endpoint=False):
            arm = radius * np.array([np.cos(turn), np.sin(turn)])
            spokes.append(polygon([middle - arm, middle + arm]))
    lines = [[back, crank, head, saddle, back], [crank, saddle], [front, head, np.add(head, (-0.02, -0.14))]]
    bars = smooth([np.add(head, (-0.02, -0.14)), np.add(head, (0.1, -0.2)), np.add(head, (0.16, -0.08))], closed=False)
    parts = [
        Part(outlines=spokes, made=metal(stage), thickness=0.008),
        Part(
            outlines=[_ring(x, y, radius) for x, y in (back, front)], made=rubber, thickness=stage.between(0.03, 0.07)
        ),
        Part(outlines=[polygon(line) for line in lines], made=frame, thickness=tube),
        Part(outlines=[bars], made=rubber, thickness=tube),
        Part(outlines=[capsule([-0.38, -0.3], [-0.2, -0.29], first=0.04, last=0.02)], made=rubber),
        Part(outlines=[_ring(-0.12, 0.32, 0.07)], made=metal(stage), thickness=0.02),
    ]
    if stage.chance(0.5):
        for part in person(stage):
            moved_on = [moved(each, x=-0.2, y=-0.35, scale=(0.72, 0.72), angle=0.25) for each in part.outlines]
            parts.append(Part(outlines=moved_on, made=part.made, union=part.union, thickness=part.thickness))
    return parts


def _racket(stage: Stage) -> list[Part]:
    across, down = stage.between(0.25, 0.4), stage.between(0.35, 0.5)
    head = ellipse(0, -0.5, across=across, down=down)
    step = stage.between(0.05, 0.12)
    strings = []
    for x in np.arange(-across + step, across, step):
        reach = down * np.sqrt(1 - (x / across) ** 2)
        strings.append(polygon([[x, -0.5 - reach], [x, -0.5 + reach]]))
    for y in np.arange(-down + step, down, step):
        reach = across * np.sqrt(1 - (y / down) ** 2)
        strings.append(polygon([[-reach, y - 0.5], [reach, y - 0.5]]))
    made = _bar(stage)
    shaft = [polygon([[-0.12, -0.06], [0, 0.2], [0, 0.5]]), polygon([[0.12, -0.06], [0, 0.2]])]
    return [
        Part(
            outlines=strings,
            made=Material(surface=coloured(stage, np.full(3, stage.between(0.1, 0.95), np.float32)), bulge=0),
            thickness=0.008,
        ),
        Part(outlines=[np.concatenate([head, head[:1]]), *shaft], made=made, thickness=stage.between(0.03, 0.06)),
        Part(outlines=[capsule([0, 0.45], [0, 0.95], first=0.05, last=0.055)], made=material(stage)),
    ]


def _chair(stage: Stage) -> list[Part]:
    """Give a chair, stool or table on thin legs, from a corner."""
    made = _bar(stage) if stage.chance(0.5) else material(stage)
    thick, back = stage.between(0.03, 0.1), stage.between(0.5, 0.95)
    shift, deep = stage.between(0.15, 0.5), stage.between(0.05, 0.2)
    seat = polygon([[-0.45, 0], [0.45 - shift, 0], [0.45, -deep * 1.4], [-0.45 + shift, -deep * 1.4]])
    splay = stage.between(0, 0.15)
    legs = [polygon([[x, y], [x * (1 + splay), y + 0.8]]) for x, y in seat * 0.95]
    parts = [Part(outlines=legs, made=made, thickness=thick), Part(outlines=[seat], made=material(stage))]
    if stage.chance(0.7):
        posts = [polygon([seat[2], seat[2] + [0.04, -back]]), polygon([seat[3], seat[3] + [0.04, -back]])]
        rails = [
            polygon([posts[0][0] + (posts[0][1] - posts[0][0]) * at, posts[1][0] + (posts[1][1] - posts[1][0]) * at])
            for at in np.linspace(0.4, 1, int(stage.rng.integers(1, 5)))
        ]
        parts.append(Part(outlines=[*posts, *rails], made=made, thickness=thick))
    return parts


def _lamp(stage: Stage) -> list[Part]:
    """Give a lamp or stand: a foot, a bent pole, a shade or sign."""
    made = _bar(stage)
    pole = smooth([[0, 0.95], [stage.between(-0.15, 0.15), 0.2], [stage.between(-0.4, 0.4), -0.6]], closed=False)
    top = pole[-1]
    wide = stage.between(0.15, 0.45)
    shade = [
        moved(
            polygon([[-wide * 0.5, -0.3], [wide * 0.5, -0.3], [wide, 0.12], [-wide, 0.12]]),
            x=top[0],
            y=top[1],
            angle=stage.between(-0.5, 0.5),
        )
    ]
    return [
        Part(outlines=[pole], made=made, thickness=stage.scale(0.02, 0.07)),
        Part(outlines=[ellipse(0, 0.95, across=stage.between(0.15, 0.35), down=0.05)], made=made),
        Part(outlines=shade, made=material(stage)),
    ]


def _plant(stage: Stage) -> list[Part]:
    """Give a plant: stalks, leaves on them, at times blossoms and a pot."""
    rng = stage.rng
    green = vary(rng, np.array([0.25, 0.45, 0.15], np.float32), amount=0.12)
    parts: list[Part] = []
    wide, long = stage.between(0.03, 0.12), stage.between(0.12, 0.4)
    stalks, leaves, blossoms = [], [], []
    for _ in range(int(rng.integers(1, 7))):
        tip = stage.between(-0.7, 0.7), stage.between(-1, -0.2)
        stalk = smooth([[0.0, 0.5], [tip[0] * 0.3, 0.1], [tip[0], tip[1]]], closed=False)
        stalks.append(stalk)
        blossoms.append(ellipse(tip[0], tip[1], across=long * 0.5, down=long * 0.4, power=stage.scale(1, 3)))
        for at in stalk[:: int(rng.integers(1, 5))]:
            leaf = smooth([[0.0, 0.0], [0.4, -wide / long], [1.0, 0.0], [0.4, wide / long]])
            leaves.append(moved(leaf, angle=rng.uniform(-np.pi, 0.3), x=at[0], y=at[1], scale=(long, long)))
    parts.append(
        Part(
            outlines=stalks,
            made=Material(surface=coloured(stage, green * np.float32(0.7))),
            thickness=stage.between(0.01, 0.04),
        )
    )
    tones = [Material(surface=coloured(stage, vary(rng, green, amount=0.08), amount=0.15), bulge=0.3) for _ in range(3)]
    parts += [Part(outlines=leaves[tone::3], made=tones[tone], union=True) for tone in range(3) if leaves[tone::3]]
    if stage.chance(0.4):
        parts.append(
            Part(outlines=blossoms, made=Material(surface=coloured(stage, colour(rng), amount=0.2)), union=True)
        )
    if stage.chance(0.6):
        pot = polygon([[-0.3, 0.45], [0.3, 0.45], [0.22, 0.95], [-0.22, 0.95]])
        parts.append(Part(outlines=[pot], made=material(stage)))
    return parts


def _wire(stage: Stage) -> list[Part]:
    """Give a bent wire, rope or cable, open or closed."""
    points = stage.rng.uniform(-1, 1, (int(stage.rng.integers(4, 9)), 2))
    return [Part(outlines=[smooth(points, closed=False)], made=_bar(stage), thickness=stage.scale(0.03, 0.14))]


def _scissors(stage: Stage) -> list[Part]:
    open_by, handle = stage.between(0.05, 0.5), _bar(stage)
    blade = polygon([[0, 0.05], [-0.06, -0.1], [0, -0.95], [0.05, -0.1]])
    parts = []
    for side in (-1, 1):
        parts.append(Part(outlines=[moved(blade, angle=side * open_by / 2)], made=metal(stage)))
        ring = ellipse(side * -0.22, 0.6, across=0.16, down=0.26)
        arm = polygon([[0.0, 0.0], [side * -0.14, 0.38]])
        both = [np.concatenate([ring, ring[:1]]), arm]
        parts.append(
            Part(outlines=[moved(each, angle=side * open_by / 2) for each in both], made=handle, thickness=0.09)
        )
    return parts
