"""A model's files on their way into a real lane in its cage: all of them, and nothing but them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
import pytest

from bgrd.engine.capacity import Limits
from bgrd.engine.process import LaneProcess, start_lane
from bgrd.engine.scrutiny import harmless
from bgrd.engine.slot import Slot
from bgrd.engine.wire import Faulted, Hello, Loaded
from bgrd.errors import ModelFault
from bgrd.job import ModelChoice, Recipe
from bgrd.models.catalogue import ROWS
from bgrd.models.spec import ModelSpec
from tests.houses.lanes import Hands
from tests.pictures.making import encoded, model, noise
from tests.pictures.networks import KINDS

LIMITS = Limits(lanes=1, threads=1, memory_bytes=2**32, model_bytes=2**30, job_seconds=60, idle_unload_seconds=300)
SPEC = ModelSpec(name="tiny", side=32).to_json()


@pytest.fixture(scope="module")
def caged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[LaneProcess, Hands]]:
    """Give a lane in its cage."""
    lane = start_lane()
    hands = Hands(tmp_path_factory.mktemp("lane"), lane.channel)
    hands.expect(Hello)
    yield lane, hands
    lane.channel.close()
    assert lane.wait_or_kill(20) == "ended with status 0"


@pytest.fixture
def parted(tmp_path: Path) -> ModelChoice:
    """Give a model whose weights lie in a folder beside it."""
    (tmp_path / "parts").mkdir()
    options: dict[str, Any] = {"save_as_external_data": True, "location": "parts/tiny.data", "size_threshold": 0}
    onnx.save(onnx.load_from_string(model()), tmp_path / "tiny.onnx", **options)
    return ModelChoice(name="tiny", path=tmp_path / "tiny.onnx", spec=SPEC, external=("parts/tiny.data",))


def test_weights_reach_the_lane(caged: tuple[LaneProcess, Hands], parted: ModelChoice) -> None:
    """Files of weights go as descriptors beside the model's, and the hash that is recorded is that of them all."""
    lane, hands = caged
    Slot(process=lane, idle_since=0.0).load(parted, LIMITS)
    loaded = hands.expect(Loaded)
    whole = b"".join(path.read_bytes() for path in parted.files)
    assert loaded.sha256 == hashlib.sha256(whole).hexdigest()
    assert loaded.providers == ["cpu"]
    hands.work(encoded(noise(40, 30), "PNG"), recipe=Recipe(model="tiny"))


def test_other_weights_are_another_model(caged: tuple[LaneProcess, Hands], parted: ModelChoice) -> None:
    """The model's own checksum is that of its file; a changed byte of its weights changes what is recorded."""
    lane, hands = caged
    found = []
    for weights in (parted.files[1].read_bytes(), bytes(16)):
        parted.files[1].write_bytes(weights)
        own = hashlib.sha256(parted.path.read_bytes()).hexdigest()
        Slot(process=lane, idle_since=0.0).load(replace(parted, sha256=own), LIMITS)
        found.append(hands.expect(Loaded).sha256)
    assert found[0] != found[1]


def test_weights_nobody_named(caged: tuple[LaneProcess, Hands], parted: ModelChoice) -> None:
    """A lane cannot look for them, and says which file has to be named."""
    lane, hands = caged
    Slot(process=lane, idle_since=0.0).load(replace(parted, external=()), LIMITS)
    fault = hands.expect(Faulted)
    assert fault.kind == "model"
    assert "keeps its weights in parts/tiny.data, which has to be named in `data`" in fault.text


def test_weights_that_are_not_there(caged: tuple[LaneProcess, Hands], parted: ModelChoice) -> None:
    """A missing file of weights is told by its path before anything is sent, and no descriptor stays open."""
    lane, _ = caged
    parted.files[1].unlink()
    slot = Slot(process=lane, idle_since=0.0)
    with pytest.raises(ModelFault, match=r"parts/tiny\.data"):
        slot.load(parted, LIMITS)
    assert not slot.loading


def test_a_model_that_was_replaced_is_forgotten(caged: tuple[LaneProcess, Hands], tmp_path: Path) -> None:
    """Where the file that took a model's name cannot be used, nothing is worked with the one before."""
    lane, hands = caged
    (tmp_path / "tiny.onnx").write_bytes(model())
    choice = ModelChoice(name="replaced", path=tmp_path / "tiny.onnx", spec=SPEC)
    Slot(process=lane, idle_since=0.0).load(choice, LIMITS)
    hands.expect(Loaded)
    choice.path.write_bytes(b"damaged")
    Slot(process=lane, idle_since=0.0).load(choice, LIMITS)
    reason = hands.expect(Faulted).text
    hands.submit(encoded(noise(40, 30), "PNG"), recipe=Recipe(model="replaced"))
    assert hands.expect(Faulted).text == reason


def test_a_spec_that_is_none_any_more(caged: tuple[LaneProcess, Hands], tmp_path: Path) -> None:
    """A spec that was written down by another version blocks the model's folders, not their pictures."""
    lane, hands = caged
    (tmp_path / "tiny.onnx").write_bytes(model())
    choice = ModelChoice(name="tiny", path=tmp_path / "tiny.onnx", spec={**SPEC, "colour": 3})
    Slot(process=lane, idle_since=0.0).load(choice, LIMITS)
    fault = hands.expect(Faulted)
    assert (fault.kind, fault.text) == (
        "model",
        "the spec of model tiny cannot be read: model tiny.colour: there is no such key.",
    )


def test_providers_reach_the_lane(caged: tuple[LaneProcess, Hands], tmp_path: Path) -> None:
    """One that cannot be used is the model's fault, or is left out and told, as the settings want it."""
    lane, hands = caged
    (tmp_path / "tiny.onnx").write_bytes(model())
    choice = ModelChoice(name="tiny", path=tmp_path / "tiny.onnx", spec=SPEC)
    wanting = replace(LIMITS, providers=("cuda", "cpu"))
    Slot(process=lane, idle_since=0.0).load(choice, wanting)
    assert "Provider cuda" in hands.expect(Faulted).text
    Slot(process=lane, idle_since=0.0).load(choice, replace(wanting, provider_fallback=True))
    loaded = hands.expect(Loaded)
    assert loaded.providers == ["cpu"]
    assert any("cuda" in note for note in loaded.notes)


def test_what_a_lane_says_of_a_model_is_made_harmless() -> None:
    """Providers and notes go into log and terminals: one line each, nothing hidden in it."""
    said = Loaded(model="m", sha256="0" * 64, seconds=1.0, resident_bytes=1, providers=["c\npu"], notes=["\x1b[31m"])
    heard = harmless(said)
    assert isinstance(heard, Loaded)
    assert (heard.providers, heard.notes) == (["c pu"], ["\\x1b[31m"])


@pytest.mark.parametrize(
    ("kind", "row"),
    [("u2net", "u2netp"), ("rmbg-2", "rmbg-2.0"), ("modnet", "modnet"), ("deeplab", "deeplabv3-resnet101")],
)
def test_kinds_work_in_the_cage(caged: tuple[LaneProcess, Hands], tmp_path: Path, kind: str, row: str) -> None:
    """A network of the kind is loaded, tried and used without a file that the cage would have to let it open."""
    lane, hands = caged
    spec = ROWS[row].spec
    assert spec is not None
    (tmp_path / "kind.onnx").write_bytes(KINDS[kind]())
    choice = ModelChoice(name=row, path=tmp_path / "kind.onnx", spec=spec.to_json())
    Slot(process=lane, idle_since=0.0).load(choice, LIMITS)
    notes = hands.expect(Loaded).notes
    assert bool(notes) == (spec.activation == "auto")
    hands.work(encoded(noise(60, 40), "PNG"), recipe=Recipe(model=row))
