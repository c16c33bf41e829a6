"""A picture to the numbers a model wants."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from bgrd.imaging.prepare import NEUTRAL, model_size, prepare
from bgrd.models.spec import ModelSpec
from tests.pictures.making import UNHURRIED, corners, noise

SPEC = ModelSpec(name="tiny", side=32)
FREE = replace(SPEC, fit="short_side", multiple=32, side=64)


def test_shape_and_order() -> None:
    """Channels come first for NCHW and last for NHWC, in the order the spec names, as one contiguous array."""
    red = Image.new("RGB", (10, 20), (255, 128, 0))
    first = prepare(red, SPEC)
    assert first.shape == (1, 3, 32, 32)
    assert first.dtype == np.float32
    assert first.flags.c_contiguous
    assert first[0, :, 0, 0].tolist() == pytest.approx([1.0, 128 / 255, 0.0])
    last = prepare(red, replace(SPEC, layout="NHWC", channels="BGR"))
    assert last.shape == (1, 32, 32, 3)
    assert last[0, 0, 0].tolist() == pytest.approx([0.0, 128 / 255, 1.0])


def test_numbers() -> None:
    """A pixel goes in as (value / divide_by - mean) / std; (x - 128) / 256 is divide 256 and mean one half."""
    grey = Image.new("RGB", (4, 4), (192, 192, 192))
    spec = replace(SPEC, mean=(0.5, 0.5, 0.5), std=(0.5, 0.25, 1.0))
    assert prepare(grey, spec)[0, :, 0, 0].tolist() == pytest.approx([(192 / 255 - 0.5) / std for std in spec.std])
    assert prepare(grey, replace(SPEC, divide_by="256", mean=(0.5,) * 3))[0, 0, 0, 0] == pytest.approx(64 / 256)
    assert prepare(grey, replace(SPEC, divide_by="image_max")).max() == pytest.approx(1.0)


@given(
    mean=st.tuples(*[st.floats(0, 1)] * 3),
    std=st.tuples(*[st.floats(0.1, 2)] * 3),
    divide=st.sampled_from(["255", "256", "1", "image_max"]),
    order=st.sampled_from(["RGB", "BGR"]),
    layout=st.sampled_from(["NCHW", "NHWC"]),
)
@UNHURRIED
def test_every_byte_is_as_the_formula_has_it(
    mean: tuple[float, ...], std: tuple[float, ...], divide: str, order: str, layout: str
) -> None:
    """Bit for bit: what is done channel by channel gives no other number than the formula, whatever the spec."""
    image = noise(32, 32)
    changes: dict[str, Any] = {"mean": mean, "std": std, "divide_by": divide, "channels": order, "layout": layout}
    found = prepare(image, replace(SPEC, **changes))[0]
    pixels = np.asarray(image, dtype=np.float32)[:, :, :: 1 if order == "RGB" else -1]
    divisor = pixels.max() if divide == "image_max" else np.float32(divide)
    wanted = (pixels / divisor - np.asarray(mean, np.float32)) / np.asarray(std, np.float32)
    assert np.array_equal(found, wanted if layout == "NHWC" else wanted.transpose(2, 0, 1))


def test_a_black_picture_has_no_maximum() -> None:
    """Dividing by the maximum of a black picture gives zeros, not a division by zero."""
    values = prepare(Image.new("RGB", (4, 4)), replace(SPEC, divide_by="image_max"))
    assert not values.any()


def test_half_precision() -> None:
    """A float16 model gets float16."""
    assert prepare(corners(), SPEC, dtype="float16").dtype == np.float16


@pytest.mark.parametrize("resample", ["box", "bilinear", "bicubic", "lanczos"])
def test_reducing_first_changes_next_to_nothing(resample: str) -> None:
    """The quick way to shrink stays within two steps of 255 of Pillow's on average, the other within one anywhere."""
    image = noise(97, 61).resize((1500, 1100), Image.Resampling.BICUBIC)
    spec = replace(SPEC, resample=resample)  # type: ignore[arg-type]
    plain = np.asarray(image.resize((32, 32), getattr(Image.Resampling, resample.upper())), np.float32) / 255
    assert np.abs(prepare(image, spec)[0].transpose(1, 2, 0) - plain).mean() < 2 / 255
    exact = prepare(image, replace(spec, quick=False))[0].transpose(1, 2, 0)
    assert np.abs(exact - plain).max() < 1.01 / 255


@UNHURRIED
@example(width=1, height=1, side=49)
@example(width=7, height=5, side=49)
@given(width=st.integers(1, 90), height=st.integers(1, 90), side=st.integers(1, 70))
def test_sampled_is_what_four_pixels_say(width: int, height: int, side: int) -> None:
    """Each value is mixed of the four pixels around its place, to the last bit of float32, larger and smaller."""
    image = noise(width, height)
    found = prepare(image, replace(SPEC, resample="sampled", side=side, multiple=1))[0].transpose(1, 2, 0) * 255
    pixels = np.asarray(image, np.float64)
    (left, right, across), (top, bottom, down) = (neighbours(length, side) for length in image.size)
    upper, lower = (pixels[row][:, left] * (1 - across) + pixels[row][:, right] * across for row in (top, bottom))
    expected = upper * (1 - down.transpose(1, 0, 2)) + lower * down.transpose(1, 0, 2)
    assert np.abs(found - expected).max() < 1e-3


def neighbours(length: int, count: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Give for each of `count` places the pixels on both sides and the share of the second, as (1, count, 1)."""
    places = np.clip((np.arange(count) + 0.5) * length / count - 0.5, 0.0, length - 1)
    first = np.floor(places).astype(np.int64)
    return first, np.minimum(first + 1, length - 1), (places - first)[None, :, None]


def test_transparency_is_shown_over_grey() -> None:
    """What a picture hides does not reach the model: it sees neutral grey there."""
    alpha = Image.new("L", (10, 10), 0)
    values = prepare(Image.new("RGB", (10, 10), (255, 0, 0)), SPEC, alpha=alpha)
    assert values[0, :, 5, 5].tolist() == pytest.approx([part / 255 for part in NEUTRAL])


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((640, 480), (96, 64)),
        ((480, 640), (64, 96)),
        ((1, 1), (64, 64)),
        ((20_000, 40), (256, 64)),
        ((40, 20_000), (64, 256)),
        ((65, 64), (64, 64)),
    ],
)
def test_short_side_sizes(size: tuple[int, int], expected: tuple[int, int]) -> None:
    """Aspect is kept in multiples; neither side rounds to nothing, nor grows without bound."""
    assert model_size(size, FREE) == expected
    assert prepare(Image.new("RGB", size), FREE).shape == (1, 3, expected[1], expected[0])


@given(
    width=st.integers(1, 70_000),
    height=st.integers(1, 70_000),
    side=st.integers(1, 40),
    multiple=st.sampled_from([1, 8, 32]),
)
@UNHURRIED
def test_any_size_is_bounded(width: int, height: int, side: int, multiple: int) -> None:
    """Both sides are multiples, at least one and at most four short sides."""
    spec = replace(FREE, side=side * multiple, multiple=multiple)
    for length in model_size((width, height), spec):
        assert length % multiple == 0
        assert multiple <= length <= 4 * spec.side


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1), (20_000, 40)])
def test_extreme_pictures_fit(size: tuple[int, int]) -> None:
    """Any aspect is stretched to the square a model wants."""
    assert prepare(Image.new("RGB", size), SPEC).shape == (1, 3, 32, 32)
