"""Solid things: heaps, towers, toys, furniture, tools, of ellipsoids, boxes, cylinders and cones."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from bgrd.train.scenes.grounds import ground, studio, table
from bgrd.train.scenes.materials import lamp
from bgrd.train.scenes.placing import stand
from bgrd.train.scenes.rays import Matrix, Solid, rendered
from bgrd.train.scenes.stage import Scene, Stage

__all__ = ["draw"]


def draw(stage: Stage) -> Scene:
    """Render a thing of some solids and set it on a table, in a studio or on any ground."""
    pick = stage.rng.random()
    behind = table(stage) if pick < 0.3 else (studio(stage) if pick < 0.5 else ground(stage))
    things: list[Callable[[Stage], list[Solid]]] = [_heap, _tower, _toy, _toy, _furniture, _tool]
    solids = things[int(stage.rng.integers(len(things)))](stage)
    return stand(stage, rendered(stage, _turned(stage, solids), behind, lamp(stage)), behind)


def _solid(kind: str, middle: tuple[float, float, float], half: tuple[float, float, float], coat: int) -> Solid:
    return Solid(kind=kind, middle=np.array(middle), axes=np.eye(3), half=np.array(half), coat=coat)


def _spin(axis: int, angle: float) -> Matrix:
    found = np.eye(3)
    first, second = [(1, 2), (2, 0), (0, 1)][axis]
    found[first, first] = found[second, second] = np.cos(angle)
    found[first, second], found[second, first] = -np.sin(angle), np.sin(angle)
    return found


def _turned(stage: Stage, solids: list[Solid]) -> list[Solid]:
    """Turn the whole thing about its upright, tip it towards the viewer, and fit it into -1..1."""
    turn = _spin(0, stage.between(-0.1, 0.9)) @ _spin(1, stage.between(-np.pi, np.pi))
    if stage.chance(0.25):
        turn = _spin(2, stage.between(-np.pi, np.pi)) @ turn
    reach = max(float(np.abs(each.middle).max() + each.half.max()) for each in solids)
    return [
        Solid(
            kind=each.kind,
            middle=turn @ each.middle / reach,
            axes=turn @ each.axes,
            half=each.half / reach,
            coat=each.coat,
        )
        for each in solids
    ]


def _heap(stage: Stage) -> list[Solid]:
    found = []
    for _ in range(int(stage.rng.integers(1, 6))):
        kind = str(stage.rng.choice(["ball", "box", "tube", "cone"]))
        one = _solid(
            kind,
            tuple(stage.rng.uniform(-0.6, 0.6, 3)),
            tuple(stage.rng.uniform(0.2, 0.7, 3)),
            int(stage.rng.integers(3)),
        )
        turn = _spin(0, stage.between(-3, 3)) @ _spin(1, stage.between(-3, 3))
        found.append(Solid(kind=one.kind, middle=one.middle, axes=turn, half=one.half, coat=one.coat))
    return found


def _tower(stage: Stage) -> list[Solid]:
    """Give turned pieces on one another: bottle, lamp, chess man, mug, column, rocket."""
    found, y = [], 1.0
    for number in range(int(stage.rng.integers(2, 6))):
        tall, wide = stage.between(0.1, 0.5), stage.between(0.12, 0.5)
        kind = str(stage.rng.choice(["tube", "ball", "cone"], p=[0.5, 0.3, 0.2]))
        found.append(_solid(kind, (0, y - tall, 0), (wide, tall, wide), number % 3))
        y -= 2 * tall * stage.between(0.7, 1.0)
    return found


def _toy(stage: Stage) -> list[Solid]:
    """Give a toy: a body, a head, legs or wheels, ears or a cabin."""
    long, tall, wide = stage.between(0.5, 0.9), stage.between(0.2, 0.45), stage.between(0.25, 0.45)
    body = str(stage.rng.choice(["ball", "box"]))
    found = [_solid(body, (0, 0, 0), (long, tall, wide), 0)]
    if stage.chance(0.5):
        radius = stage.between(0.15, 0.3)
        for x in (-long * 0.6, long * 0.6):
            for z in (-wide, wide):
                wheel = _solid("tube", (x, tall, z), (radius, 0.08, radius), 1)
                found.append(Solid(kind="tube", middle=wheel.middle, axes=_spin(0, np.pi / 2), half=wheel.half, coat=1))
        found.append(_solid(body, (stage.between(-0.2, 0.3), -tall, 0), (long * 0.5, tall * 0.8, wide * 0.85), 2))
    else:
        size = stage.between(0.2, 0.4)
        found.append(_solid("ball", (-long, -tall - size * 0.4, 0), (size, size, size), 0))
        for x in (-long * 0.6, long * 0.6):
            found += [_solid("tube", (x, tall + 0.2, z * wide * 0.6), (0.1, 0.35, 0.1), 1) for z in (-1, 1)]
        found += [_solid("cone", (-long, -tall - size * 1.4, z * size * 0.5), (0.12, 0.25, 0.12), 2) for z in (-1, 1)]
    return found


def _furniture(stage: Stage) -> list[Solid]:
    """Give a chair, table, shelf or bench."""
    wide, deep, thick = stage.between(0.4, 0.9), stage.between(0.35, 0.6), stage.between(0.04, 0.15)
    leg = stage.between(0.03, 0.09)
    kind = "box" if stage.chance(0.5) else "tube"
    found = [_solid("box", (0, 0, 0), (wide, thick, deep), 0)]
    found += [
        _solid(kind, (x * (wide - leg), 0.45, z * (deep - leg)), (leg, 0.45, leg), 1) for x in (-1, 1) for z in (-1, 1)
    ]
    if stage.chance(0.6):
        found.append(_solid("box", (0, -stage.between(0.3, 0.6), deep), (wide, 0.45, thick * 0.7), 2))
    if stage.chance(0.3):
        found.append(_solid("ball", (0, -0.2, 0), (0.25, 0.25, 0.25), 2))
    return found


def _tool(stage: Stage) -> list[Solid]:
    """Give a hammer, dumb-bell, brush or torch: a long piece with something at its end or both."""
    found = [_solid("tube", (0, 0, 0), (stage.between(0.05, 0.15), 0.8, stage.between(0.05, 0.15)), 0)]
    kind = str(stage.rng.choice(["box", "tube", "ball"]))
    half = (stage.between(0.12, 0.5), stage.between(0.1, 0.3), stage.between(0.12, 0.3))
    found.append(_solid(kind, (0, -0.8, 0), half, 1))
    if stage.chance(0.3):
        found.append(_solid(kind, (0, 0.8, 0), half, 1))
    return found
