"""Creatures: four legs and a tail, and birds; furry or bare, alone, in pairs or ridden."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from bgrd.train.raster import Points
from bgrd.train.scenes.figures import person
from bgrd.train.scenes.grounds import outdoors
from bgrd.train.scenes.materials import Material, coloured
from bgrd.train.scenes.outlines import capsule, ellipse, limb, moved, smooth
from bgrd.train.scenes.palette import Colour, colour, earthy, vary
from bgrd.train.scenes.parts import Part
from bgrd.train.scenes.placing import shown
from bgrd.train.scenes.stage import Scene, Stage
from bgrd.train.scenes.textures import fur, grain, marble, surface

__all__ = ["beast", "bird", "draw"]


def draw(stage: Stage) -> Scene:
    """Set a beast or bird on a ground, one in four ridden, one in eight a pair of them; half of them are furry."""
    if stage.chance(0.25):
        things = [bird(stage)]
    else:
        things = [beast(stage, ridden=stage.chance(0.25)) for _ in range(2 if stage.chance(0.12) else 1)]
    hair = stage.scale(0.006, 0.03) if stage.chance(0.5) else 0.0
    return shown(stage, things, outdoors(stage), tilt=0.12, low=0.5, high=1.4, hair=hair)


def hide(stage: Stage) -> Material:
    """Give a coat: strands, blotches, stripes or bare, mostly of earth's colours."""
    rng = stage.rng
    tints: Colour = vary(rng, np.array([earthy(rng)] * 3), amount=0.1)
    if stage.chance(0.35):
        tints[1] = earthy(rng) if stage.chance(0.6) else rng.choice([0.05, 0.95])
    match int(rng.choice(4, p=[0.45, 0.2, 0.25, 0.1])):
        case 0:

            def made(width: int, height: int) -> NDArray[np.float32]:
                return fur(stage, width=width, height=height, colours=tints)
        case 1:

            def made(width: int, height: int) -> NDArray[np.float32]:
                return marble(stage, width=width, height=height, colours=tints)
        case 2:

            def made(width: int, height: int) -> NDArray[np.float32]:
                return grain(stage, width=width, height=height, base=tints[0], amount=0.12)
        case _:

            def made(width: int, height: int) -> NDArray[np.float32]:
                return surface(stage, width=width, height=height)

    return Material(
        surface=made,
        bulge=stage.between(0.5, 1.1),
        bump=stage.between(0, 1.2),
        ambient=stage.between(0.3, 0.6),
        diffuse=stage.between(0.4, 0.8),
        gloss=stage.between(0, 0.25),
    )


def _leg(stage: Stage, x: float, top: float, *, length: float, thick: float) -> Points:
    """Give a leg of two bones and a foot, swung as in a stride."""
    swing, knee = stage.between(-0.5, 0.5), stage.between(-0.35, 0.35)
    joints = np.array([[x, top]] * 4, np.float64)
    joints[1] += (length * 0.5 * np.sin(swing), length * 0.5)
    joints[2] = joints[1] + (length * 0.5 * np.sin(swing + knee), length * 0.46)
    joints[3] = joints[2] + (-thick * 0.9, thick * 0.15)
    return limb(joints, np.array([thick * 1.7, thick * 0.8, thick * 0.55, thick * 0.5]))


def beast(stage: Stage, *, ridden: bool = False) -> list[Part]:
    """Give a beast on four legs, looking left: horse, dog, cow, cat, goat, or what lies between."""
    coat = hide(stage)
    far = replace(coat, ambient=coat.ambient * 0.6, diffuse=coat.diffuse * 0.6)
    girth, legs = stage.between(0.17, 0.3), stage.between(0.35, 0.75)
    thick = stage.between(0.035, 0.08)
    spine = np.array([[-0.45, 0], [-0.15, stage.between(-0.02, 0.05)], [0.2, 0], [0.48, stage.between(-0.04, 0.06)]])
    body = limb(spine, girth * np.array([0.95, 1.0, stage.between(0.75, 1.05), 0.95]))
    reach, rise = stage.between(0.12, 0.35), stage.between(-0.05, 0.55)
    head = np.array([-0.5 - reach, -girth * 0.5 - rise])
    neck = limb(
        np.array([[-0.42, -girth * 0.2], np.add(head, (-0.42, -girth)) / 2, head]), girth * np.array([0.8, 0.55, 0.42])
    )
    long, drop = stage.between(0.1, 0.3), stage.between(0, 0.22)
    skull = girth * stage.between(0.4, 0.65)
    muzzle = capsule(head, np.add(head, (-long, drop)), first=skull, last=skull * stage.between(0.4, 0.8))
    ears = [
        moved(
            ellipse(0, -skull, across=skull * 0.35, down=skull * stage.between(0.5, 1.2)),
            angle=turn,
            x=head[0] + 0.03,
            y=head[1],
        )
        for turn in (stage.between(-0.2, 0.5), stage.between(0.2, 0.9))
    ]
    tail = _tail(stage, girth)
    bottom = girth * 0.5
    hind = [_leg(stage, x, bottom * 0.6, length=legs, thick=thick) for x in (-0.36, 0.42)]
    near = [_leg(stage, x, bottom * 0.6, length=legs, thick=thick) for x in (-0.42, 0.47)]
    eye = ellipse(head[0] - skull * 0.4, head[1] - skull * 0.1, across=skull * 0.14, down=skull * 0.14)
    dark = Material(surface=coloured(stage, np.full(3, 0.05, np.float32)), gloss=0.8)
    parts = [
        Part(outlines=hind, made=far, union=True),
        Part(outlines=[tail, *ears, *near, body, neck, muzzle], made=coat, union=True),
        Part(outlines=[eye], made=dark),
    ]
    if stage.chance(0.3):
        mane = smooth(np.concatenate([neck[:12:3], head[None] + [0.05, -skull]]) + stage.rng.normal(0, 0.02, (5, 2)))
        parts.insert(2, Part(outlines=[mane], made=hide(stage)))
    if ridden:
        parts += [
            replace(part, outlines=[moved(each, x=-0.05, y=-girth, scale=(0.5, 0.5)) for each in part.outlines])
            for part in person(stage)
        ]
    return parts


def _tail(stage: Stage, girth: float) -> Points:
    base = np.array([0.5 + girth * 0.7, -girth * 0.4])
    bend = stage.between(-1.2, 1.2)
    length = stage.between(0.08, 0.5)
    steps = np.array([[np.cos(bend * at), np.sin(bend * at) + 0.4 * at] for at in (0.0, 0.5, 1.0)])
    joints = base + np.cumsum(steps, 0) * length / 3
    return limb(joints, np.array([0.05, 0.035, stage.between(0.01, 0.06)]))


def bird(stage: Stage) -> list[Part]:
    """Give a bird from the side: standing, or with its wings spread."""
    coat, other = hide(stage), hide(stage)
    fat = stage.between(0.2, 0.4)
    body = ellipse(0, 0, across=0.55, down=fat, angle=stage.between(-0.5, 0.3))
    head = np.array([-0.5, -fat - stage.between(0, 0.3)])
    skull = stage.between(0.13, 0.22)
    neck = capsule([-0.25, -fat * 0.3], head, first=fat * 0.6, last=skull)
    tail = smooth([[0.4, -0.05], [0.9, stage.between(-0.2, 0.2)], [1.0, stage.between(-0.1, 0.4)], [0.4, 0.15]])
    beak = np.array(
        head + np.array([[-skull * 0.8, -0.05], [-skull - stage.between(0.08, 0.4), 0.03], [-skull * 0.8, 0.06]])
    )
    horn = Material(surface=coloured(stage, colour(stage.rng)), gloss=0.3)
    lift = stage.between(-1.2, 0.4) if stage.chance(0.5) else 0.1
    wing = moved(
        smooth([[0.0, 0.0], [0.2, -0.16], [0.7, -0.05], [0.85, 0.06], [0.3, 0.16]]), angle=lift, x=-0.15, y=-0.05
    )
    parts = [
        Part(
            outlines=[
                np.array([[x, fat * 0.7], [x + 0.03, fat + 0.22], [x - 0.07, fat + 0.24]], np.float32)
                for x in (-0.05, 0.1)
            ],
            made=horn,
            thickness=0.03,
        ),
        Part(outlines=[beak.astype(np.float32)], made=horn),
        Part(outlines=[tail, body, neck], made=coat, union=True),
        Part(outlines=[wing], made=other if stage.chance(0.6) else coat),
        Part(
            outlines=[ellipse(head[0] - 0.04, head[1] - 0.02, across=0.03, down=0.03)],
            made=Material(surface=coloured(stage, np.full(3, 0.04, np.float32)), gloss=1.0),
        ),
    ]
    if lift < -0.3:
        parts.insert(0, Part(outlines=[moved(wing, x=0.12, y=-0.04)], made=replace(coat, ambient=0.3)))
    return parts
