"""Near-duplicates are found, others are not, in any order and number."""

from __future__ import annotations

import io
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageEnhance

from bgrd.train import alike
from bgrd.train.alike import KIN, SAME, Hash, components, firsts, hash_of, near
from tests.pictures.making import UNHURRIED, encoded
from tests.pictures.sets import cutout, photo

HASHES = st.lists(st.tuples(st.integers(0, 15), st.sampled_from([0, 1, 3, 2**64 - 1])), max_size=20)
BITS = st.tuples(st.integers(0, 3), st.integers(0, 3))


def _is_near(one: Hash, other: Hash, bits: tuple[int, int]) -> bool:
    return all((a ^ b).bit_count() <= most for a, b, most in zip(one, other, bits, strict=True))


@pytest.mark.parametrize("seed", range(4))
def test_a_picture_saved_anew_is_the_same(seed: int) -> None:
    """Smaller, brighter, or as a poor JPEG it is near itself, by both hashes."""
    image = photo(seed, (320, 240))
    jpeg = Image.open(io.BytesIO(encoded(image, "JPEG", quality=30)))
    for other in (image.resize((96, 72)), ImageEnhance.Brightness(image).enhance(0.9), jpeg):
        assert _is_near(hash_of(image), hash_of(other), SAME)


def test_different_pictures_are_not() -> None:
    """None of 40 is near another, even by the wider bound."""
    hashes = [hash_of(photo(seed)) for seed in range(40)]
    assert not list(near(hashes, KIN))


def test_what_is_transparent_does_not_count() -> None:
    """Two cut-outs that differ only in colours that nobody sees are the same."""
    image = cutout(1)
    pixels = np.array(image)
    pixels[pixels[..., 3] == 0] = 0
    assert hash_of(Image.fromarray(pixels)) == hash_of(image)


@given(hashes=HASHES, bits=BITS, block=st.integers(1, 7))
def test_near_finds_every_pair_in_order(hashes: list[Hash], bits: tuple[int, int], block: int) -> None:
    """All pairs that comparing each with each finds, and no other, whatever is compared at once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(alike, "_BLOCK", block)
        found = list(near(hashes, bits))
    expected = [
        (one, other) for one, other in combinations(range(len(hashes)), 2) if _is_near(hashes[one], hashes[other], bits)
    ]
    assert found == expected


@UNHURRIED
@given(hashes=HASHES, bits=BITS)
def test_what_is_kept_is_far_apart_and_what_is_not_has_a_reason(hashes: list[Hash], bits: tuple[int, int]) -> None:
    """No two kept ones are near each other; each of the others is near an earlier one that is kept."""
    pairs = list(near(hashes, bits))
    kept = firsts(len(hashes), pairs)
    assert not [pair for pair in pairs if all(kept[at] == at for at in pair)]
    for place, stands_for in enumerate(kept):
        assert kept[stands_for] == stands_for <= place
        assert place == stands_for or (stands_for, place) in pairs


@given(count=st.integers(0, 12), data=st.data())
def test_components_are_what_steps_connect(count: int, data: st.DataObject) -> None:
    """Two places have one component just where a chain of pairs leads from one to the other."""
    places = st.integers(0, max(0, count - 1))
    pairs = data.draw(st.lists(st.tuples(places, places), max_size=15 if count else 0))
    reached = [{at} for at in range(count)]
    for _ in range(count):
        for one, other in pairs:
            joined = reached[one] | reached[other]
            for at in joined:
                reached[at] = reached[at] | joined
    assert components(count, pairs) == [min(each) for each in reached]
