"""Losses, schedule and running mean against figures reckoned by hand."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from bgrd.train.average import Average
from bgrd.train.losses import Loss, cross_entropy, edges, overlap, structure, total
from bgrd.train.schedule import rate, side_at

HALF = torch.tensor([[0.0, 1.0], [0.0, 1.0]]).view(1, 1, 2, 2)
"""Right half subject, left half not."""


def logits(mask: Tensor) -> Tensor:
    """Give what a sigmoid makes this mask of."""
    return torch.logit(mask)


def test_cross_entropy_by_hand() -> None:
    """A mask of one quarter everywhere costs -ln(3/4) where nothing is and -ln(1/4) where the subject is."""
    found = cross_entropy(logits(torch.full_like(HALF, 0.25)), HALF)
    assert found.item() == pytest.approx((-math.log(0.75) - math.log(0.25)) / 2)


def test_overlap_by_hand() -> None:
    """One half everywhere shares 2 x 1/2 of 2 + 2 x 1/2, and one is added to both."""
    assert overlap(torch.full_like(HALF, 0.5), HALF).item() == pytest.approx(1 - (1 + 1) / (3 + 1))


def test_overlap_is_by_picture() -> None:
    """A large subject that is right does not hide a small one that is missed."""
    truth = torch.zeros(2, 1, 4, 4)
    truth[0] = 1
    truth[1, 0, 0, 0] = 1
    mask = truth.clone()
    mask[1] = 0
    assert overlap(mask, truth).item() == pytest.approx((0 + 1 - 1 / 2) / 2)


def test_edges_by_hand() -> None:
    """A flat mask misses two steps of one; the edge is 2 long, and the sides 2 + 2 are added to it."""
    assert edges(torch.full_like(HALF, 0.5), HALF).item() == pytest.approx(2 / (4 + 2))


def test_structure_by_hand() -> None:
    """A flat mask on a flat truth differs in light alone."""
    light = (2 * 0.5 * 1.0 + 1e-4) / (0.25 + 1 + 1e-4)
    found = structure(torch.full((1, 1, 16, 16), 0.5), torch.ones(1, 1, 16, 16))
    assert found.item() == pytest.approx(1 - light, abs=1e-5)


@pytest.mark.parametrize("soft", [False, True])
def test_a_perfect_mask_costs_nothing(*, soft: bool) -> None:
    """Also where the truth is soft, at every level and by every part."""
    torch.manual_seed(1)
    truth = torch.rand(2, 1, 16, 16) * 0.98 + 0.01 if soft else (torch.rand(2, 1, 16, 16) > 0.5).float()
    first = logits(truth) if soft else (truth * 2 - 1) * 40
    small = torch.nn.functional.avg_pool2d(truth, 4)
    found = total([first, logits(small.clamp(1e-6, 1 - 1e-6))], truth, Loss(structure=1.0))
    assert found.item() == pytest.approx(0, abs=1e-4)


def test_parts_are_weighed() -> None:
    """The total is the sum of its parts by their weights; coarse masks share `side` among them, without edges."""
    torch.manual_seed(2)
    truth = torch.rand(2, 1, 8, 8)
    masks = [torch.randn(2, 1, 8, 8), torch.randn(2, 1, 4, 4), torch.randn(2, 1, 2, 2)]
    loss = Loss(cross_entropy=0.5, overlap=2.0, edges=0.25, structure=3.0, side=0.8)
    shown = masks[0].sigmoid()
    expected = 0.5 * cross_entropy(masks[0], truth) + 2 * overlap(shown, truth)
    expected += 0.25 * edges(shown, truth) + 3 * structure(shown, truth)
    for mask, factor in ((masks[1], 2), (masks[2], 4)):
        small = nn.functional.avg_pool2d(truth, factor)
        expected += 0.4 * (0.5 * cross_entropy(mask, small) + 2 * overlap(mask.sigmoid(), small))
    assert total(masks, truth, loss).item() == pytest.approx(expected.item(), rel=1e-5)


def test_half_precision_is_reckoned_in_whole() -> None:
    """Logits of bfloat16 give a float32 loss."""
    assert total([torch.zeros(1, 1, 4, 4, dtype=torch.bfloat16)], torch.ones(1, 1, 4, 4), Loss()).dtype == torch.float32


@pytest.mark.parametrize(
    ("done", "expected"), [(0.05, 0.5), (0.1, 1.0), (0.55, 0.505), (1.0, 0.01), (1.3, 0.01), (0.0, 0.001)]
)
def test_the_rate_by_hand(done: float, expected: float) -> None:
    """Half of the warm-up, its end, the middle of the cosine, the end, past the end, and the very first step."""
    assert rate(done, peak=1.0, warm_up=0.1, least=0.01) == pytest.approx(expected)


def test_no_warm_up() -> None:
    """A run without warm-up begins at the peak."""
    assert rate(0.0, peak=0.5, warm_up=0.0, least=0.0) == 0.5


@given(st.floats(0, 1), st.floats(0, 1))
def test_the_rate_rises_then_falls(one: float, other: float) -> None:
    """It grows during the warm-up and never after."""
    low, high = sorted((one, other))
    rates = [rate(done, peak=1.0, warm_up=0.3, least=0.1) for done in (low, high)]
    if high < 0.3:
        assert rates[0] <= rates[1]
    elif low >= 0.3:
        assert rates[0] >= rates[1]


@pytest.mark.parametrize(("done", "side"), [(0, 128), (0.39, 128), (0.4, 192), (0.79, 192), (0.8, 256), (1.0, 256)])
def test_sides_take_turns(done: float, side: int) -> None:
    """Each side's turn begins where it is told."""
    assert side_at(done, (128, 192, 256), (0.0, 0.4, 0.8)) == side


def test_the_mean_by_hand() -> None:
    """The first steps count as in a plain mean, later ones by the decay; statistics go along, counts are copied."""
    network = nn.BatchNorm1d(1)
    average = Average(network, decay=0.2)
    expected, spread = 1.0, 1.0
    for step, value in enumerate((4.0, -2.0, 8.0), start=1):
        with torch.no_grad():
            network.weight.fill_(value)
            network.get_buffer("running_var").fill_(2 * value)
            network.get_buffer("num_batches_tracked").fill_(step)
        average.update(network)
        decay = min(0.2, step / (step + 9))
        expected = decay * expected + (1 - decay) * value
        spread = decay * spread + (1 - decay) * 2 * value
    assert average.weights["weight"].item() == pytest.approx(expected)
    assert average.weights["running_var"].item() == pytest.approx(spread)
    assert average.weights["num_batches_tracked"].item() == 3
    assert network.weight.item() == 8.0
