"""Every network that can be trained, by name: how it is made, and how it is fed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import torch
from torch import Tensor, nn

from bgrd.train.networks.lite import LARGE, PLAIN, Lite
from bgrd.train.networks.nested import isnet, u2net, u2netp
from bgrd.train.networks.residual import ResUNet

__all__ = ["NETWORKS", "Network", "build", "normalised"]

Three = tuple[float, float, float]

_IMAGENET: tuple[Three, Three] = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A network's row. Pixels go in as `(value / divide_by - mean) / std`, RGB; sides are multiples of `multiple`.

    `build` gives a module whose `forward` takes (B, 3, H, W) and gives a tuple of logits: the first (B, 1, H, W), those
    after it, while it is trained, of any level and at any size. `side` is what it works at unless told otherwise.
    A run may begin with the weights of the networks it `grows_from`, too.
    """

    name: str
    build: Callable[[], nn.Module]
    side: int
    multiple: int = 32
    divide_by: Literal["255"] = "255"
    mean: Three = _IMAGENET[0]
    std: Three = _IMAGENET[1]
    grows_from: tuple[str, ...] = ()


_ROWS = (
    Network(name="lite", build=Lite, side=288),
    Network(name="lite-large", build=lambda: Lite(LARGE), side=288, grows_from=("lite",)),
    Network(name="lite-plain", build=lambda: Lite(PLAIN), side=288),
    Network(name="u2netp", build=u2netp, side=320),
    Network(name="u2net", build=u2net, side=320),
    Network(name="isnet", build=isnet, side=1024, mean=(0.5, 0.5, 0.5), std=(1.0, 1.0, 1.0)),
    Network(name="resunet50", build=ResUNet, side=512),
)

NETWORKS: Mapping[str, Network] = MappingProxyType({row.name: row for row in _ROWS})
"""The rows by name."""


def build(network: Network, *, seed: int) -> nn.Module:
    """Make a network with weights drawn by a seed; torch's own generator is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return network.build()


def normalised(pixels: Tensor, network: Network) -> Tensor:
    """Give (B, 3, H, W) of uint8 as the network wants it: float32, on the same device."""
    mean, std = (torch.tensor(each, device=pixels.device).view(1, 3, 1, 1) for each in (network.mean, network.std))
    return (pixels.float() / float(network.divide_by) - mean) / std
