"""One step of learning: what it takes in, what it refuses, and what it leaves alone."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from bgrd.train.learner import Learner, NotFiniteError
from bgrd.train.options import Options

pytestmark = pytest.mark.usefixtures("one_thread")

SHORT = Options(side=(32,), batch=4, average=0.9)


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_nothing_is_learnt_from_what_is_no_number(value: float) -> None:
    """Loss or slope beyond all numbers: the step is refused, and neither weights nor running mean move."""
    learner = Learner(SHORT)
    with torch.no_grad():
        learner.network.get_parameter("stem.0.weight")[0] = value
    before = {name: each.clone() for name, each in learner.network.named_parameters()}
    mean = learner.average.weights["stem.0.weight"].clone()
    pixels, opacity = torch.full((2, 3, 32, 32), 99, dtype=torch.uint8), torch.ones(2, 1, 32, 32, dtype=torch.uint8)
    with pytest.raises(NotFiniteError):
        learner.step(pixels, opacity, rate=1e-3)
    assert all(
        torch.equal(before[name], each) or name == "stem.0.weight" for name, each in learner.network.named_parameters()
    )
    assert torch.equal(mean, learner.average.weights["stem.0.weight"])


@pytest.mark.parametrize(("batch", "threads", "parts"), [(16, 2, 2), (16, 16, 4), (7, 2, 1), (2, 2, 1), (4, 1, 1)])
def test_no_thread_learns_from_fewer_than_four(batch: int, threads: int, parts: int) -> None:
    """Normalisations need some pictures to see; two of 32 px, one for each thread, could not be learnt from at all."""
    learner = Learner(replace(SHORT, batch=batch), threads=threads)
    assert len(learner._shards._networks) == parts
    # Of pictures of one colour a normalisation sees nothing but rounding, and makes much of it: slopes of 1e29 on one
    # processor, none that is a number on another.
    pixels = torch.randint(256, (batch, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    opacity = torch.zeros(batch, 1, 32, 32, dtype=torch.uint8)
    assert learner.step(pixels, opacity, rate=1e-3) > 0


def test_norms_and_biases_are_not_decayed() -> None:
    """Only what multiplies pictures shrinks."""
    groups = Learner(SHORT).optimiser.param_groups
    assert [group["weight_decay"] for group in groups] == [SHORT.weight_decay, 0.0]
    assert all(each.ndim > 1 for each in groups[0]["params"])
    assert all(each.ndim == 1 for each in groups[1]["params"])
