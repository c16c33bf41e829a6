"""The running mean of weights, steadier than any single step's, and what lies between two networks."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

__all__ = ["Average", "blended"]


class Average:
    """The exponential mean of a network's weights, and of its normalisations' statistics."""

    def __init__(self, network: nn.Module, *, decay: float) -> None:
        self.decay = decay
        self.steps = 0
        self.weights = {name: value.detach().clone() for name, value in network.state_dict().items()}

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Take one step's weights in; early steps count more, or the first weights would stay for long."""
        self.steps += 1
        decay = min(self.decay, self.steps / (self.steps + 9))
        pairs = [(self.weights[name], value) for name, value in network.state_dict().items()]
        floats = [(mean, value) for mean, value in pairs if mean.is_floating_point()]
        torch._foreach_lerp_([mean for mean, _ in floats], [value for _, value in floats], 1 - decay)
        for mean, value in pairs:
            if not mean.is_floating_point():
                mean.copy_(value)

    def restore(self, weights: dict[str, Tensor], steps: int) -> None:
        """Go on from what a checkpoint holds."""
        self.steps = steps
        for name, value in self.weights.items():
            value.copy_(weights[name])


def blended(start: Mapping[str, Tensor], weights: Mapping[str, Tensor], share: float) -> dict[str, Tensor]:
    """Give weights that lie `share` of the way from `start` to `weights`; what only counts is that of `weights`.

    So a network that learnt from few pictures keeps most of what it knew, for no time: Wortsman et al., Robust
    fine-tuning of zero-shot models, 2022.
    """
    return {
        name: torch.lerp(start[name], value, share) if value.is_floating_point() else value
        for name, value in weights.items()
    }
