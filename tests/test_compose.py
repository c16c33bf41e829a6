"""Picture and opacity to what a product shows."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from bgrd.imaging.compose import compose
from bgrd.imaging.foreground import Patch
from bgrd.imaging.picture import Picture
from bgrd.job import Product
from tests.making import noise

MASK = Image.frombytes("L", (16, 16), bytes(range(256)))
PICTURE = Picture(image=noise(16, 16))


def test_a_cut_out_keeps_colours_and_takes_the_mask() -> None:
    """Visible pixels keep their colour exactly, and opacity is the mask."""
    cut = np.asarray(compose(PICTURE, MASK, Product()))
    assert cut.shape == (16, 16, 4)
    assert np.array_equal(cut[:, :, 3], np.asarray(MASK))
    seen = cut[:, :, 3] > 0
    assert np.array_equal(cut[:, :, :3][seen], np.asarray(PICTURE.image)[seen])


def test_the_background_is_gone() -> None:
    """Under opacity 0 the colour is zero: nothing of the background is left to be brought back."""
    mask = Image.new("L", (16, 16), 0)
    assert not np.asarray(compose(PICTURE, mask, Product())).any()


def test_own_opacity_is_multiplied_in() -> None:
    """What a screenshot had made transparent stays so, whatever the model says."""
    own = Image.new("L", (16, 16), 128)
    own.putpixel((15, 15), 0)
    picture = Picture(image=PICTURE.image, alpha=own)
    cut = np.asarray(compose(picture, Image.new("L", (16, 16), 255), Product()))
    assert cut[0, 0, 3] == 128
    assert cut[15, 15].tolist() == [0, 0, 0, 0]
    assert compose(picture, MASK, Product(kind="mask")).getpixel((15, 15)) == 0


def test_a_mask_is_the_opacity() -> None:
    """The mask product is the opacity as grey."""
    assert compose(PICTURE, MASK, Product(kind="mask")).tobytes() == MASK.tobytes()


def test_a_colour_ground() -> None:
    """On a colour the cut-out is opaque RGB: all picture at 255, all colour at 0, between in proportion."""
    shown = np.asarray(compose(PICTURE, MASK, Product(colour=(10, 200, 30))))
    source, share = np.asarray(PICTURE.image, float), np.asarray(MASK, float)[:, :, None] / 255
    assert shown.shape == (16, 16, 3)
    assert np.abs(shown - (source * share + np.array([10, 200, 30]) * (1 - share))).max() <= 1
    assert shown[0, 0].tolist() == [10, 200, 30]
    assert shown[15, 15].tolist() == source[15, 15].tolist()


def test_cleaned_colours_are_shown() -> None:
    """Where there are cleaned colours a cut-out has them, on a ground by its opacity; under opacity 0 they are gone."""
    blue = np.zeros((8, 16, 3), np.uint8) + np.array([0, 0, 250], np.uint8)
    cleaned = [Patch(box=(0, 0, 16, 8), colours=blue)]
    cut = np.asarray(compose(PICTURE, MASK, Product(), cleaned=cleaned))
    assert cut[0, 0].tolist() == [0, 0, 0, 0]
    assert cut[4, 4].tolist() == [0, 0, 250, 68]
    assert cut[8, 0, :3].tolist() == np.asarray(PICTURE.image)[8, 0].tolist()
    shown = np.asarray(compose(PICTURE, MASK, Product(colour=(200, 0, 0)), cleaned=cleaned), dtype=np.float64)
    assert np.abs(shown[4, 4] - np.array([200 * (1 - 68 / 255), 0, 250 * 68 / 255])).max() <= 1
    assert compose(PICTURE, MASK, Product(kind="mask"), cleaned=cleaned).tobytes() == MASK.tobytes()


@pytest.mark.parametrize("product", [Product(), Product(colour=(1, 2, 3))])
def test_the_picture_is_left_alone_unless_used_up(product: Product) -> None:
    """Several products of one picture do not disturb each other; using it up gives the same pixels."""
    before = PICTURE.image.tobytes()
    first = compose(PICTURE, MASK, product)
    assert PICTURE.image.tobytes() == before
    used = Picture(image=PICTURE.image.copy())
    assert compose(used, MASK, product, consume=True).tobytes() == first.tobytes()


@pytest.mark.parametrize("size", [(1, 1), (20_000, 4)])
def test_sizes(size: tuple[int, int]) -> None:
    """A result has the picture's exact size."""
    assert compose(Picture(image=Image.new("RGB", size)), Image.new("L", size, 7), Product()).size == size
