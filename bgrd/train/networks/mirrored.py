"""A network asked twice, of a picture and of its mirror image: steadier than asked once, for twice the time."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["Mirrored"]


class Mirrored(nn.Module):
    """Gives the mean of both answers' logits: the surer one counts for more than in a mean of opacities."""

    def __init__(self, network: nn.Module) -> None:
        """Take a network in its evaluation mode that gives a tuple of logits, the final one first."""
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> tuple[Tensor]:
        """Give the final mask of (B, 3, H, W), at its size. One batch, so that all processors have work."""
        plain, turned = self.network(torch.cat([images, images.flip(-1)]))[0].chunk(2)
        return ((plain + turned.flip(-1)) / 2,)
