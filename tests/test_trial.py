"""A model's first run: what it tells, and what it refuses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy
from numpy.typing import NDArray

from bgrd.errors import ModelFault
from bgrd.imaging.matte import matte
from bgrd.models.spec import ModelSpec
from bgrd.models.trial import settled, synthetic
from tests.pictures.making import UNHURRIED

SPEC = ModelSpec(name="tiny", side=32)
MASK = np.linspace(0, 1, 32 * 32, dtype=np.float32).reshape(1, 1, 32, 32)


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_the_picture_is_laid_out_as_the_spec_says(layout: str) -> None:
    """It has the model's side, type and order, and both a bright subject and a dark ground."""
    spec = replace(SPEC, layout=layout)  # type: ignore[arg-type]
    tensor = synthetic(spec, "float16")
    assert tensor.shape == ((1, 3, 32, 32) if layout == "NCHW" else (1, 32, 32, 3))
    assert tensor.dtype == np.float16
    assert float(tensor.max()) - float(tensor.min()) > 0.5


def test_only_what_was_open_is_settled() -> None:
    """A spec that leaves nothing open comes back as it is."""
    assert settled(SPEC, MASK, name="tiny") is SPEC
    assert settled(replace(SPEC, activation="auto"), MASK * 9 - 4, name="tiny").activation == "sigmoid"


def test_rounding_is_no_contradiction() -> None:
    """Half precision may leave 0..1 a little; more than that is an activation that is missing."""
    settled(SPEC, MASK * 1.01, name="tiny")
    with pytest.raises(ModelFault, match="is the activation missing"):
        settled(SPEC, MASK * 1.1, name="tiny")
    settled(replace(SPEC, stretch="full"), MASK * 9 - 4, name="tiny")


@UNHURRIED
@given(
    output=st_numpy.arrays(
        np.float32,
        st_numpy.array_shapes(min_dims=1, max_dims=5, min_side=0, max_side=33),
        elements=st.floats(-3, 3, width=32) | st.just(np.nan),
    ),
    activation=st.sampled_from(["none", "sigmoid", "softmax", "argmax", "auto"]),
    layout=st.sampled_from(["NCHW", "NHWC"]),
)
def test_what_passes_its_trial_gives_a_matte(output: NDArray[np.float32], activation: str, layout: str) -> None:
    """Any output at all is refused in a sentence, or settled and then good for a matte of shares."""
    spec = replace(SPEC, side=8, multiple=8, activation=activation, layout=layout)  # type: ignore[arg-type]
    try:
        found = settled(spec, output, name="tiny")
    except ModelFault as fault:
        assert "expected" in str(fault)  # noqa: PT017 - being taken is as good
        return
    values = matte([output], found)
    assert values.ndim == 2
    assert 0.0 <= values.min() <= values.max() <= 1.0
