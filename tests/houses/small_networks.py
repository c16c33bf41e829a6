"""A network small enough to learn and be exported in a moment, with what exporters stumble over."""

from __future__ import annotations

from collections import Counter

import onnx
import torch
from torch import Tensor, nn
from torch.nn import functional

from bgrd.models.spec import ModelSpec

__all__ = ["SPEC", "Tiny", "kinds", "lived_in"]

SPEC = ModelSpec(name="tiny", side=64, multiple=8, mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4), licence="MIT")


class Tiny(nn.Module):
    """A network with what exporters stumble over: free sizes, uneven halves, a pool of all, a lonely normalisation."""

    def __init__(self) -> None:
        super().__init__()
        self.entry = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU6())
        self.halved = nn.MaxPool2d(2, 2, ceil_mode=True)
        self.inner = nn.Sequential(nn.Conv2d(8, 8, 3, 1, 1), nn.BatchNorm2d(8), nn.Hardswish())
        self.lonely = nn.BatchNorm2d(8)
        self.mixed = nn.Conv2d(8, 8, 1)
        self.head = nn.Conv2d(16, 1, 3, padding=1)
        self.side = nn.Conv2d(8, 1, 1)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Give the final logits and those of a side."""
        first = self.entry(images)
        inner = self.inner(self.halved(self.halved(first)))
        inner = self.mixed(self.lonely(inner + functional.adaptive_avg_pool2d(inner, 1)))
        large = functional.interpolate(inner, size=first.shape[2:], mode="bilinear", align_corners=False)
        logits = self.head(torch.cat([large, first], dim=1))
        return functional.interpolate(logits, size=images.shape[2:], mode="bilinear"), self.side(first)


def lived_in(network: nn.Module) -> nn.Module:
    """Give normalisations statistics as training leaves them."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for values, low, high in (
                (module.running_mean, -0.5, 0.5),
                (module.running_var, 0.5, 2.0),
                (module.weight, 0.5, 1.5),
                (module.bias, -0.5, 0.5),
            ):
                assert isinstance(values, Tensor)
                nn.init.uniform_(values, low, high)
    return network


def kinds(data: bytes) -> Counter[str]:
    """Count a graph's operators."""
    return Counter(node.op_type for node in onnx.load_from_string(data).graph.node)
