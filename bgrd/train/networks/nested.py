"""U-2-Net in both sizes and IS-Net: a U whose every level is a small U itself.

Sources: Qin et al., U-2-Net, Pattern Recognition 106 (2020), figures 2 and 5 and table 1; Qin et al., Highly Accurate
Dichotomous Image Segmentation, ECCV 2022, figure 4 (the segmentation part; its ground-truth encoder only trains).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from bgrd.train.networks.parts import Unit, initialise, like, undecided

__all__ = ["Nested", "isnet", "u2net", "u2netp"]

_FLAT = 0


@dataclass(frozen=True, slots=True)
class _Stage:
    """A residual U-block: its height (0: four dilated layers of one size), inner and outer channels."""

    height: int
    inner: int
    outer: int


_DOWN = (
    _Stage(7, 32, 64),
    _Stage(6, 32, 128),
    _Stage(5, 64, 256),
    _Stage(4, 128, 512),
    _Stage(_FLAT, 256, 512),
    _Stage(_FLAT, 256, 512),
)
_UP = (_Stage(_FLAT, 256, 512), _Stage(4, 128, 256), _Stage(5, 64, 128), _Stage(6, 32, 64), _Stage(7, 16, 64))


class _Block(nn.Module):
    """A residual U-block: down by pooling (flat: by dilation), back up with what each level kept, plus its entry."""

    def __init__(self, entry: int, stage: _Stage) -> None:
        super().__init__()
        self.flat = stage.height == _FLAT
        depth = stage.height or 4
        inner = stage.inner
        self.first = Unit(entry, stage.outer, biased=True)
        self.down = nn.ModuleList(
            Unit(inner if level else stage.outer, inner, dilation=2**level if self.flat else 1, biased=True)
            for level in range(depth - 1)
        )
        self.bottom = Unit(inner, inner, dilation=8 if self.flat else 2, biased=True)
        self.up = nn.ModuleList(
            Unit(2 * inner, inner if level else stage.outer, dilation=2**level if self.flat else 1, biased=True)
            for level in reversed(range(depth - 1))
        )

    def forward(self, x: Tensor) -> Tensor:
        first: Tensor = self.first(x)
        kept: list[Tensor] = []
        for number, unit in enumerate(self.down):
            entry = kept[-1] if number else first
            kept.append(unit(_halved(entry) if number and not self.flat else entry))
        x = self.bottom(kept[-1])
        for unit, held in zip(self.up, kept[::-1], strict=True):
            x = unit(torch.cat((x if self.flat else like(x, held), held), dim=1))
        return first + x


class Nested(nn.Module):
    """The U of U-blocks; any size that can be halved is fine, others are rounded up and cut.

    `fused`: a mask of all six levels comes first and the six after it; else the six, the finest first. `stem`: a
    convolution that halves the picture comes before all. All masks are logits at the picture's size; outside training
    only the first is given.
    """

    def __init__(self, down: Sequence[_Stage], up: Sequence[_Stage], *, fused: bool, stem: int = 0) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, stem, 3, 2, 1) if stem else None
        entries = [stem or 3, *[stage.outer for stage in down[:-1]]]
        self.down = nn.ModuleList(_Block(entry, stage) for entry, stage in zip(entries, down, strict=True))
        below = [down[-1].outer, *[stage.outer for stage in up[:-1]]]
        kept = [stage.outer for stage in down[-2::-1]]
        self.up = nn.ModuleList(_Block(entry + held, stage) for entry, held, stage in zip(below, kept, up, strict=True))
        outer = [*[stage.outer for stage in up[::-1]], down[-1].outer]
        self.sides = nn.ModuleList(nn.Conv2d(channels, 1, 3, 1, 1) for channels in outer)
        self.fuse = nn.Conv2d(len(outer), 1, 1) if fused else None
        initialise(self)
        undecided(self.sides)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Give the masks; `images` are (B, 3, H, W)."""
        x = images if self.stem is None else self.stem(images)
        kept: list[Tensor] = []
        for block in self.down:
            kept.append(block(_halved(kept[-1]) if kept else x))
        levels = [kept[-1]]
        for block, held in zip(self.up, kept[-2::-1], strict=True):
            levels.insert(0, block(torch.cat((like(levels[0], held), held), dim=1)))
        wanted = len(levels) if self.training or self.fuse is not None else 1
        masks = [like(side(level), images) for side, level in list(zip(self.sides, levels, strict=True))[:wanted]]
        if self.fuse is not None:
            masks.insert(0, self.fuse(torch.cat(masks, dim=1)))
        return tuple(masks) if self.training else (masks[0],)


def u2net() -> Nested:
    """Make U-2-Net: 44.0 million weights."""
    return Nested(_DOWN, _UP, fused=True)


def u2netp() -> Nested:
    """Make the small U-2-Net: 16 inner and 64 outer channels everywhere, 1.13 million weights."""
    down = [_Stage(stage.height, 16, 64) for stage in _DOWN]
    return Nested(down, [_Stage(stage.height, 16, 64) for stage in _UP], fused=True)


def isnet() -> Nested:
    """Make IS-Net: 44.0 million weights, behind a convolution that halves the picture."""
    return Nested(_DOWN, _UP, fused=False, stem=64)


def _halved(x: Tensor) -> Tensor:
    return functional.max_pool2d(x, 2, 2, ceil_mode=True)
