"""People: of two bones a limb, clothed, in any stride, holding something or not."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bgrd.train.raster import Points
from bgrd.train.scenes.grounds import outdoors
from bgrd.train.scenes.materials import Material, coloured, material, metal
from bgrd.train.scenes.outlines import capsule, ellipse, limb, moved
from bgrd.train.scenes.palette import colour, earthy, skinlike
from bgrd.train.scenes.parts import Part
from bgrd.train.scenes.placing import shown
from bgrd.train.scenes.stage import Scene, Stage
from bgrd.train.scenes.textures import surface

__all__ = ["draw", "person"]


def draw(stage: Stage) -> Scene:
    """Set one to four people on a ground, all of them subject, each with what they hold."""
    count = int(stage.rng.choice([1, 2, 3, 4], p=[0.5, 0.25, 0.15, 0.1]))
    return shown(stage, [person(stage) for _ in range(count)], outdoors(stage), tilt=0.1, low=0.5, high=1.7)


def person(stage: Stage) -> list[Part]:
    """Give a person about 2 units tall, in any stride, at times with a thing in the hand."""
    flesh = Material(surface=coloured(stage, skinlike(stage.rng), amount=0.04), bulge=0.8)
    shirt, trousers = _cloth(stage), _cloth(stage)
    hair = Material(surface=coloured(stage, earthy(stage.rng) * np.float32(0.6), amount=0.2), bulge=0.6, bump=1.0)
    shoulder, hip = stage.between(0.17, 0.26), stage.between(0.13, 0.2)
    lean = stage.between(-0.12, 0.12)
    top = np.array([lean, -0.55])
    torso = limb(np.array([top, [lean / 2, -0.25], [0, 0.05]]), np.array([shoulder, (shoulder + hip) / 2.2, hip]))
    legs = [
        _joined(stage, np.array([side * hip * 0.5, 0.05]), bones=(0.45, 0.45), spread=0.35, thick=(0.11, 0.05))
        for side in (-1, 1)
    ]
    arms = [
        _joined(stage, np.add(top, (side * shoulder * 0.85, 0.02)), bones=(0.3, 0.28), spread=0.8, thick=(0.075, 0.04))
        for side in (-1, 1)
    ]
    head = ellipse(top[0], top[1] - 0.3, across=0.1, down=0.135)
    crown = ellipse(top[0] + 0.01, top[1] - 0.36, across=0.115, down=stage.between(0.08, 0.12))
    feet = [ellipse(leg[1][-1, 0] - 0.03, leg[1][-1, 1] + 0.02, across=0.09, down=0.04) for leg in legs]
    hands = [ellipse(arm[1][-1, 0], arm[1][-1, 1], across=0.045, down=0.05) for arm in arms]
    sleeved = stage.chance(0.6)
    parts = [
        Part(outlines=feet, made=_cloth(stage), union=True),
        Part(outlines=[leg[0] for leg in legs], made=trousers, union=True),
        Part(outlines=[arms[0][0]], made=shirt if sleeved else flesh),
        Part(
            outlines=[capsule(top, np.add(top, (0, -0.22)), first=0.06, last=0.05), head, *hands],
            made=flesh,
            union=True,
        ),
        Part(outlines=[torso], made=shirt),
        Part(outlines=[arms[1][0]], made=shirt if sleeved else flesh),
        Part(outlines=[crown], made=hair),
    ]
    return [*parts, *_held(stage, arms[1][1][-1])]


def _held(stage: Stage, spot: NDArray[np.float64]) -> list[Part]:
    """Give a bag, ball or box, or a stick, in the hand at `spot`; or nothing."""
    if stage.chance(0.35):
        thing = ellipse(0, 0, across=0.2, down=stage.between(0.06, 0.25), power=stage.scale(1.5, 6))
        return [Part(outlines=[moved(thing, x=spot[0], y=spot[1] + 0.1)], made=material(stage))]
    if stage.chance(0.2):
        end = spot + stage.rng.uniform(-0.6, 0.6, 2)
        return [Part(outlines=[np.array([spot, end], np.float32)], made=metal(stage), thickness=0.04)]
    return []


def _cloth(stage: Stage) -> Material:
    if stage.chance(0.6):
        made = coloured(stage, colour(stage.rng), amount=0.12)
    else:

        def made(width: int, height: int) -> NDArray[np.float32]:
            return surface(stage, width=width, height=height)

    return Material(surface=made, bulge=stage.between(0.4, 0.9), bump=stage.between(0, 1.5), ambient=0.45, diffuse=0.65)


def _joined(
    stage: Stage, start: NDArray[np.float64], *, bones: tuple[float, float], spread: float, thick: tuple[float, float]
) -> tuple[Points, NDArray[np.float64]]:
    """Give an arm or leg of two bones that hangs down, each swung by up to `spread`; its outline and its joints."""
    first = stage.between(-spread, spread)
    second = first + stage.between(-spread, spread)
    elbow = start + bones[0] * np.array([np.sin(first), np.cos(first)])
    joints = np.array([start, elbow, elbow + bones[1] * np.array([np.sin(second), np.cos(second)])])
    return limb(joints, np.array([thick[0], sum(thick) / 2, thick[1]])), joints
