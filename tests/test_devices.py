"""Shared models seen from the pool: real lanes in their cage, one process that runs their model, and its misdeeds."""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from PIL import Image

from bgrd.engine.pool import Assignment, Limits, Pool
from bgrd.engine.process import LaneProcess, start_device, start_lane
from bgrd.engine.slot import LOOK_SECONDS
from bgrd.engine.wire import Work
from bgrd.errors import CrashFault, DeviceFault, MemoryFault, ModelFault, UnknownFault
from bgrd.job import ModelChoice, Recipe
from tests.houses.pools import Bench
from tests.houses.ties import POISONED_DEVICE, SIDE
from tests.pictures.making import encoded, model, noise

LIMITS = Limits(
    lanes=3,
    threads=1,
    memory_bytes=8 * 2**30,
    model_bytes=4 * 2**30,
    job_seconds=60,
    idle_unload_seconds=300,
    shared=True,
    batch=8,
)
GOOD = encoded(noise(80, 60), "PNG")
RECIPE = replace(Recipe(), refine="none")


def grey(level: int) -> bytes:
    """Make a picture of one colour, which `poisoned_device` knows."""
    return encoded(Image.new("RGB", (80, 60), (level,) * 3), "PNG")


CRASHING, HANGING, BLOATING, DISLIKED = grey(255), grey(0), grey(51), grey(102)


class Shared(Bench):
    """A pool whose lanes share a model that misbehaves at pictures of one colour."""

    def __init__(self, tmp_path: Path, limits: Limits = LIMITS) -> None:
        super().__init__(tmp_path, limits)
        self.gate = tmp_path / "gate"
        self.gate.touch()
        os.environ["PYTHON_GATE"] = str(self.gate)
        poll = self._poll
        self.pool = Pool(
            limits,
            events=self.told,
            clock=time.monotonic,
            watch=lambda fileno: poll.register(fileno, select.POLLIN),
            unwatch=poll.unregister,
            start=start_lane,
            start_device=partial(start_device, (str(POISONED_DEVICE),)),
        )
        self.told.pool = self.pool

    def tiny(self, name: str = "tiny", **spec: object) -> ModelChoice:
        """Give a small model."""
        return self.model(name, model(spec={"name": name, "side": SIDE, **spec}))

    def work(self, data: bytes, *, alone: bool = False, model: ModelChoice | None = None) -> int:
        """Submit a real picture; gives the job."""
        self._jobs += 1
        source, target = self.path / f"s{self._jobs}", self.path / f"t{self._jobs}"
        source.write_bytes(data)
        descriptors = (os.open(source, os.O_RDONLY), os.open(target, os.O_RDWR | os.O_CREAT))
        self._open += descriptors
        model = model or self.tiny()
        work = Work(
            job=self._jobs,
            model=model.name,
            recipe=RECIPE.to_json(),
            size=len(data),
            max_pixels=10**6,
            memory_bytes=2**31,
        )
        assert self.pool.submit(Assignment(work=work, model=model, descriptors=descriptors, alone=alone))
        return self._jobs

    @property
    def device(self) -> int:
        """The one process that runs a model."""
        (pid,) = self.pool._devices.pids
        return pid

    def together(self, *pictures: bytes, first: bytes = GOOD) -> list[int]:
        """Have one worked on, and these wait behind it in their order, then let go; gives all jobs."""
        self.gate.unlink()
        jobs = [self.work(first)]
        self.until(lambda: bool(self.pool._devices.pids) and self.states()[:1] == ["running"])
        for picture in pictures:
            jobs.append(self.work(picture))
            self.until(lambda: self.states() == ["running"] + ["waiting"] * (len(jobs) - 1))
        self.gate.touch()
        return jobs

    def states(self) -> list[str]:
        """Give what the lanes' tensors do, in the order in which the lanes were tied."""
        (device,) = self.pool._devices._devices
        return [device.slate.state(line.number) for line in device.lines]

    def done(self, *jobs: int) -> bool:
        """Say whether these jobs are finished."""
        return {*jobs} <= {message.job for message in self.told.finished_jobs}


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


def test_a_job_that_ends_the_process_alone_is_charged(bench: Shared) -> None:
    """Its tensor was the only one worked on: a crash that says how; the lane lives on, the next job is done."""
    job = bench.work(CRASHING)
    bench.until(lambda: bool(bench.told.faults))
    fault = bench.told.faults[job]
    assert isinstance(fault, CrashFault)
    assert "SIGSEGV" in str(fault)
    lanes = bench.pool.pids
    good = bench.work(GOOD)
    bench.until(lambda: bench.done(good))
    assert set(lanes) <= set(bench.pool.pids)
    assert not bench.told.broken


def test_of_several_nobody_is_charged(bench: Shared) -> None:
    """Two in one batch, one of which ended the process: neither is charged, each runs alone, and it is found out."""
    first, good, bad = bench.together(GOOD, CRASHING)
    bench.until(lambda: len(bench.told.faults) == 2 and bench.done(first))
    assert all(isinstance(bench.told.faults[job], DeviceFault) for job in (good, bad))
    again = bench.work(GOOD, alone=True)
    bench.until(lambda: bench.done(again))
    worst = bench.work(CRASHING, alone=True)
    bench.until(lambda: worst in bench.told.faults)
    assert isinstance(bench.told.faults[worst], CrashFault)


def test_who_only_waited_is_not_charged(bench: Shared) -> None:
    """The one that was worked on is charged, those behind it are not."""
    first, second, third = bench.together(GOOD, GOOD, first=CRASHING)
    bench.until(lambda: len(bench.told.faults) == 3)
    assert isinstance(bench.told.faults[first], CrashFault)
    assert all(isinstance(bench.told.faults[job], DeviceFault) for job in (second, third))


def test_a_process_that_is_killed_idle_costs_nothing(bench: Shared) -> None:
    """The next job has another one started."""
    bench.work(GOOD)
    bench.until(lambda: bench.done(1))
    before = bench.device
    os.kill(before, signal.SIGKILL)
    bench.until(lambda: not bench.pool._devices.pids)
    bench.work(GOOD)
    bench.until(lambda: bench.done(2))
    assert bench.device != before
    assert not bench.told.faults
    assert not bench.told.broken


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


def test_a_run_that_hangs_is_charged_to_whom_it_is_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process is ended after `job_seconds` in one run; a neighbour that waited behind it is not charged."""
    monkeypatch.setenv("PYTHON_GATE", "/")
    bench = Shared(tmp_path)
    first, second = bench.together(GOOD, first=HANGING)
    bench.pool.limits = replace(LIMITS, job_seconds=1.0)
    bench.until(lambda: len(bench.told.faults) == 2)
    assert isinstance(bench.told.faults[first], CrashFault)
    assert "longer than 1 seconds" in str(bench.told.faults[first])
    assert isinstance(bench.told.faults[second], DeviceFault)
    assert len(bench.pool.pids) == 2, "no lane was ended for it"
    bench.close()


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


def test_one_that_takes_too_much_memory_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over what models may have: the picture it works on alone learns how much, as in a lane of its own."""
    monkeypatch.setenv("PYTHON_GATE", "/")
    bench = Shared(tmp_path, replace(LIMITS, model_bytes=400 * 2**20))
    job = bench.work(BLOATING)
    bench.until(lambda: bool(bench.told.faults))
    assert isinstance(bench.told.faults[job], MemoryFault)
    assert "the limit is 400 MiB" in str(bench.told.faults[job])
    bench.close()


def test_what_the_model_does_not_like_is_the_pictures(bench: Shared) -> None:
    """A fault of the model's run comes through as from a session in the lane; the process lives on."""
    job = bench.work(DISLIKED)
    bench.until(lambda: bool(bench.told.faults))
    assert type(bench.told.faults[job]) is UnknownFault
    assert str(bench.told.faults[job]) == "the model does not like it"
    assert bench.device


@pytest.mark.parametrize(
    ("way", "why"),
    [("crash", "SIGSEGV"), ("hang", "longer than"), ("fail", "it is broken"), ("file", "No such file")],
)
def test_a_model_that_does_not_load_is_the_models_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str, why: str
) -> None:
    """It ends its process, hangs, fails its trial, or has no file: no job is charged, and nothing is left running."""
    monkeypatch.setenv("PYTHON_GATE", "/")
    monkeypatch.setenv("PYTHON_LOAD", way)
    if way == "hang":
        monkeypatch.setattr("bgrd.engine.slot._START_SECONDS", 3.0)
    bench = Shared(tmp_path)
    if way == "file":
        tiny = bench.tiny()
        tiny.path.unlink()
        with pytest.raises(ModelFault, match=why):
            bench.work(GOOD, model=tiny)
    else:
        job = bench.work(GOOD)
        bench.until(lambda: job in bench.told.faults)
        assert isinstance(bench.told.broken["tiny"], ModelFault)
        assert isinstance(bench.told.faults[job], ModelFault)
        assert why in str(bench.told.broken["tiny"])
    assert not bench.pool._devices.pids
    bench.close()


def test_a_lane_that_is_killed_costs_its_job_alone(bench: Shared) -> None:
    """In the middle of a run for it: charged as ever; the process and the neighbours go on."""
    bench.gate.unlink()
    first = bench.work(GOOD)
    bench.until(lambda: bool(bench.pool._devices.pids) and bench.states() == ["running"])
    second = bench.work(GOOD)
    bench.until(lambda: bench.states() == ["running", "waiting"])
    device = bench.device
    os.kill(bench.pool.pids[0], signal.SIGKILL)
    bench.until(lambda: first in bench.told.faults)
    bench.gate.touch()
    bench.until(lambda: bench.done(second))
    assert isinstance(bench.told.faults[first], CrashFault)
    assert bench.device == device


def test_one_that_dies_with_nothing_to_do_is_told_once(bench: Shared) -> None:
    """No job can tell of it: how it ended is said, and the next job has another."""
    bench.work(GOOD)
    bench.until(lambda: bench.done(1) and bench.pool.busy == 0)
    device = bench.device
    os.kill(device, signal.SIGKILL)
    bench.until(lambda: bool(bench.told.losses))
    bench.work(GOOD)
    bench.until(lambda: bench.done(2))
    assert bench.told.losses == [(device, "its process was killed", "tiny")]
    assert bench.device != device
    assert not bench.told.faults


def test_one_that_dies_at_work_is_told_by_its_job(bench: Shared) -> None:
    """And by nothing else."""
    job = bench.work(CRASHING)
    bench.until(lambda: job in bench.told.faults)
    assert not bench.told.losses


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
