"""Samples: what a network is trained on."""

from __future__ import annotations

import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bgrd.errors import TrainingError
from bgrd.train import sampler as sampling
from bgrd.train.sampler import KINDS, LEAST, MIXTURE, MOST, Sampler, contact_sheet
from bgrd.train.scenes.stage import as_bytes
from bgrd.train.stock import Item, Stock


def packed(pixels: NDArray[np.uint8], suffix: str) -> bytes:
    """Encode RGB, RGBA or grey."""
    order = {2: pixels, 3: pixels[..., ::-1]}[pixels.ndim] if pixels.shape[2:] != (4,) else pixels[..., [2, 1, 0, 3]]
    return cv2.imencode(suffix, np.ascontiguousarray(order))[1].tobytes()


def disc(width: int, height: int) -> NDArray[np.uint8]:
    """Give a mask: an ellipse that fills half of each direction."""
    mask = np.zeros((height, width), np.uint8)
    cv2.ellipse(mask, (width // 2, height // 2), (width // 4, height // 4), 0, 0, 360, 255, -1)
    return mask


def stock(*, sizes: tuple[tuple[int, int], ...] = ((48, 64), (20, 16))) -> Stock:
    """Give a small stock: for each size a pair, a cut-out and a background of noise; who comes first is a person."""
    rng = np.random.default_rng(7)
    pairs, cutouts, backgrounds = [], [], []
    for number, (width, height) in enumerate(sizes):
        pixels = rng.integers(0, 256, (height, width, 3), np.uint8)
        mask = disc(width, height)
        about = {"source": f"source{number}", "category": "things" if number else "people"}
        pairs.append(Item(name="pair", image=packed(pixels, ".jpg"), mask=packed(mask, ".png"), **about))
        whole = packed(np.dstack([pixels, mask]), ".png")
        cutouts.append(Item(name="cutout", image=whole, mask=None, **about))
        backgrounds.append(Item(name="background", image=packed(pixels, ".jpg"), mask=None, **about))
    return Stock(pairs=pairs, cutouts=cutouts, backgrounds=backgrounds)


STOCK = stock()


def test_a_sample_is_a_pure_function_of_seed_and_index() -> None:
    """Two samplers draw the same, in whatever order they are asked; another seed or index gives another sample."""
    first, second = (Sampler(STOCK, side=64, seed=3) for _ in range(2))
    forth = [first.sample(index) for index in range(12)]
    back = [second.sample(index) for index in reversed(range(12))][::-1]
    for one, other in zip(forth, back, strict=True):
        assert (one[0] == other[0]).all()
        assert (one[1] == other[1]).all()
    assert (Sampler(STOCK, side=64, seed=4).sample(0)[0] != forth[0][0]).any()
    assert (forth[0][0] != forth[1][0]).any()


def drawn(kind: str, *, seed: int, count: int, side: int = 48) -> None:
    """Draw samples of a kind and look at what comes."""
    sampler = Sampler(STOCK, {kind: 1.0}, side=side, seed=seed)
    for index in range(count):
        picture, alpha = sampler.sample(index)
        assert picture.shape == (side, side, 3)
        assert alpha.shape == (side, side)
        assert picture.dtype == alpha.dtype == np.uint8
        assert LEAST - 0.01 <= alpha.mean() / 255 <= MOST + 0.01


@pytest.mark.parametrize("kind", [kind.name for kind in KINDS])
def test_every_kind_draws(kind: str) -> None:
    """15 samples of each kind come without a warning, of the size asked, their subject within bounds."""
    drawn(kind, seed=0, count=15)


@pytest.mark.long
@pytest.mark.parametrize("kind", [kind.name for kind in KINDS])
@given(seed=st.integers(0, 2**32))
@settings(max_examples=50, deadline=None)
def test_every_kind_draws_for_any_seed(kind: str, seed: int) -> None:
    """Any seed draws each kind: 200 samples, four to a seed."""
    drawn(kind, seed=seed, count=4, side=64)


@pytest.mark.parametrize("kind", [kind.name for kind in KINDS])
def test_alpha_has_both_ends(kind: str) -> None:
    """Some of each kind's samples have pixels that are wholly subject, and all have some that are wholly ground."""
    alphas = [Sampler(STOCK, {kind: 1.0}, side=48, seed=1).sample(index)[1] for index in range(12)]
    assert max(int(alpha.max()) for alpha in alphas) > 250
    assert min(int(alpha.min()) for alpha in alphas) < 5


def test_kinds_without_pictures_are_left_out() -> None:
    """A stock of pairs alone draws no cut-outs, and an empty one made-up scenes alone."""
    pairs = Stock(pairs=[item for group in STOCK.pairs.values() for item in group])
    assert "cutouts" not in {kind.name for kind in Sampler(pairs, side=32, seed=0).kinds}
    empty = Sampler(Stock(), side=48, seed=0)
    assert not any(kind.needs for kind in empty.kinds)
    for index in range(30):
        empty.sample(index)


def test_nothing_to_draw_is_told() -> None:
    """A mixture of pairs without a pair, an unknown kind and a share below 0 are errors that say so."""
    with pytest.raises(TrainingError, match="nothing to draw"):
        Sampler(Stock(), {"pairs": 1.0}, side=32, seed=0)
    with pytest.raises(TrainingError, match="dragons"):
        Sampler(STOCK, {"dragons": 1.0}, side=32, seed=0)
    with pytest.raises(TrainingError, match="pairs"):
        Sampler(STOCK, {"pairs": -1.0}, side=32, seed=0)


def test_a_subject_that_is_none_is_told() -> None:
    """Pairs whose masks are empty end in an error, not in an endless search."""
    pixels = np.zeros((32, 32, 3), np.uint8)
    item = Item(
        name="void",
        source="s",
        category="c",
        image=packed(pixels, ".jpg"),
        mask=packed(np.zeros((32, 32), np.uint8), ".png"),
    )
    with pytest.raises(TrainingError, match="no subject"):
        Sampler(Stock(pairs=[item]), {"pairs": 1.0}, side=32, seed=0).sample(0)


def test_what_nobody_could_see_is_drawn_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Black on black teaches nothing; where there is nothing else the error names the sample and its kind."""
    # As it was drawn: grain can be seen on black too.
    monkeypatch.setattr(sampling, "finished", lambda _rng, picture, alpha: (as_bytes(picture), as_bytes(alpha)))
    black, mask = np.zeros((32, 32, 3), np.uint8), packed(disc(32, 32), ".png")
    void = Item(name="void", source="s", category="c", image=packed(black, ".png"), mask=mask)
    with pytest.raises(TrainingError, match=r"sample 7 of 32 px, of the kind pairs: .* nothing could be seen"):
        Sampler(Stock(pairs=[void]), {"pairs": 1.0}, side=32, seed=0).sample(7)
    seen = Item(name="seen", source="s", category="c", image=packed(black + disc(32, 32)[..., None], ".png"), mask=mask)
    sampler = Sampler(Stock(pairs=[void, seen]), {"pairs": 1.0}, side=32, seed=0)
    assert all(sampler.sample(index)[0].std() > 4 for index in range(20))


def test_shares_are_kept() -> None:
    """The built-in mixture is about a third pairs and three tenths made-up scenes."""
    total = sum(MIXTURE.values())
    made = sum(kind.share for kind in KINDS if not kind.needs)
    assert 0.25 <= MIXTURE["pairs"] / total <= 0.4
    assert 0.27 <= made / total <= 0.35


def test_the_page_on_training_tells_every_kind_and_its_share() -> None:
    """docs/training.md has a line for each kind, in the order of the table, with its share."""
    page = (Path(__file__).parents[1] / "docs" / "training.md").read_text()
    told = re.findall(r"^\| `(\w+)` \| ([\d.]+) \|", page, re.MULTILINE)
    assert told == [(kind.name, f"{kind.share:g}") for kind in KINDS]


def test_a_contact_sheet_shows_each_sample_beside_its_alpha() -> None:
    """The sheet's first two squares are the first sample and its alpha."""
    sampler = Sampler(STOCK, side=32, seed=0)
    sheet = np.asarray(contact_sheet(sampler, 3, columns=2))
    picture, alpha = sampler.sample(0)
    assert sheet.shape == (64, 128, 3)
    assert (sheet[:32, :32] == picture).all()
    assert (sheet[:32, 32:64, 1] == alpha).all()
