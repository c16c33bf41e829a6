"""Shared models seen from the pool: real lanes in their cage, one process that runs their model."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bgrd.engine.process import LaneProcess
from bgrd.engine.slot import LOOK_SECONDS
from bgrd.errors import CrashFault, UnknownFault
from tests.houses.pools import Bench
from tests.houses.sharing import CRASHING, GOOD, LIMITS, Shared


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shared]:
    """Give a pool and end its processes."""
    monkeypatch.setenv("PYTHON_GATE", "/")
    made = Shared(tmp_path)
    yield made
    made.gate.touch()
    made.close()
    assert not made.pool._devices.pids


def test_all_lanes_share_one_model(bench: Shared) -> None:
    """Three lanes, one process with the model, whose pid each lane's load is told with; the lanes hold nothing."""
    for _ in range(3):
        bench.work(GOOD)
    bench.until(lambda: bench.done(1, 2, 3))
    assert len(set(bench.told.lanes)) == 3
    assert bench.told.devices == [bench.device] * 3
    assert all(slot.models == {"tiny": 0} for slot in bench.pool._slots.values())


def test_what_a_shared_model_takes_is_looked_at_four_times_a_second(
    bench: Shared, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not at each turn of the main loop, of which a second may have thousands."""
    bench.work(GOOD)
    bench.until(lambda: bench.done(1))
    looks: list[int] = []

    def look(process: LaneProcess) -> int:
        looks.append(process.pid)
        return 0

    monkeypatch.setattr("bgrd.engine.process.LaneProcess.private_bytes", look)
    now = time.monotonic() + 1.0
    for passed in (0.0, 0.1, 0.2, 0.26, 0.3):
        bench.pool.tick(now + passed)
    assert looks == [bench.device] * 2


def test_after_a_batch_that_died_they_go_one_by_one(bench: Shared) -> None:
    """The same is not to happen again and again: the model's next process takes one at a time."""
    bench.together(GOOD, CRASHING)
    bench.until(lambda: len(bench.told.faults) == 2)
    first, good, bad = bench.together(GOOD, CRASHING)
    bench.until(lambda: bench.done(first, good) and bad in bench.told.faults)
    assert isinstance(bench.told.faults[bad], CrashFault)


def test_a_lane_behind_a_long_queue_is_not_late(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its time does not run while others are worked on; no lane is ended and nobody charged."""
    monkeypatch.setenv("PYTHON_GATE", "/")
    bench = Shared(tmp_path, replace(LIMITS, job_seconds=2.0))
    bench.gate.unlink()
    jobs = [bench.work(GOOD) for _ in range(3)]
    bench.until(lambda: len(bench.pool._devices.pids) == 1 and sorted(bench.states())[-2:] != ["away", "away"])
    late = time.monotonic() + 1.5
    bench.until(lambda: time.monotonic() > late)
    bench.gate.touch()
    bench.until(lambda: bench.done(*jobs))
    assert not bench.told.faults
    bench.close()


def test_it_goes_with_the_last_lane(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once no lane has used it for a few seconds; the next job brings both back."""
    monkeypatch.setenv("PYTHON_GATE", "/")
    monkeypatch.setattr("bgrd.engine.devices._LINGER_SECONDS", 0.3)
    bench = Shared(tmp_path, replace(LIMITS, idle_unload_seconds=0.2))
    bench.work(GOOD)
    bench.until(lambda: bench.done(1) and not bench.pool.pids and not bench.pool._devices.pids)
    bench.work(GOOD)
    bench.until(lambda: bench.done(2))
    bench.close()


def test_one_that_was_ended_is_looked_after_until_it_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pool wants to be called again for it alone: else it stays as a zombie until something else happens."""
    monkeypatch.setenv("PYTHON_GATE", "/")
    monkeypatch.setattr("bgrd.engine.devices._LINGER_SECONDS", 0.0)
    bench = Shared(tmp_path, replace(LIMITS, idle_unload_seconds=0.0))
    bench.work(GOOD)
    with monkeypatch.context() as slow:
        reaped = LaneProcess.reaped
        slow.setattr(LaneProcess, "reaped", lambda each: "bgrd.engine.lane" in each.child.args and reaped(each))
        bench.until(lambda: bench.done(1) and not bench.pool.pids and not bench.pool._devices.pids)
        bench.until(lambda: not bench.pool._leaving.any_left())
        now = time.monotonic()
        assert bench.pool.tick(now) == now + LOOK_SECONDS
    bench.until(lambda: bench.pool.tick(time.monotonic()) is None)
    bench.close()


def test_models_over_the_budget_are_let_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process that was used longest ago goes when another model needs its memory, and comes back."""
    monkeypatch.setenv("PYTHON_GATE", "/")
    bench = Shared(tmp_path, replace(LIMITS, lanes=1, model_bytes=20 * 2**20))
    monkeypatch.setattr("bgrd.engine.process.LaneProcess.private_bytes", lambda _process: 15 * 2**20)
    models = [bench.tiny(name) for name in "ab"]
    for count, choice in enumerate([*models, models[0]], start=1):
        bench.work(GOOD, model=choice)
        bench.until(lambda count=count: len(bench.told.finished_jobs) == count)  # type: ignore[misc]
        bench.until(lambda: len(bench.pool._devices.pids) == 1)
    assert bench.told.loaded == ["a", "b", "a"]
    assert not bench.told.faults
    bench.close()


def test_what_is_worked_with_is_not_let_go_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Use counts, not when a lane was tied to it: the model that only waits makes room for the third."""
    monkeypatch.setenv("PYTHON_GATE", "/")
    bench = Shared(tmp_path, replace(LIMITS, lanes=1, model_bytes=40 * 2**20))
    monkeypatch.setattr("bgrd.engine.process.LaneProcess.private_bytes", lambda _process: 20 * 2**20 - 1)
    models = {name: bench.tiny(name) for name in "abc"}
    for count, name in enumerate("abac", start=1):
        if name == "c":
            monkeypatch.setattr("bgrd.engine.process.LaneProcess.private_bytes", lambda _process: 20 * 2**20)
        bench.work(GOOD, model=models[name])
        bench.until(lambda count=count: len(bench.told.finished_jobs) == count)  # type: ignore[misc]
    assert sorted(device.need.name for device in bench.pool._devices._devices) == ["a", "c"]
    assert bench.told.loaded == ["a", "b", "c"]
    bench.close()


def test_another_file_under_the_same_name_gets_its_own_process(bench: Shared) -> None:
    """A lane that still works with the one before is not disturbed."""
    bench.gate.unlink()
    first = bench.work(GOOD)
    bench.until(lambda: bool(bench.pool._devices.pids) and bench.states() == ["running"])
    other = replace(bench.tiny("other"), name="tiny")
    second = bench.work(GOOD, model=other)
    bench.until(lambda: len(bench.pool._devices.pids) == 2)
    bench.gate.touch()
    bench.until(lambda: bench.done(first, second))
    assert len({message.model_sha256 for message in bench.told.hashes}) == 2
    assert not bench.told.faults


def test_a_lane_that_lies_of_its_models_end_is_ended(tmp_path: Path) -> None:
    """It runs its model itself: what it says is nonsense, its job is charged with it, and nobody else is touched."""
    bench = Bench(tmp_path)
    job, _ = bench.submit(b"lie")
    bench.until(lambda: bool(bench.told.faults))
    assert isinstance(bench.told.faults[job], UnknownFault)
    assert "the process of its model is well" in str(bench.told.faults[job])
    assert not bench.pool.pids
    bench.close()
