"""What a model wants in and gives out, read from text."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bgrd.errors import ConfigError
from bgrd.models.spec import ModelSpec, parse
from tests.pictures.making import UNHURRIED

LEAST: dict[str, Any] = {"name": "tiny", "side": 320}


def test_the_least() -> None:
    """A name and a side are enough."""
    assert parse(LEAST, where="model[0]") == ModelSpec(name="tiny", side=320)


def test_round_trip() -> None:
    """What `to_json` gives goes through JSON and comes back equal."""
    spec = ModelSpec(
        name="other",
        side=64,
        fit="short_side",
        resample="sampled",
        quick=False,
        divide_by="image_max",
        mean=(0.1, 0.2, 0.3),
        std=(1.0, 2.0, 3.0),
        channels="BGR",
        layout="NHWC",
        output_layout="NCHW",
        output="alphas",
        activation="auto",
        pick=(1, 15),
        licence="MIT",
        commercial=False,
        version=3,
    )
    assert parse(json.loads(json.dumps(spec.to_json())), where="x") == spec


def test_short_forms() -> None:
    """One number stands for three, one channel for a list, true for a guarded stretch."""
    spec = parse({**LEAST, "mean": 0.5, "pick": 2, "stretch": True, "divide_by": 255}, where="x")
    assert (spec.mean, spec.pick, spec.stretch, spec.divide_by) == ((0.5, 0.5, 0.5), (2,), "guarded", "255")
    assert parse({**LEAST, "stretch": False}, where="x").stretch == "none"


WRONG = [
    ("sides", 3),
    ("side", 0),
    ("side", 333),
    ("side", "320"),
    ("side", True),
    ("name", " "),
    ("name", 5),
    ("fit", "round"),
    ("fit", ["square"]),
    ("multiple", 0),
    ("resample", "nearest"),
    ("upscale", "nearest"),
    ("quick", 1),
    ("output_layout", "file"),
    ("divide_by", 100),
    ("mean", [1, 2]),
    ("mean", "grey"),
    ("mean", float("nan")),
    ("std", 0),
    ("std", [1, 1, -1]),
    ("channels", "GBR"),
    ("layout", "CHW"),
    ("output", -1),
    ("output", ""),
    ("activation", "relu"),
    ("pick", []),
    ("pick", [0, 0]),
    ("pick", [-1]),
    ("pick", "all"),
    ("stretch", "yes"),
    ("licence", 3),
    ("commercial", "no"),
    ("version", 0),
]


@pytest.mark.parametrize(("key", "value"), WRONG)
def test_what_is_wrong_is_named(key: str, value: object) -> None:
    """A wrong or unknown key is named with its path."""
    with pytest.raises(ConfigError, match=rf"^model\[1\]\.{key}: "):
        parse({**LEAST, key: value}, where="model[1]")


@pytest.mark.parametrize("key", ["name", "side"])
def test_what_is_missing_is_named(key: str) -> None:
    """Name and side have no default."""
    with pytest.raises(ConfigError, match=rf"^model\[1\]\.{key}: is missing"):
        parse({other: value for other, value in LEAST.items() if other != key}, where="model[1]")


@pytest.mark.parametrize("activation", ["softmax", "argmax"])
def test_a_contradiction_is_named(activation: str) -> None:
    """Shares are not stretched."""
    with pytest.raises(ConfigError, match="stretch"):
        parse({**LEAST, "activation": activation, "stretch": True}, where="x")


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=5,
)


@given(values=st.dictionaries(st.sampled_from([*ModelSpec(name="x", side=1).to_json()]), ANYTHING))
@UNHURRIED
def test_any_values_are_a_spec_or_a_config_error(values: dict[str, Any]) -> None:
    """No metadata, however strange, raises anything else."""
    try:
        parse(values, where="x")
    except ConfigError as error:
        assert str(error).startswith("x.")  # noqa: PT017 - either answer is fine
