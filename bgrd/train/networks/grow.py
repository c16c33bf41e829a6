"""A larger `Lite` out of a trained one: at first it answers the same, and has room to learn more.

As in Net2Net (Chen, Goodfellow and Shlens, 2016), but nothing is doubled: channels that are new read everything and
nothing that was there reads them yet, and blocks that are new add nothing yet. The first step gives them a say, the
second moves all of them.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from bgrd.train.networks.lite import HEADS, Attention, Fused, Inverted, Lite

__all__ = ["grow"]

_ASKS = "entry.1.weight"
"""The weights of an `Attention` whose rows lie by query, key and value, and in these by heads."""
_GATHERS = "leave.0.weight"
"""Those whose columns lie by heads."""


@torch.no_grad()
def grow(network: Lite, weights: Mapping[str, Tensor]) -> None:
    """Put all of a smaller network's weights into this one, freshly drawn; what they leave of it is what is new.

    Raises ValueError where a weight has no place here, or is larger than its place; nothing is changed then.
    """
    mine = network.state_dict()
    for name, small in weights.items():
        place = mine.get(name)
        if place is None:
            raise ValueError(f"{name} has no place here")
        if place.ndim != small.ndim or any(has < wants for has, wants in zip(place.shape, small.shape, strict=True)):
            raise ValueError(f"{name} is {tuple(small.shape)}, its place {tuple(place.shape)}")
    parts = dict(network.named_modules())
    for name, part in parts.items():
        if not any(each.startswith(f"{name}.") for each in weights):
            _silence(part)
    attention = [name for name, part in parts.items() if isinstance(part, Attention)]
    ways = {f"{name}.{_ASKS}": _ask for name in attention} | {f"{name}.{_GATHERS}": _gather for name in attention}
    for name, small in weights.items():
        ways.get(name, _put)(mine[name], small)


def _silence(part: nn.Module) -> None:
    """Let a new block give what it takes."""
    if isinstance(part, Inverted | Fused):
        nn.init.zeros_(_last_norm(part).weight)
    elif isinstance(part, Attention):
        for each in (part.place, _last_norm(part.leave), _last_norm(part.mix)):
            nn.init.zeros_(each.weight)


def _last_norm(part: nn.Module) -> nn.BatchNorm2d:
    return [each for each in part.modules() if isinstance(each, nn.BatchNorm2d)][-1]


def _put(place: Tensor, small: Tensor) -> None:
    """Write the first channels; what gives them reads nothing that is new."""
    if place.ndim > 1:
        place[: len(small)] = 0
    place[tuple(slice(size) for size in small.shape)] = small


def _ask(place: Tensor, small: Tensor) -> None:
    """Write what gives query, key and value (3 x heads x channels of a head, channels, 1, 1)."""
    large, known = (each.view(3, HEADS, -1, each.shape[1]) for each in (place, small))
    depth, width = known.shape[2:4]
    large[:, :, :depth] = 0
    large[:, :, :depth, :width] = known
    # New channels of the key are nothing yet, so what they come to with the query's is; the scale goes by their number.
    large[1, :, depth:] = 0
    large[0] *= (large.shape[2] / depth) ** 0.5


def _gather(place: Tensor, small: Tensor) -> None:
    """Write what reads the values of all heads (channels, heads x channels of a head, 1, 1)."""
    large, known = (each.view(each.shape[0], HEADS, -1) for each in (place, small))
    large[: known.shape[0]] = 0
    large[: known.shape[0], :, : known.shape[2]] = known
