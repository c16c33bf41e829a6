"""What the lanes get, and why."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from bgrd.allotment import allotment, file_bytes, models_in_use
from bgrd.config.load import load
from bgrd.config.settings import Settings
from bgrd.engine.capacity import Capacity
from bgrd.engine.demand import BASE_BYTES, PICTURE_BYTES
from bgrd.engine.experience import Experience, identity, noted
from bgrd.job import ModelChoice

GIB = 2**30
BIG = Capacity(processors=8, memory_bytes=64 * GIB)
SMALL = Capacity(processors=8, memory_bytes=8 * GIB)


def settings(home: Path, text: str = "") -> Settings:
    """Read a configuration."""
    (home / "config.toml").write_text(text)
    return load(home / "config.toml", environ={"HOME": str(home)})


def note(
    home: Settings, capacity: Capacity, model: ModelChoice, *, resident: int, best: tuple[int, int] | None = None
) -> None:
    """Have something remembered of a model."""
    home.state_directory.mkdir(parents=True, exist_ok=True)
    size = file_bytes(model)
    assert size is not None
    what = partial(Experience.loaded, sha256="c" * 64, name=model.name, size=size, resident_bytes=resident)
    noted(home.state_directory, identity(capacity.processors), what)
    if best is not None:
        benched = partial(Experience.benched, sha256="c" * 64, milliseconds={1: 5.0}, best=best)
        noted(home.state_directory, identity(capacity.processors), benched)


def test_a_light_model_has_a_lane_for_each_processor(tmp_path: Path) -> None:
    """And the sentence says from what that was chosen."""
    found = allotment(settings(tmp_path), capacity=BIG)
    assert (found.limits.lanes, found.limits.threads, found.limits.nice) == (8, 1, 10)
    assert found.why == (
        "8 lanes x 1 thread: 8 processors, 34.4 of 68.7 GB allowed, a lane takes up to 0.9 GB with bgrd-lite "
        "(reckoned, as it was not loaded here yet)"
    )


def test_the_most_demanding_folder_decides(tmp_path: Path) -> None:
    """Also where its model is not installed yet: the catalogue knows how large it will be."""
    folders = "".join(
        f'[[folder]]\nname = "{name}"\ninbox = "{name}/in"\noutbox = "{name}/out"\nmodel = "{name}"\n'
        for name in ("bgrd-lite", "birefnet-general")
    )
    found = allotment(settings(tmp_path, folders), capacity=SMALL)
    assert found.demand.model == "birefnet-general"
    assert (found.limits.lanes, found.limits.threads) == (1, 8)


def test_what_was_measured_is_used(tmp_path: Path) -> None:
    """A model of one's own, that was reckoned high, has more lanes once it was loaded."""
    (tmp_path / "own.onnx").write_bytes(b"x" * 1000)
    text = '[[model]]\nname = "own"\npath = "own.onnx"\nlike = "isnet-general-use"\n[defaults]\nmodel = "own"\n'
    plain = settings(tmp_path, text)
    before = allotment(plain, capacity=SMALL)
    assert not before.demand.measured
    (choice,) = models_in_use(plain)
    note(plain, SMALL, choice, resident=50 * 2**20)
    after = allotment(plain, capacity=SMALL)
    assert after.demand.measured
    assert before.limits.lanes < after.limits.lanes
    note(plain, SMALL, choice, resident=50 * 2**20, best=(3, 2))
    benched = allotment(plain, capacity=SMALL)
    assert (benched.limits.lanes, benched.limits.threads) == (3, 2)
    assert "3 lanes x 2 threads (the best `bgrd bench` found)" in benched.why


def test_lanes_that_share_a_model_have_room_for_pictures_alone(tmp_path: Path) -> None:
    """The model counts once, in its own part of the memory; what lanes that held it were best at decides nothing."""
    choice = '[defaults]\nmodel = "birefnet-general"\n'
    alone = allotment(settings(tmp_path, choice), capacity=SMALL)
    plain = settings(tmp_path, f'memory_limit = "6 GB"\nmodel_memory = "4 GB"\nshared_session = "on"\n{choice}')
    (model,) = models_in_use(plain)
    found = allotment(plain, capacity=SMALL)
    assert (alone.limits.lanes, found.limits.lanes, found.limits.threads) == (1, 2, 4)
    assert (found.limits.shared, found.limits.batch) == (True, 8)
    assert found.lane_bytes == BASE_BYTES + PICTURE_BYTES
    assert not found.crowded
    assert found.why.startswith("2 lanes x 4 threads: 8 processors, 6.0 of 8.6 GB allowed, a lane takes up to 0.7 GB ")
    assert "and birefnet-general, once for all, " in found.why
    assert found.why.endswith(" of 4.0 GB (reckoned, as it was not loaded here yet)")
    assert file_bytes(model) is None


def test_what_lanes_with_a_model_were_best_at_says_nothing_of_those_that_share_it(tmp_path: Path) -> None:
    """`bgrd bench` had found three lanes of two threads, with the model in each."""
    plain = settings(tmp_path, 'shared_session = "on"\n')
    (model,) = models_in_use(plain)
    note(plain, BIG, model, resident=50 * 2**20, best=(3, 2))
    found = allotment(plain, capacity=BIG)
    assert (found.limits.lanes, found.limits.threads, found.chosen) == (8, 1, "")
    assert found.why.endswith("of 17.2 GB (measured)")
    assert not found.overflows


@pytest.mark.parametrize(("model_memory", "overflows"), [("50 MB", True), ("1 GB", False)])
def test_a_shared_model_that_takes_too_much_is_told(tmp_path: Path, model_memory: str, overflows: bool) -> None:  # noqa: FBT001
    """More than models may have; where lanes hold it, it is their memory that counts."""
    text = f'model_memory = "{model_memory}"\n'
    assert allotment(settings(tmp_path, f'{text}shared_session = "on"\n'), capacity=BIG).overflows is overflows
    assert not allotment(settings(tmp_path, text), capacity=BIG).overflows


def test_the_measurements_of_another_machine_do_not_count(tmp_path: Path) -> None:
    """With other processors the table is none."""
    plain = settings(tmp_path)
    (choice,) = models_in_use(plain)
    note(plain, SMALL, choice, resident=2**30, best=(3, 2))
    assert allotment(plain, capacity=Capacity(processors=4, memory_bytes=64 * GIB)).limits.lanes == 4


@pytest.mark.parametrize("text", ["lanes = 3", "lanes = 3\nthreads = 2"])
def test_what_is_configured_is_told(tmp_path: Path, text: str) -> None:
    """Numbers of the user's own are no choice of ours."""
    found = allotment(settings(tmp_path, text), capacity=BIG)
    assert found.limits.lanes == 3
    assert "3 lanes x 2 threads (as configured)" in found.why


def test_the_models_of_all_folders_are_in_use_once(tmp_path: Path) -> None:
    """A model that is not there is among them, with no bytes."""
    folders = "".join(
        f'[[folder]]\nname = "{name}"\ninbox = "{name}/in"\noutbox = "{name}/out"\nmodel = "{model}"\n'
        for name, model in (("a", "u2net"), ("b", "bgrd-lite"), ("c", "u2net"))
    )
    found = models_in_use(settings(tmp_path, folders))
    assert [choice.name for choice in found] == ["u2net", "bgrd-lite"]
    assert file_bytes(found[0]) is None
