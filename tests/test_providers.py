"""What a model runs on."""

from __future__ import annotations

import pytest

from bgrd.errors import ModelFault
from bgrd.models.providers import CAGED, PROVIDERS, Sharing, chosen, shares, short

HERE = ["AzureExecutionProvider", "CPUExecutionProvider"]
CPU = "CPUExecutionProvider"


def test_auto_is_the_processor() -> None:
    """Without a list it is the processor, whatever else is installed, and nothing is left out."""
    assert chosen((), available=list(PROVIDERS.values()), fallback=False) == ([CPU], [])


def test_the_processor_stands_behind_the_others() -> None:
    """The list's order is kept, and the processor takes what is left."""
    names, left_out = chosen(("xnnpack",), available=list(PROVIDERS.values()), fallback=False)
    assert (names, left_out) == (["XnnpackExecutionProvider", CPU], [])
    assert chosen(("cpu", "xnnpack"), available=list(PROVIDERS.values()), fallback=False)[0][0] == CPU


def test_a_provider_that_is_not_installed() -> None:
    """It is named with what there is, and what to do."""
    with pytest.raises(ModelFault, match=r"Provider xnnpack is not in the onnxruntime .* has cpu; take it out of"):
        chosen(("xnnpack", "cpu"), available=HERE, fallback=False)


@pytest.mark.parametrize("name", sorted(PROVIDERS.keys() - CAGED))
def test_a_provider_that_needs_the_world(name: str) -> None:
    """One that opens devices or libraries as it works is refused even where it is installed, since no lane could."""
    with pytest.raises(ModelFault, match=rf"Provider {name} (opens devices|makes machine code).*a lane is not allowed"):
        chosen((name,), available=list(PROVIDERS.values()), fallback=False)


@pytest.mark.parametrize("available", [HERE, list(PROVIDERS.values())])
def test_doing_without(available: list[str]) -> None:
    """Where it is allowed, what cannot be used is left out and told."""
    names, left_out = chosen(("cuda", "cpu"), available=available, fallback=True)
    assert names == [CPU]
    assert len(left_out) == 1
    assert "cuda" in left_out[0]


def test_names_both_ways() -> None:
    """Every short name is found again; what has none keeps its own."""
    assert short([*PROVIDERS.values(), "OddExecutionProvider"]) == [*PROVIDERS, "OddExecutionProvider"]


def test_a_process_of_its_own_may_use_what_no_lane_can() -> None:
    """What is installed is taken there, in the order that is wished; what is not is refused there too."""
    names, left_out = chosen(("cuda",), available=list(PROVIDERS.values()), fallback=False, caged=False)
    assert (names, left_out) == ([PROVIDERS["cuda"], CPU], [])
    with pytest.raises(ModelFault, match="Provider cuda is not in the onnxruntime"):
        chosen(("cuda",), available=HERE, fallback=False, caged=False)


@pytest.mark.parametrize(
    ("sharing", "wanted", "expected"),
    [
        ("auto", (), False),
        ("auto", ("xnnpack", "cpu"), False),
        ("auto", ("cuda", "cpu"), True),
        ("on", (), True),
        ("off", ("cuda", "cpu"), False),
    ],
)
def test_a_model_is_shared_where_no_lane_could_run_it(
    sharing: Sharing,
    wanted: tuple[str, ...],
    expected: bool,  # noqa: FBT001 - a column of a table
) -> None:
    """By itself only there; asked for, everywhere or nowhere."""
    assert shares(sharing, wanted) is expected
