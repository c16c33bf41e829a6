"""A batch learnt from in parts, by several threads."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn

from bgrd.train.losses import Loss
from bgrd.train.networks.rows import NETWORKS, build
from bgrd.train.shards import Shards

ROW = NETWORKS["lite"]
LOSS = Loss()


class Plain(nn.Module):
    """A network whose pictures know nothing of one another."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 1, 3, padding=1)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        found: Tensor = self.layer(images)
        return (found,)


class Broken(nn.Module):
    """One that cannot learn."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        message = f"{len(images)} pictures"
        raise MemoryError(message)


def drawn(count: int, side: int = 32) -> tuple[Tensor, Tensor]:
    """Give noise, and opacity of a band that lies elsewhere in each picture."""
    generator = torch.Generator().manual_seed(5)
    pixels = torch.randint(0, 256, (count, 3, side, side), dtype=torch.uint8, generator=generator)
    opacity = torch.zeros(count, 1, side, side, dtype=torch.uint8)
    for number in range(count):
        opacity[number, :, number : 16 + number] = 255
    return pixels, opacity


def learnt(network: nn.Module, count: int, pixels: Tensor, opacity: Tensor) -> tuple[Tensor, Sequence[Tensor]]:
    """Give loss and slopes by so many threads."""
    loss = Shards(network, ROW, LOSS, bf16=False, count=count).slope(pixels, opacity)
    slopes = [weight.grad for weight in network.parameters()]
    assert all(slope is not None for slope in slopes)
    return loss, [slope for slope in slopes if slope is not None]


@pytest.mark.parametrize("count", [2, 3, 4, 9])
def test_parts_learn_what_the_whole_does(count: int) -> None:
    """Also where they are of unequal size, or more than pictures: each picture counts the same."""
    torch.manual_seed(1)
    network = Plain()
    wanted = learnt(copy.deepcopy(network), 1, *drawn(5))
    found = learnt(network, count, *drawn(5))
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-6)


def test_a_real_network_learns_the_same_from_the_same() -> None:
    """Two parts that hold the same pictures have the whole's statistics, loss and slopes."""
    network = build(ROW, seed=3)
    whole = copy.deepcopy(network)
    pixels, opacity = (torch.cat([each, each]) for each in drawn(3, side=96))
    wanted, found = learnt(whole, 1, pixels, opacity), learnt(network, 2, pixels, opacity)
    torch.testing.assert_close(found[0], wanted[0], rtol=1e-4, atol=1e-5)
    one, two = (torch.cat([slope.flatten() for slope in slopes]) for _, slopes in (wanted, found))
    assert (one - two).norm() < 0.01 * one.norm()
    for first, second in zip(whole.buffers(), network.buffers(), strict=True):
        torch.testing.assert_close(second, first, rtol=0.02, atol=1e-3)


def test_statistics_are_the_mean_of_what_the_parts_saw() -> None:
    """A normalisation moves as far as its parts on average, each for as much as it is of the batch, step after step."""

    class Normal(Plain):
        def __init__(self) -> None:
            super().__init__()
            self.norm = nn.BatchNorm2d(3, momentum=0.25)

        def forward(self, images: Tensor) -> tuple[Tensor, ...]:
            found: Tensor = self.layer(self.norm(images))
            return (found,)

    pixels, opacity = drawn(3)
    pixels[2] = 40
    network, whole = Normal(), Normal()
    shards = Shards(network, ROW, LOSS, bf16=False, count=2)
    for _ in range(3):
        shards.slope(pixels, opacity)
        learnt(whole, 1, pixels, opacity)
        torch.testing.assert_close(network.norm.running_mean, whole.norm.running_mean)


def test_whichever_is_ready_first_the_sum_is_the_same() -> None:
    """Five times the same step gives the same bits."""
    torch.manual_seed(2)
    network = Plain()
    shards = Shards(network, ROW, LOSS, bf16=False, count=3)
    found = []
    for _ in range(5):
        loss = shards.slope(*drawn(5))
        assert network.layer.weight.grad is not None
        found.append((loss.item(), network.layer.weight.grad.clone()))
    assert all(torch.equal(slope, found[0][1]) and loss == found[0][0] for loss, slope in found)


def test_a_part_that_fails_fails_the_step() -> None:
    """What went wrong in a thread is told, and nothing is left to learn from."""
    network = Broken()
    with pytest.raises(MemoryError, match="2 pictures"):
        Shards(network, ROW, LOSS, bf16=False, count=2).slope(*drawn(4))
    assert network.weight.grad is None
