"""A network that learns: one step after another, and all of its state for a checkpoint."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from bgrd.errors import TrainingError, UsageError
from bgrd.train.average import Average, blended
from bgrd.train.checkpoint import Checkpoint
from bgrd.train.networks.grow import grow
from bgrd.train.networks.lite import Lite
from bgrd.train.networks.rows import NETWORKS, build
from bgrd.train.options import Options
from bgrd.train.shards import Shards

__all__ = ["Learner", "NotFiniteError", "check_device"]

_LEAST_PART = 4
"""Pictures a thread learns from: normalisations over fewer see next to nothing, and over one of 32 px nothing."""


class NotFiniteError(TrainingError):
    """The loss or its slope is no number any more; nothing was learnt from it."""


class Learner:
    """Network, optimiser and running mean of the weights."""

    def __init__(self, options: Options, *, threads: int = 1) -> None:
        """Make it at its beginning; on a processor `threads` learn, each from its part of a batch.

        Fewer do where the parts would be too small.
        """
        self.options = options
        self.row = NETWORKS[options.network]
        self.device = torch.device(options.device)
        self.network = build(self.row, seed=options.seed).to(self.device)
        # Channels last is what processors and devices are quickest with; torch's declarations do not know it.
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = Average(self.network, decay=options.average)
        # What it began with, where the result is to keep some of it.
        self.start: dict[str, Tensor] | None = None
        self.optimiser = torch.optim.AdamW(
            _groups(self.network, options.weight_decay), lr=options.rate, betas=(0.9, 0.99), fused=True
        )
        self._copy = copy.deepcopy(self.network).eval()
        self._shards = Shards(
            self.network,
            self.row,
            options.loss,
            bf16=options.precision == "bf16",
            count=min(threads, max(1, options.batch // _LEAST_PART)) if self.device.type == "cpu" else 1,
        )

    def step(self, pixels: Tensor, opacity: Tensor, *, rate: float) -> float:
        """Learn from a batch of uint8, (B, 3, H, W) and (B, 1, H, W); gives the loss. Raises NotFiniteError."""
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        # Without waiting: pictures that lie pinned go over while what comes next is put in line.
        loss = self._shards.slope(*(each.to(self.device, non_blocking=True) for each in (pixels, opacity)))
        clipped = nn.utils.clip_grad_norm_(self.network.parameters(), self.options.clip)
        # Asked for together, once a step: each question makes a graphics processor stand still.
        found, slope = torch.stack([loss, clipped]).tolist()
        if not (math.isfinite(found) and math.isfinite(slope)):
            raise NotFiniteError
        self.optimiser.step()
        self.average.update(self.network)
        return float(found)

    def judged(self) -> nn.Module:
        """Give the network with the running mean of its weights, blended where the run says so, for judging."""
        found: nn.Module = self._copy
        weights = self.average.weights
        found.load_state_dict(weights if self.start is None else blended(self.start, weights, self.options.blend))
        return found

    def restore(self, checkpoint: Checkpoint) -> None:
        """Go on from a checkpoint of the same network."""
        self.network.load_state_dict(checkpoint.weights)
        self.average.restore(checkpoint.average, checkpoint.average_steps)
        if checkpoint.start is not None:
            self.start = {name: value.to(self.device) for name, value in checkpoint.start.items()}
        self.optimiser.load_state_dict(checkpoint.optimiser)
        torch.set_rng_state(checkpoint.random)

    def begin_with(self, network: str, weights: Mapping[str, Tensor]) -> None:
        """Begin anew from the weights of another network of the same name, or of a smaller `Lite`.

        Raises what torch raises, or ValueError, where the weights do not fit.
        """
        if network in self.row.grows_from and isinstance(self.network, Lite):
            small = build(NETWORKS[network], seed=0)
            # Which weights there have to be is known only so.
            small.load_state_dict(weights)
            grow(self.network, small.state_dict())
        else:
            self.network.load_state_dict(weights)
        self.refresh()
        if self.options.blend < 1:
            self.start = {name: value.clone() for name, value in self.network.state_dict().items()}

    def refresh(self) -> None:
        """Begin the running mean anew, since other weights were put in."""
        self.average = Average(self.network, decay=self.options.average)


def check_device(options: Options) -> None:
    """Raise UsageError where this machine lacks the device or the precision."""
    if options.device == "cuda" and not torch.cuda.is_available():
        message = "--device cuda: torch sees no such device here; leave it out to train on the processor"
        raise UsageError(message)
    if options.precision == "bf16":
        able = (
            torch.cuda.is_bf16_supported() if options.device == "cuda" else torch.ops.mkldnn._is_mkldnn_bf16_supported()  # noqa: SLF001 - nothing public tells
        )
        if not able:
            message = f"--precision bf16: this {options.device} cannot; use fp32"
            raise UsageError(message)


def _groups(network: nn.Module, decay: float) -> list[dict[str, object]]:
    """Part the weights: normalisations and biases are never decayed."""
    weights = [each for each in network.parameters() if each.ndim > 1]
    others = [each for each in network.parameters() if each.ndim <= 1]
    return [{"params": weights, "weight_decay": decay}, {"params": others, "weight_decay": 0.0}]
