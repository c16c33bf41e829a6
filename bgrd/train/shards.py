"""The slope of a batch, found by several threads at once, each for its part of it.

Two threads that share every single operation wait for each other thousands of times a step, and wait longest where
something else, as drawing samples, wants the processor too. Threads that each learn from a part of the batch meet once.
"""

from __future__ import annotations

import copy
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor, nn

from bgrd.train.losses import Loss, total
from bgrd.train.networks.rows import Network, normalised

__all__ = ["Shards"]


class Shards:
    """A network and copies of it that have the same weights, but statistics of their own.

    With more than one shard normalisations see no more than a shard; the network keeps the mean of what they saw.
    """

    def __init__(self, network: nn.Module, row: Network, loss: Loss, *, bf16: bool, count: int) -> None:
        self._row, self._loss, self._bf16 = row, loss, bf16
        self._networks = [network, *(_copy(network) for _ in range(count - 1))]
        self._weights = list(network.parameters())
        self._pool = ThreadPoolExecutor(count, initializer=torch.set_num_threads, initargs=(1,)) if count > 1 else None

    def slope(self, pixels: Tensor, opacity: Tensor) -> Tensor:
        """Put the slope of the loss into the weights' `grad` and give the loss, a scalar.

        `pixels` (B, 3, H, W) and `opacity` (B, 1, H, W) are uint8, on the network's device.
        """
        for network in self._networks:
            network.train()
        if self._pool is None:
            loss, slopes = self._part(self._networks[0], pixels, opacity)
        else:
            loss, slopes = self._together(self._pool, pixels, opacity)
        for weight, slope in zip(self._weights, slopes, strict=True):
            weight.grad = slope
        return loss

    def _part(self, network: nn.Module, pixels: Tensor, opacity: Tensor) -> tuple[Tensor, list[Tensor]]:
        images = normalised(pixels, self._row).to(memory_format=torch.channels_last)
        with torch.autocast(images.device.type, torch.bfloat16, enabled=self._bf16):
            masks = network(images)
        loss = total(masks, opacity.float() / 255, self._loss)
        # Asked for and not gathered in `grad`, which the copies share.
        return loss.detach(), list(torch.autograd.grad(loss, list(network.parameters())))

    def _together(self, pool: ThreadPoolExecutor, pixels: Tensor, opacity: Tensor) -> tuple[Tensor, list[Tensor]]:
        count = min(len(self._networks), len(pixels))
        shares = [len(part) / len(pixels) for part in pixels.tensor_split(count)]
        networks = self._networks[:count]
        statistics = [[each for each in network.buffers() if each.is_floating_point()] for network in networks]
        for others in statistics[1:]:
            for mine, first in zip(others, statistics[0], strict=True):
                mine.copy_(first)
        found = list(pool.map(self._part, networks, pixels.tensor_split(count), opacity.tensor_split(count)))
        # Added in the order of the shards, whichever was ready first: the same sum every time.
        loss = torch.zeros(())
        slopes = [torch.zeros_like(weight) for weight in self._weights]
        for share, (part, theirs) in zip(shares, found, strict=True):
            loss = loss + share * part
            torch._foreach_add_(slopes, theirs, alpha=share)
        for first, *others in zip(*statistics, strict=True):
            first.mul_(shares[0])
            for share, other in zip(shares[1:], others, strict=True):
                first.add_(other, alpha=share)
        return loss, slopes


def _copy(network: nn.Module) -> nn.Module:
    """Copy a network; the weights stay those of the first one."""
    weights = {id(weight): weight for weight in network.parameters()}
    return copy.deepcopy(network, weights)
