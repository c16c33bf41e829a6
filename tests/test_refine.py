"""A coarse mask made to follow the photo."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from bgrd.imaging import refine
from bgrd.imaging.matte import unrefined
from bgrd.imaging.refine import refined
from tests.pictures.making import UNHURRIED, noise

Values = NDArray[np.float32]
SIZES = [(1, 1), (1, 300), (300, 1), (3000, 5), (90, 70)]


def disc(size: tuple[int, int] = (360, 240)) -> Image.Image:
    """Make the exact opacity of a disc."""
    image = Image.new("L", (size[0] * 4, size[1] * 4))
    ImageDraw.Draw(image).circle((image.width / 2, image.height / 2), image.height / 3, fill=255)
    return image.reduce(4)


def photo_of(alpha: Image.Image) -> Image.Image:
    """Make a photo of an orange thing before a green wall, both with some grain."""
    wall, thing = (Image.new("RGB", alpha.size, colour) for colour in ((70, 120, 90), (190, 120, 60)))
    wall.paste(thing, None, alpha)
    return Image.blend(wall, noise(*alpha.size), 0.05)


def coarse(alpha: Image.Image, side: int = 24) -> Values:
    """Give what a good model of few pixels would say."""
    small = alpha.resize((side, side), Image.Resampling.BOX)
    return np.asarray(small, dtype=np.float32) / np.float32(255)


def by_hand(image: Image.Image, values: Values, mask: Image.Image) -> NDArray[np.float64]:
    """Give the guided filter's opacity in double precision, window by window and over the whole picture at once."""
    width = refine._edge_width(values)
    assert width is not None
    size = refine._grid(image.size, values.shape)
    radii = [max(1, round(0.8 * width * cells / side)) for cells, side in zip(size, values.shape[::-1], strict=True)]
    guide = np.asarray(image.resize(size, Image.Resampling.BOX), dtype=np.float64) / 255
    share = np.asarray(Image.fromarray(values).resize(size, Image.Resampling.BICUBIC), dtype=np.float64).clip(0, 1)
    found, weight = np.zeros((*share.shape, 4)), np.zeros(share.shape)
    windows = {
        (y, x): (slice(max(0, y - radii[1]), y + radii[1] + 1), slice(max(0, x - radii[0]), x + radii[0] + 1))
        for y, x in np.ndindex(share.shape)
    }
    for place, window in windows.items():
        colours, shares = guide[window].reshape(-1, 3), share[window].ravel()
        spread = np.cov(colours.T, bias=True)
        together = ((colours - colours.mean(0)) * (shares - shares.mean())[:, None]).mean(0)
        slope = np.linalg.solve(spread + 1e-3 * np.eye(3), together)
        found[place] = [*slope, shares.mean() - slope @ colours.mean(0)]
        variance = float(np.trace(spread))
        weight[place] = np.clip((shares.max() - shares.min() - 0.1) / 0.4, 0, 1) * variance / (variance + 1e-3)
    smooth = np.stack([found[windows[place]].mean(axis=(0, 1)) for place in np.ndindex(share.shape)])
    planes = [*smooth.reshape(found.shape).transpose(2, 0, 1), weight]
    *slopes, offset, weight = (
        np.asarray(Image.fromarray(plane.astype(np.float32)).resize(image.size, Image.Resampling.BILINEAR), np.float64)
        for plane in planes
    )
    pixels = np.asarray(image, dtype=np.float64) / 255
    share = offset + sum(slope * pixels[:, :, channel] for channel, slope in enumerate(slopes))
    before = np.asarray(mask, dtype=np.float64)
    return before + weight * (((share - 0.1) / 0.8).clip(0, 1) * 255 - before)


@pytest.mark.parametrize("size", [(360, 240), (90, 200), (500, 40)])
def test_it_is_the_guided_filter(size: tuple[int, int]) -> None:
    """Band by band in single precision gives what the filter's definition gives, to one in 255."""
    alpha = disc(size)
    values, image = coarse(alpha), photo_of(alpha)
    mask = unrefined(values, size=size)
    found = np.asarray(refined(image, values, mask), dtype=np.float64)
    assert np.abs(found - by_hand(image, values, mask)).max() <= 1.0


def test_the_edge_is_the_photos() -> None:
    """A disc's mask of 24 pixels is brought at least four times closer to the truth by its photo."""
    alpha = disc()
    values = coarse(alpha)
    mask = unrefined(values, size=alpha.size)
    found = refined(photo_of(alpha), values, mask)
    before, after = (np.abs(np.asarray(each, float) - np.asarray(alpha, float)).sum() for each in (mask, found))
    assert after * 4 < before


@given(value=st.integers(0, 255), size=st.sampled_from(SIZES), seed=st.integers(0, 99))
@UNHURRIED
def test_a_flat_mask_stays(value: int, size: tuple[int, int], seed: int) -> None:
    """Where the model sees no edge the photo's texture makes none, whatever the sizes."""
    values = np.full((8, 8), value / 255, np.float32)
    mask = unrefined(values, size=size)
    assert refined(noise(*size, seed=seed), values, mask).tobytes() == mask.tobytes()


@given(colour=st.tuples(*[st.integers(0, 255)] * 3), size=st.sampled_from(SIZES), seed=st.integers(0, 99))
@UNHURRIED
def test_a_picture_of_one_colour_has_no_say(colour: tuple[int, int, int], size: tuple[int, int], seed: int) -> None:
    """A picture that shows nothing leaves any mask as it is, to one in 255."""
    values = np.random.default_rng(seed).uniform(0, 1, (8, 8)).astype(np.float32)
    mask = unrefined(values, size=size)
    found = refined(Image.new("RGB", size, colour), values, mask)
    assert np.abs(np.asarray(found, dtype=np.int16) - np.asarray(mask, dtype=np.int16)).max() <= 1


@given(size=st.sampled_from(SIZES), seed=st.integers(0, 99))
@UNHURRIED
def test_sizes(size: tuple[int, int], seed: int) -> None:
    """Any mask and any photo give an opacity of the photo's size, and neither is changed."""
    values = np.random.default_rng(seed).uniform(0, 1, (16, 16)).astype(np.float32)
    image, mask = noise(*size, seed=seed), unrefined(values, size=size)
    before = (image.tobytes(), mask.tobytes(), values.tobytes())
    found = refined(image, values, mask)
    assert (found.mode, found.size) == ("L", size)
    assert before == (image.tobytes(), mask.tobytes(), values.tobytes())


def test_only_the_edge_is_touched() -> None:
    """Five pixels of the mask away from its edge, the wildest photo changes nothing: inside, outside or half sure."""
    values = np.full((32, 32), 0.06, np.float32)
    values[:, 16:] = 0.97
    size = (640, 640)
    mask = unrefined(values, size=size)
    before, after = np.asarray(mask), np.asarray(refined(noise(*size), values, mask))
    assert np.array_equal(before[:, : 11 * 20], after[:, : 11 * 20])
    assert np.array_equal(before[:, 21 * 20 :], after[:, 21 * 20 :])
    assert not np.array_equal(before, after)


def test_a_mask_as_large_as_the_picture_is_taken_at_its_word() -> None:
    """A model that answers at the picture's own size is not second-guessed."""
    alpha = disc((64, 64))
    values = np.asarray(alpha, dtype=np.float32) / np.float32(255)
    mask = unrefined(values, size=alpha.size)
    assert refined(photo_of(alpha), values, mask).tobytes() == alpha.tobytes()


def test_the_same_twice() -> None:
    """The same picture and mask give the same pixels."""
    alpha = disc()
    values, image = coarse(alpha), photo_of(alpha)
    mask = unrefined(values, size=alpha.size)
    assert refined(image, values, mask).tobytes() == refined(image, values, mask).tobytes()
