"""A network that grew answers as the small one did, and then learns with all of its weights."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from bgrd.train.networks.grow import grow
from bgrd.train.networks.lite import Lite, Width
from tests.houses.small_networks import lived_in

SMALL = Width(stem=4, stages=(8, 8, 12, 16), blocks=(1, 1, 1, 1), attention=1, decoder=(8, 8, 8, 8))
LARGE = Width(stem=4, stages=(8, 12, 20, 24), blocks=(2, 1, 2, 3), attention=3, decoder=(12, 8, 10, 8))


def learnt(width: Width = SMALL) -> Lite:
    """Give a network whose normalisations have seen something and whose every weight says something."""
    torch.manual_seed(1)
    network = lived_in(Lite(width))
    assert isinstance(network, Lite)
    return network


def answer(network: Lite, seed: int = 3) -> Tensor:
    """Give its logits for noise."""
    with torch.no_grad():
        found: Tensor = network.eval()(torch.rand(2, 3, 64, 96, generator=torch.Generator().manual_seed(seed)))[0]
    return found


@given(
    stem=st.sampled_from([4, 6]),
    more=st.tuples(*[st.sampled_from([0, 4, 8])] * 4),
    blocks=st.tuples(*[st.integers(1, 3)] * 4),
    attention=st.integers(1, 3),
    decoder=st.tuples(*[st.sampled_from([8, 10, 16])] * 4),
)
@settings(max_examples=15, deadline=None)
def test_it_answers_as_before(
    stem: int,
    more: tuple[int, int, int, int],
    blocks: tuple[int, int, int, int],
    attention: int,
    decoder: tuple[int, int, int, int],
) -> None:
    """However it grows: more channels anywhere, more blocks in any stage, more attention."""
    first, second, third, fourth = (size + plus for size, plus in zip(SMALL.stages, more, strict=True))
    wide = Width(stem=stem, stages=(first, second, third, fourth), blocks=blocks, attention=attention, decoder=decoder)
    small, large = learnt(), Lite(wide)
    before = answer(small)
    assert float(before.std()) > 0.01
    grow(large, small.state_dict())
    assert answer(large) == pytest.approx(before, abs=1e-5 * float(before.abs().max()))


def test_all_of_it_learns() -> None:
    """After a few steps no weight is where it was, not one number of it."""
    small, large = learnt(), Lite(LARGE)
    grow(large, small.state_dict())
    before = {name: value.clone() for name, value in large.named_parameters()}
    optimiser = torch.optim.AdamW(large.parameters(), lr=1e-3, weight_decay=0)
    images = torch.rand(4, 3, 64, 64)
    for _ in range(3):
        optimiser.zero_grad()
        torch.autograd.backward(sum((mask.sigmoid() * torch.rand_like(mask)).sum() for mask in large.train()(images)))
        optimiser.step()
    still = [name for name, value in large.named_parameters() if bool((value == before[name]).any())]
    # What reads it are normalisations, which take away what is added everywhere: its slope is nothing but rounding.
    assert set(still) <= {"context.2.place.bias"}


@pytest.mark.parametrize(
    ("width", "message"),
    [
        (replace(SMALL, stages=(8, 8, 12, 12)), "its place"),
        (replace(SMALL, decoder=(8, 8, 8, 4)), "its place"),
        (replace(SMALL, attention=0), "has no place here"),
    ],
)
def test_what_does_not_fit_is_refused(width: Width, message: str) -> None:
    """Nothing is changed then."""
    large = Lite(width)
    before = {name: value.clone() for name, value in large.state_dict().items()}
    with pytest.raises(ValueError, match=message):
        grow(large, learnt().state_dict())
    assert all(torch.equal(value, before[name]) for name, value in large.state_dict().items())
