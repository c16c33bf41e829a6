"""U-2-Netp and IS-Net in their full topologies with random weights: they cost what the real ones do, and mean nothing.

Sources: Qin et al., U-2-Net, Pattern Recognition 106 (2020), figure 5 and table 1 (the small network: 16 inner and 64
outer channels everywhere); Qin et al., Highly Accurate Dichotomous Image Segmentation, ECCV 2022, figure 4.
"""

from __future__ import annotations

from dataclasses import dataclass

from onnx import TensorProto

from tests.pictures.networks import Graph

__all__ = ["isnet", "u2netp"]


@dataclass(frozen=True, slots=True)
class _Stage:
    """A residual U-block: its height (0: four dilated layers of one size), inner and outer channels."""

    height: int
    inner: int
    outer: int


def u2netp(side: int = 320, *, narrow: int = 1, seed: int = 7) -> bytes:
    """Make the small U-2-Net: 1.1 million weights, seven outputs of which the first counts. `narrow` divides its width.

    Its heads are normalised, so that the masks spread over 0..1.
    """
    inner, outer = 16 // narrow, 64 // narrow
    stages = [_Stage(height, inner, outer) for height in (7, 6, 5, 4, 0, 0)]
    graph = Graph(seed=seed)
    levels = _nested(graph, "image", entry=3, down=stages, up=stages[4::-1])
    sides = [graph.head(level, (outer, 1)) for level in levels]
    large = [graph.like(mask, levels[0]) for mask in sides]
    fused = graph.head(graph.add("Concat", *large, axis=1), (6, 1), size=1)
    masks = {f"d{number}": graph.add("Sigmoid", mask) for number, mask in enumerate([fused, *large])}
    return graph.finished([1, 3, side, side], masks, name="input.1")


def isnet(side: int = 1024, *, narrow: int = 1, half: bool = False, seed: int = 8) -> bytes:
    """Make IS-Net: 44 million weights, masks at six levels of which the first counts; `half` in float16."""
    down = _stages(narrow, (7, 32, 64), (6, 32, 128), (5, 64, 256), (4, 128, 512), (0, 256, 512), (0, 256, 512))
    up = _stages(narrow, (0, 256, 512), (4, 128, 256), (5, 64, 128), (6, 32, 64), (7, 16, 64))
    graph = Graph(seed=seed, element=TensorProto.FLOAT16 if half else TensorProto.FLOAT)
    entry = graph.conv("image", (3, 64 // narrow), stride=2)
    levels = _nested(graph, entry, entry=64 // narrow, down=down, up=up)
    outer = [stage.outer for stage in (*up[::-1], down[-1])]
    sides = [graph.head(level, (channels, 1)) for level, channels in zip(levels, outer, strict=True)]
    masks = {f"d{number}": graph.add("Sigmoid", graph.like(mask, "image")) for number, mask in enumerate(sides)}
    return graph.finished([1, 3, side, side], masks)


def _stages(narrow: int, *rows: tuple[int, int, int]) -> list[_Stage]:
    return [_Stage(height, inner // narrow, outer // narrow) for height, inner, outer in rows]


def _nested(graph: Graph, x: str, *, entry: int, down: list[_Stage], up: list[_Stage]) -> list[str]:
    """Add a U of U-blocks; gives its decoder's levels, the finest first, and the bottom last."""
    passed: list[str] = []
    for stage in down:
        passed.append(_block(graph, graph.halved(passed[-1]) if passed else x, entry, stage))
        entry = stage.outer
    found = [passed[-1]]
    for stage, skip, skipped in zip(up, passed[-2::-1], down[-2::-1], strict=True):
        joined = graph.add("Concat", graph.like(found[0], skip), skip, axis=1)
        found.insert(0, _block(graph, joined, entry + skipped.outer, stage))
        entry = stage.outer
    return found


def _block(graph: Graph, x: str, entry: int, stage: _Stage) -> str:
    """Add a residual U-block."""
    first = graph.block(x, (entry, stage.outer))
    flat, depth = stage.height == 0, stage.height or 4
    passed = [graph.block(first, (stage.outer, stage.inner))]
    for level in range(1, depth - 1):
        below = passed[-1] if flat else graph.halved(passed[-1])
        passed.append(graph.block(below, (stage.inner, stage.inner), dilation=2**level if flat else 1))
    last = graph.block(passed[-1], (stage.inner, stage.inner), dilation=8 if flat else 2)
    for level in reversed(range(depth - 1)):
        skip = passed[level]
        joined = graph.add("Concat", last if flat else graph.like(last, skip), skip, axis=1)
        channels = (2 * stage.inner, stage.inner if level else stage.outer)
        last = graph.block(joined, channels, dilation=2**level if flat else 1)
    return graph.add("Add", last, first)
