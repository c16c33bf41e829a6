"""Which models and grounds the lanes hold, seen from the parent, and what is told of those that are broken."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from bgrd.errors import GroundFault, ModelFault
from tests.houses.pools import LIMITS, Bench


def test_another_file_under_the_same_name_is_loaded(tmp_path: Path) -> None:
    """A model that was replaced is not worked with any more by a lane that holds the one before."""
    bench = Bench(tmp_path, replace(LIMITS, lanes=1))
    first = bench.model()
    models = (first, first, replace(first, sha256="0" * 64), replace(first, sha256="0" * 64), first)
    for count, model in enumerate(models, 1):
        bench.submit(b"x", model=model)
        bench.until(lambda count=count: len(bench.told.finished_jobs) == count)  # type: ignore[misc]
    bench.close()
    assert len(set(bench.told.lanes)) == 1
    assert bench.told.loaded == ["m"] * 3


def test_a_broken_model_is_told_and_its_job_is_the_models_fault(bench: Bench) -> None:
    """A model that does not load faults the model, and the job that wanted it is not charged for it."""
    bench.pool.warm(bench.model("b", b"broken"))
    bench.until(lambda: bool(bench.told.broken))
    assert isinstance(bench.told.broken["b"], ModelFault)


def test_a_model_that_kills_its_lane_is_the_models_fault(bench: Bench) -> None:
    """Neither the job nor another model is blamed for a model file that ends the process."""
    job, _ = bench.submit(b"x", model=bench.model("f", b"fatal"))
    bench.until(lambda: bool(bench.told.faults))
    assert isinstance(bench.told.broken["f"], ModelFault)
    assert isinstance(bench.told.faults[job], ModelFault)


def test_a_warm_model_is_told_at_once(bench: Bench) -> None:
    """Warming what is warm does nothing more."""
    model = bench.model()
    bench.pool.warm(model)
    bench.until(lambda: bench.told.loaded == ["m"])
    assert bench.pool.warm(model)
    assert bench.told.loaded == ["m", "m"]
    assert len(bench.pool.pids) == 1


def test_grounds_are_loaded_with_the_model(bench: Bench) -> None:
    """Before the job, once, and again only where they are others."""
    one, two = bench.ground("one"), bench.ground("two")
    for count, grounds in enumerate([(one,), (one,), (two, one)], start=1):
        bench.submit(b"x", grounds=grounds)
        bench.until(lambda count=count: len(bench.told.finished_jobs) == count)  # type: ignore[misc]
    assert bench.told.loaded == ["m", one.name, two.name]
    assert [message.grounds for message in bench.told.hashes] == [["1" * 64], ["1" * 64], ["1" * 64] * 2]


@pytest.mark.parametrize(("content", "why"), [(b"broken", "it is broken"), (b"fatal", "loading it failed: .* killed")])
def test_a_broken_ground_is_told_with_its_path(bench: Bench, content: bytes, why: str) -> None:
    """Refused, or fatal to its lane: neither the picture nor the model is blamed, and the lane knew no path."""
    bad = bench.ground("bad", content)
    job, _ = bench.submit(b"x", grounds=(bench.ground("good"), bad))
    bench.until(lambda: bool(bench.told.broken))
    assert set(bench.told.broken) == {bad.name}
    assert isinstance(bench.told.broken[bad.name], GroundFault)
    assert re.search(f"bad.jpg of `on` cannot be used: {why}", str(bench.told.broken[bad.name]))
    if content == b"fatal":
        assert isinstance(bench.told.faults[job], GroundFault)


def test_a_trial_tells_all_that_is_held(bench: Bench) -> None:
    """What is warm is told at once, what is not when it is loaded."""
    model, ground = bench.model(), bench.ground("one")
    bench.pool.warm(model)
    bench.until(lambda: bench.told.loaded == ["m"])
    assert bench.pool.warm(model, ground)
    bench.until(lambda: bench.told.loaded == ["m", "m", ground.name])
    assert bench.pool.warm(model, ground)
    assert bench.told.loaded[3:] == ["m", ground.name]


def test_a_ground_that_is_gone_leaves_the_lane_usable(bench: Bench) -> None:
    """Its model may be under way by then; the next job of that lane is done."""
    ground = bench.ground("one")
    ground.path.unlink()
    with pytest.raises(GroundFault, match="No such file"):
        bench.submit(b"x", grounds=(ground,))
    bench.submit(b"y")
    bench.until(lambda: len(bench.told.finished_jobs) == 1)
    bench.until(lambda: bench.pool.busy == 0)


def test_models_over_the_budget_are_dropped_oldest_first(tmp_path: Path) -> None:
    """A lane keeps no more models than its share; the null lane says a model takes a MiB for each byte of its file."""
    bench = Bench(tmp_path, replace(LIMITS, lanes=1, model_bytes=10 * 2**20))
    models = [bench.model(name, b"12345") for name in "abc"]
    for count, model in enumerate([*models, models[0]], start=1):
        bench.submit(b"x", model=model)
        bench.until(lambda count=count: len(bench.told.finished_jobs) == count)  # type: ignore[misc]
    assert bench.told.loaded == ["a", "b", "c", "a"]
    bench.until(lambda: bench.pool.busy == 0)
    (slot,) = bench.pool._slots.values()
    assert slot.choices.keys() == slot.models.keys(), "nothing is remembered of what was dropped"
    bench.close()
