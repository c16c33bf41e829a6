"""The lanes seen from the parent, with real processes and a null pipeline."""

from __future__ import annotations

import hashlib
import os
import re
import resource
import select
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest

from bgrd.engine.pool import Assignment, Limits, Pool
from bgrd.engine.process import lane_environment, start_lane
from bgrd.engine.slot import Slot
from bgrd.engine.wire import Drop, Finished, Hashed, Loaded, Work
from bgrd.errors import CrashFault, DaemonFault, Fault, GroundFault, InputFault, MemoryFault, ModelFault
from bgrd.job import GroundChoice, ModelChoice, Recipe
from tests.houses.inboxes import until

NULL_LANE = Path(__file__).parent / "programs/null_lane.py"
LIMITS = Limits(lanes=2, threads=1, memory_bytes=8 * 2**30, model_bytes=2**30, job_seconds=60, idle_unload_seconds=300)
start_null_lane = partial(start_lane, (str(NULL_LANE),))


@dataclass
class Told:
    """Collects what the pool tells and answers every hash at once."""

    pool: Pool | None = None
    go: bool = True
    hashes: list[Hashed] = field(default_factory=list)
    finished_jobs: list[Finished] = field(default_factory=list)
    lanes: list[int] = field(default_factory=list)
    faults: dict[int, Fault] = field(default_factory=dict)
    loaded: list[str] = field(default_factory=list)
    devices: list[int] = field(default_factory=list)
    missing: list[list[str]] = field(default_factory=list)
    broken: dict[str, Fault] = field(default_factory=dict)

    def lane_started(self, lane: int, missing: Sequence[str]) -> None:
        self.missing.append(list(missing))

    def hashed(self, message: Hashed) -> None:
        self.hashes.append(message)
        assert self.pool is not None
        self.pool.answer(message.job, go=self.go)

    def finished(self, message: Finished, lane: int) -> None:
        self.finished_jobs.append(message)
        self.lanes.append(lane)

    def faulted(self, job: int, fault: Fault, stage: str, trace: str) -> None:
        self.faults[job] = fault

    def model_loaded(self, message: Loaded, lane: int) -> None:
        self.loaded.append(message.model)
        self.devices.append(message.device)

    def model_faulted(self, model: str, fault: Fault) -> None:
        self.broken[model] = fault


class Bench:
    """A pool on a poll loop, with files for sources and results."""

    def __init__(self, tmp_path: Path, limits: Limits = LIMITS) -> None:
        self.told = Told()
        self.path = tmp_path
        self._poll = select.poll()
        self._jobs = 0
        self.pool = Pool(
            limits,
            events=self.told,
            clock=time.monotonic,
            watch=lambda fileno: self._poll.register(fileno, select.POLLIN),
            unwatch=self._poll.unregister,
            start=start_null_lane,
        )
        self.told.pool = self.pool
        self._open: list[int] = []

    def model(self, name: str = "m", content: bytes = b"good") -> ModelChoice:
        path = self.path / f"{name}.onnx"
        path.write_bytes(content)
        return ModelChoice(name=name, path=path)

    def ground(self, name: str, content: bytes = b"good") -> GroundChoice:
        path = self.path / f"{name}.jpg"
        path.write_bytes(content)
        return GroundChoice(name=f"ground/{name}", path=path, max_pixels=1)

    def submit(
        self,
        content: bytes,
        *,
        model: ModelChoice | None = None,
        alone: bool = False,
        grounds: tuple[GroundChoice, ...] = (),
    ) -> tuple[int, Path]:
        """Submit one job; gives its id and where its result will be."""
        self._jobs += 1
        source, target = self.path / f"s{self._jobs}", self.path / f"t{self._jobs}"
        source.write_bytes(content)
        descriptors = (os.open(source, os.O_RDONLY), os.open(target, os.O_RDWR | os.O_CREAT))
        self._open += descriptors
        model = model or self.model()
        work = Work(
            job=self._jobs,
            model=model.name,
            recipe=Recipe().to_json(),
            size=len(content),
            max_pixels=100,
            memory_bytes=2**30,
            grounds=[ground.name for ground in grounds],
        )
        assignment = Assignment(work=work, model=model, descriptors=descriptors, alone=alone, grounds=grounds)
        assert self.pool.submit(assignment)
        return self._jobs, target

    def until(self, condition: Callable[[], bool], *, seconds: float = 30) -> None:
        """Turn the loop until the condition holds."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "timed out"
            for fileno, _event in self._poll.poll(50):
                self.pool.handle(fileno)
            self.pool.tick(time.monotonic())

    def close(self) -> None:
        self.pool.close()
        for descriptor in self._open:
            os.close(descriptor)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """Give a bench and end its lanes."""
    made = Bench(tmp_path)
    yield made
    made.close()


def test_a_job_goes_through_a_lane(bench: Bench) -> None:
    """The source's bytes become the result's, and hashes and sizes are told."""
    job, target = bench.submit(b"hello")
    bench.until(lambda: bool(bench.told.finished_jobs))
    assert target.read_bytes() == b"HELLO"
    (finished,) = bench.told.finished_jobs
    assert finished.job == job
    assert finished.sha256s == [hashlib.sha256(b"HELLO").hexdigest()]
    assert bench.told.hashes[0].sha256 == hashlib.sha256(b"hello").hexdigest()


def test_known_bytes_are_not_worked(bench: Bench) -> None:
    """A lane told not to go is free again and writes nothing."""
    bench.told.go = False
    _job, target = bench.submit(b"hello")
    bench.until(lambda: bool(bench.told.hashes) and bench.pool.busy == 0)
    assert target.read_bytes() == b""
    bench.told.go = True
    _job, target = bench.submit(b"again")
    bench.until(lambda: bool(bench.told.finished_jobs))
    assert target.read_bytes() == b"AGAIN"


def test_what_a_picture_does_that_is_put_aside_no_other_is_blamed_for(tmp_path: Path) -> None:
    """It is decoded while its answer is on its way: the lane takes nothing new before it is through with that."""
    bench = Bench(tmp_path, replace(LIMITS, lanes=1))
    bench.told.go = False
    bench.submit(b"spoil")
    bench.until(lambda: bool(bench.told.hashes))
    bench.told.go = True
    bench.until(lambda: bench.pool.free == 1)
    _job, target = bench.submit(b"again")
    bench.until(lambda: bool(bench.told.finished_jobs or bench.told.faults or bench.told.broken))
    assert (bench.told.faults, bench.told.broken) == ({}, {})
    assert target.read_bytes() == b"AGAIN"
    bench.close()


def test_a_picture_put_aside_that_never_ends_costs_its_lane(tmp_path: Path) -> None:
    """No job is charged, and the next has a lane of its own."""
    bench = Bench(tmp_path, replace(LIMITS, lanes=1, job_seconds=0.5))
    bench.told.go = False
    bench.submit(b"spoil slowly")
    bench.until(lambda: bool(bench.told.hashes))
    (pid,) = bench.pool.pids
    bench.until(lambda: bench.pool.free == 1)
    assert pid not in bench.pool.pids
    assert bench.told.faults == {}
    bench.close()


def test_a_lane_that_holds_the_model_is_preferred(bench: Bench) -> None:
    """The second job of a model goes to the lane that has it loaded."""
    model = bench.model()
    for count in (1, 2, 3):
        bench.submit(b"x", model=model)
        bench.until(lambda count=count: len(bench.told.finished_jobs) == count)  # type: ignore[misc]
    assert len(set(bench.told.lanes)) == 1
    assert bench.told.loaded == ["m"]


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


def test_two_jobs_run_side_by_side_in_two_lanes(bench: Bench) -> None:
    """Up to `lanes` jobs run at once, then the pool is full."""
    bench.submit(b"slow 0.2")
    assert bench.pool.free == 1
    bench.submit(b"slow 0.2")
    assert bench.pool.free == 0
    bench.until(lambda: len(bench.told.finished_jobs) == 2)
    assert len(set(bench.told.lanes)) == 2


def test_a_crashed_lane_costs_only_its_job(bench: Bench) -> None:
    """The job of a lane that died is charged with how it died; the neighbour finishes; a new lane takes over."""
    crashed, _ = bench.submit(b"crash")
    bench.submit(b"slow 0.1")
    bench.until(lambda: bool(bench.told.faults) and bool(bench.told.finished_jobs))
    fault = bench.told.faults[crashed]
    assert isinstance(fault, CrashFault)
    assert "SIGSEGV" in str(fault)
    bench.submit(b"more")
    bench.until(lambda: len(bench.told.finished_jobs) == 2)


def test_a_hung_lane_is_killed_at_its_limit(tmp_path: Path) -> None:
    """A job over `job_seconds` is a crash that says so, and its process is gone."""
    bench = Bench(tmp_path, replace(LIMITS, job_seconds=0.3))
    job, _ = bench.submit(b"hang")
    bench.until(lambda: bool(bench.told.hashes))
    (pid,) = bench.pool.pids
    bench.until(lambda: bool(bench.told.faults))
    assert "longer than 0.3 seconds" in str(bench.told.faults[job])
    bench.close()
    assert not Path(f"/proc/{pid}").exists()


def test_a_flood_of_threads_ends_its_lane(bench: Bench) -> None:
    """Threads take hardly any memory and what all other programs need: a lane that starts thousands is ended."""
    job, _ = bench.submit(b"threads 1100")
    bench.until(lambda: bool(bench.told.faults))
    fault = bench.told.faults[job]
    assert isinstance(fault, CrashFault)
    assert "threads" in str(fault)


def test_a_lane_is_limited_from_outside_before_it_decodes(bench: Bench) -> None:
    """Once it is told to go on it has its job's limits of memory, files and processor time, and they are soft ones."""
    bench.submit(b"slow 3600")
    bench.until(lambda: bool(bench.told.hashes))
    (pid,) = bench.pool.pids
    kinds = (resource.RLIMIT_DATA, resource.RLIMIT_FSIZE, resource.RLIMIT_CPU)
    memory, files, processor = (resource.prlimit(pid, kind)[0] for kind in kinds)
    assert memory == 2**30
    assert files == 64 * 2**20 + 8 * 100 + 2 * len(b"slow 3600")
    assert LIMITS.job_seconds < processor < 1000
    assert {resource.prlimit(pid, kind)[1] for kind in kinds} == {resource.getrlimit(kind)[1] for kind in kinds}
    bench.pool.kill()


def test_what_a_lane_lacks_is_told_once(bench: Bench) -> None:
    """Each lane says when it starts what does not hold it in; the null lane says nothing."""
    bench.submit(b"hello")
    bench.until(lambda: bool(bench.told.finished_jobs))
    assert bench.told.missing == [[]]


def test_a_bloated_lane_is_killed_at_its_limit(tmp_path: Path) -> None:
    """A lane over its share of memory is ended; the job learns how much it wanted."""
    bench = Bench(tmp_path, replace(LIMITS, memory_bytes=400 * 2**20))
    job, _ = bench.submit(b"bloat")
    bench.until(lambda: bool(bench.told.faults))
    assert isinstance(bench.told.faults[job], MemoryFault)
    assert "the limit is 200 MiB" in str(bench.told.faults[job])
    bench.close()


def test_a_lane_killed_from_outside_is_a_crash(bench: Bench) -> None:
    """A kill -9 of a lane charges its job once and nothing else."""
    job, _ = bench.submit(b"hang")
    bench.until(lambda: bool(bench.told.hashes))
    os.kill(bench.pool.pids[0], signal.SIGKILL)
    bench.until(lambda: bool(bench.told.faults))
    assert isinstance(bench.told.faults[job], CrashFault)
    assert "was killed" in str(bench.told.faults[job])


def test_a_fault_named_by_the_lane_keeps_its_kind(bench: Bench) -> None:
    """Bad input is bad input on this side too, and the lane lives on."""
    job, _ = bench.submit(b"bad")
    bench.until(lambda: bool(bench.told.faults))
    assert isinstance(bench.told.faults[job], InputFault)
    assert len(bench.pool.pids) == 1


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


def test_a_busy_lane_is_looked_at_now_and_then() -> None:
    """Not at each turn of the main loop, which may be thousands a second; one that is idle is not looked at."""
    slot = Slot(process=cast("Any", None), idle_since=0.0)
    assert not slot.look_due(1.0)
    slot.enter("work", now=1.0, limit_seconds=60)
    looks = [now for now in (1.0 + turn / 1000 for turn in range(1001)) if slot.look_due(now)]
    assert looks == pytest.approx([1.0, 1.25, 1.5, 1.75, 2.0], abs=0.002)


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


def test_idle_lanes_are_let_go_and_come_back(tmp_path: Path) -> None:
    """After `idle_unload_seconds` no lane is left; the next job starts one."""
    bench = Bench(tmp_path, replace(LIMITS, idle_unload_seconds=0.2))
    bench.submit(b"x")
    bench.until(lambda: bool(bench.told.finished_jobs) and not bench.pool.pids)
    bench.submit(b"y")
    bench.until(lambda: len(bench.told.finished_jobs) == 2)
    bench.close()


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


def test_a_job_that_runs_alone_waits_for_the_others_and_keeps_them_out(bench: Bench) -> None:
    """Nothing runs beside a job that needs all the memory."""
    bench.submit(b"slow 0.2")
    with pytest.raises(AssertionError):
        bench.submit(b"big", alone=True)
    bench.until(lambda: bench.pool.busy == 0)
    bench.submit(b"slow 0.1", alone=True)
    assert bench.pool.free == 0
    bench.until(lambda: len(bench.told.finished_jobs) == 2)
    assert bench.pool.free == 2


def test_killing_the_pool_names_the_jobs_cut_off(bench: Bench) -> None:
    """A forced stop knows what it interrupted."""
    job, _ = bench.submit(b"hang")
    bench.until(lambda: bool(bench.told.hashes))
    assert bench.pool.kill() == [job]
    assert not bench.pool.pids


def test_a_lane_that_cannot_be_started_is_the_daemons_fault(tmp_path: Path) -> None:
    """Out of processes or descriptors: said as such, nothing charged."""

    def refuse() -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    bench = Bench(tmp_path)
    bench.pool._start = refuse  # type: ignore[assignment]
    with pytest.raises(DaemonFault, match="cannot be started"):
        bench.submit(b"x")
    bench.close()


def test_lanes_live_in_their_own_process_group(bench: Bench) -> None:
    """A terminal's Ctrl-C goes to the parent's group, where no lane is."""
    bench.submit(b"hang")
    (pid,) = bench.pool.pids
    assert os.getpgid(pid) == pid != os.getpgid(0)


def test_a_lane_does_not_speak_for_the_daemon() -> None:
    """The notify socket is not in a lane's environment."""
    environment = lane_environment({"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "1", "HOME": "/h"})
    assert "NOTIFY_SOCKET" not in environment
    assert environment["HOME"] == "/h"


def test_a_lane_that_reads_nothing_holds_nobody_up(tmp_path: Path) -> None:
    """Once its socket is full it is ended, and the parent never waits."""
    process = start_null_lane()
    slot = Slot(process=process, idle_since=0.0)
    os.kill(process.pid, signal.SIGSTOP)
    for _ in range(1000):
        slot.send(Drop(model="m" * 10_000))
    until(process.reaped)
    process.channel.close()
