"""A model's answer to the opacity of every pixel."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy
from numpy.typing import NDArray

from bgrd.errors import ModelFault, UnknownFault
from bgrd.imaging.matte import edge, matte, unrefined
from bgrd.models.spec import ModelSpec
from tests.pictures.making import UNHURRIED

SPEC = ModelSpec(name="tiny", side=32)


def ramp() -> NDArray[np.float32]:
    """Make the 256 shares a byte can hold, as a 16 x 16 picture."""
    return (np.arange(256, dtype=np.float32) / np.float32(255)).reshape(16, 16)


@pytest.mark.parametrize("shape", [(16, 16), (1, 16, 16), (1, 1, 16, 16)])
def test_shapes(shape: tuple[int, ...]) -> None:
    """A picture comes out of two, three or four dimensions."""
    assert np.array_equal(matte([ramp().reshape(shape)], SPEC), ramp())


def test_channels_last() -> None:
    """NHWC output is turned, and the channels picked are summed."""
    values = np.zeros((1, 2, 3, 4), np.float32)
    values[0, 1, 2] = [0.1, 0.2, 0.3, 0.0]
    found = matte([values], replace(SPEC, layout="NHWC", pick=(0, 2)))
    assert found.shape == (2, 3)
    assert found[1, 2] == pytest.approx(0.4)


@pytest.mark.parametrize(
    ("shape", "spec"),
    [
        ((16, 16, 1), replace(SPEC, layout="NHWC")),
        ((1, 16, 16), replace(SPEC, layout="NHWC")),
        ((1, 16, 16, 1), replace(SPEC, output_layout="NHWC")),
        ((16, 16, 1), replace(SPEC, output_layout="NHWC")),
        ((1, 1, 16, 16), replace(SPEC, layout="NHWC", output_layout="NCHW")),
    ],
)
def test_an_output_laid_out_its_own_way(shape: tuple[int, ...], spec: ModelSpec) -> None:
    """Channels last, without a batch, or other than the input: the picture is the same."""
    assert np.array_equal(matte([ramp().reshape(shape)], spec), ramp())


def test_an_activation_nobody_has_found_out() -> None:
    """What only a trial can tell is not guessed from one picture."""
    with pytest.raises(ModelFault, match="was not tried"):
        matte([ramp()], replace(SPEC, activation="auto"))


def test_the_output_wanted() -> None:
    """The output is chosen by its number; one that is not there is a model fault."""
    assert matte([ramp() * 0, ramp()], replace(SPEC, output=1)).max() == 1.0
    with pytest.raises(ModelFault, match="no output 2"):
        matte([ramp()], replace(SPEC, output=2))


@pytest.mark.parametrize("shape", [(4,), (1, 1, 1, 4, 4)])
def test_no_picture(shape: tuple[int, ...]) -> None:
    """An output that is no picture is a model fault."""
    with pytest.raises(ModelFault, match="no picture"):
        matte([np.zeros(shape, np.float32)], SPEC)


def test_a_channel_that_is_not_there() -> None:
    """A pick beyond the channels is a model fault."""
    with pytest.raises(ModelFault, match="picks channel 3"):
        matte([np.zeros((1, 2, 4, 4), np.float32)], replace(SPEC, pick=(3,)))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_none(bad: float) -> None:
    """NaN and infinity never become a mask."""
    values = ramp()
    values[3, 3] = bad
    with pytest.raises(UnknownFault, match="not finite"):
        matte([values], SPEC)


def test_sigmoid() -> None:
    """Logits become shares, without overflow however large they are."""
    logits = np.array([[-1e30, -2.0, 0.0, 2.0, 1e30]], np.float32)
    found = matte([logits], replace(SPEC, activation="sigmoid"))
    assert found[0].tolist() == pytest.approx([0.0, 0.1192, 0.5, 0.8808, 1.0], abs=1e-4)


def test_softmax_and_argmax() -> None:
    """Shares of the picked classes are summed; for argmax the winner decides."""
    logits = np.array([[[3.0, 0.0, 800.0]], [[1.0, 0.0, 0.0]], [[1.0, 5.0, 0.0]]], np.float32)[None]
    shares = matte([logits], replace(SPEC, activation="softmax", pick=(1, 2)))
    weights = np.exp([3.0, 1.0, 1.0])
    assert shares[0].tolist() == pytest.approx([weights[1:].sum() / weights.sum(), 0.99338, 0.0], abs=1e-4)
    assert matte([logits], replace(SPEC, activation="argmax", pick=(1, 2)))[0].tolist() == [0.0, 1.0, 0.0]


def test_half_precision() -> None:
    """Half precision in, float32 out."""
    assert matte([ramp().astype(np.float16)], SPEC).dtype == np.float32


GUARDED = replace(SPEC, stretch="guarded")
FULL = replace(SPEC, stretch="full")


def test_an_empty_scene_stays_empty() -> None:
    """Min-max blows the noise of an empty scene up to a full mask; the guarded stretch does not."""
    quiet = np.random.default_rng(0).uniform(0.0, 0.02, (16, 16)).astype(np.float32)
    assert matte([quiet], GUARDED).max() <= 0.02
    assert matte([quiet], FULL).max() == 1.0


@pytest.mark.parametrize("value", [0.0, 0.4, 1.0])
def test_a_flat_output_divides_by_nothing(value: float) -> None:
    """A flat output stays what it is when guarded, and is finite in any case."""
    flat = np.full((4, 4), value, np.float32)
    assert matte([flat], GUARDED).tolist() == flat.tolist()
    assert np.isfinite(matte([flat], FULL)).all()


def test_a_sure_picture_is_stretched_as_elsewhere() -> None:
    """Where the model reaches 1, guarded and full agree."""
    values = ramp() * 0.8 + 0.2
    assert np.allclose(matte([values], GUARDED), matte([values], FULL), atol=1e-6)


@given(st_numpy.arrays(np.float32, (5, 5), elements=st.floats(0, 1, width=32)))
@UNHURRIED
def test_guarded_is_never_surer_than_the_model(values: NDArray[np.float32]) -> None:
    """Whatever the output, no pixel ends above the highest value the model gave."""
    assert matte([values], GUARDED).max() <= values.max() + 1e-6


def test_the_soft_mask_is_the_identity() -> None:
    """Threshold one half and feather one leave every value as it is."""
    assert list(edge(unrefined(ramp(), size=(16, 16)), threshold=0.5, feather=1.0).tobytes()) == list(range(256))


def test_a_hard_cut() -> None:
    """Feather zero: opaque where p > threshold; 0.502 cuts behind 128."""
    found = list(edge(unrefined(ramp(), size=(16, 16)), threshold=0.502, feather=0.0).tobytes())
    assert found == [0] * 129 + [255] * 127


def test_a_ramp() -> None:
    """0.367 and 0.184 are a ramp from 70 to 117 of 255."""
    found = list(edge(unrefined(ramp(), size=(16, 16)), threshold=0.367, feather=0.184).tobytes())
    assert max(found[:71]) <= 1
    assert min(found[117:]) >= 254
    assert found == sorted(found)


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (2000, 4), (16, 16), (333, 77)])
def test_the_picture_decides_the_size(size: tuple[int, int]) -> None:
    """The mask has the picture's size, larger or smaller than the model's."""
    mask = unrefined(ramp(), size=size)
    assert (mask.mode, mask.size) == ("L", size)


@pytest.mark.parametrize("upscale", ["box", "bilinear", "bicubic", "lanczos"])
def test_enlarging_stays_in_place(upscale: str) -> None:
    """Enlarging neither shifts the edge nor makes solid parts uncertain."""
    half = np.zeros((16, 16), np.float32)
    half[:, 8:] = 1.0
    mask = np.asarray(unrefined(half, size=(160, 160), upscale=upscale))  # type: ignore[arg-type]
    assert mask[:, :48].max() == 0
    assert mask[:, -48:].min() == 255
    assert (mask[80] > 127).sum() == 80


@given(threshold=st.floats(0, 1), feather=st.floats(0, 2))
@UNHURRIED
def test_the_edge_is_monotone(threshold: float, feather: float) -> None:
    """A surer pixel is never less opaque, for any two numbers."""
    found = list(edge(unrefined(ramp(), size=(16, 16)), threshold=threshold, feather=feather).tobytes())
    assert found == sorted(found)
