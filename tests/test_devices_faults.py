"""Misdeeds of a shared model's process, seen from the pool: who is charged, and what is told."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bgrd.errors import CrashFault, DeviceFault, MemoryFault, ModelFault, UnknownFault
from tests.houses.sharing import BLOATING, CRASHING, DISLIKED, GOOD, HANGING, LIMITS, Shared


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shared]:
    """Give a pool and end its processes."""
    monkeypatch.setenv("PYTHON_GATE", "/")
    made = Shared(tmp_path)
    yield made
    made.gate.touch()
    made.close()
    assert not made.pool._devices.pids


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
