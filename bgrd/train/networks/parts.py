"""What several networks are made of: convolutions with their normalisation, and resizing by one another."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["Unit", "doubled", "enlarged", "initialise", "like", "undecided"]


class Unit(nn.Sequential):
    """A convolution that keeps the size (but for its stride), batch normalisation, and an activation if one is given.

    `biased` gives the convolution a bias as well: of no use before a normalisation, but published networks have it.
    """

    def __init__(
        self,
        entry: int,
        leave: int,
        *,
        size: int = 3,
        stride: int = 1,
        dilation: int = 1,
        groups: int = 1,
        biased: bool = False,
        activation: type[nn.Module] | None = nn.ReLU,
    ) -> None:
        padding = dilation * (size // 2)
        conv = nn.Conv2d(entry, leave, size, stride, padding, dilation, groups, bias=biased)
        super().__init__(conv, nn.BatchNorm2d(leave), *([] if activation is None else [activation()]))


def like(x: Tensor, other: Tensor) -> Tensor:
    """Resize to the height and width of another tensor, bilinear."""
    return functional.interpolate(x, size=other.shape[-2:], mode="bilinear", align_corners=False)


def doubled(x: Tensor) -> Tensor:
    """Enlarge twice, bilinear; unlike `like` its graph needs no shapes."""
    return enlarged(x, 2)


def enlarged(x: Tensor, factor: int) -> Tensor:
    """Enlarge by a whole factor, bilinear."""
    return functional.interpolate(x, scale_factor=float(factor), mode="bilinear", align_corners=False)


@torch.no_grad()
def undecided(heads: nn.Module) -> None:
    """Let what gives masks begin near zero: one half everywhere, rather than noise that must be unlearnt."""
    for name, weight in heads.named_parameters():
        if name.endswith("bias"):
            nn.init.zeros_(weight)
        else:
            nn.init.normal_(weight, std=0.01)


@torch.no_grad()
def initialise(network: nn.Module) -> None:
    """Draw the weights anew from torch's generator: convolutions after He et al. (2015), normalisations at one."""
    for part in network.modules():
        if isinstance(part, nn.Conv2d):
            nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")
            if part.bias is not None:
                nn.init.zeros_(part.bias)
        elif isinstance(part, nn.BatchNorm2d):
            nn.init.ones_(part.weight)
            nn.init.zeros_(part.bias)
