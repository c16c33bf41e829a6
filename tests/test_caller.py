"""What a lane may ask of the process that runs its model."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bgrd.engine.caller import _check, most_bytes
from bgrd.imaging.prepare import model_size
from bgrd.models.spec import Fit, Layout, ModelSpec

SIDES = st.integers(1, 30_000)


@given(
    width=SIDES,
    height=SIDES,
    multiple=st.integers(1, 64),
    times=st.integers(1, 40),
    fit=st.sampled_from(["square", "short_side"]),
    layout=st.sampled_from(["NCHW", "NHWC"]),
)
def test_whatever_a_picture_becomes_may_be_asked(
    width: int, height: int, multiple: int, times: int, fit: Fit, layout: Layout
) -> None:
    """Every size that `prepare` makes of a picture is let through and has room, for every spec and both layouts."""
    spec = ModelSpec(name="any", side=multiple * times, multiple=multiple, fit=fit, layout=layout)
    across, down = model_size((width, height), spec)
    _check([1, 3, down, across] if layout == "NCHW" else [1, down, across, 3], spec)
    assert 3 * across * down * 4 <= most_bytes(spec)
