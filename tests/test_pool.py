"""The lanes seen from the parent, with real processes and a null pipeline: who gets a job, and what is told of it."""

from __future__ import annotations

import hashlib
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from bgrd.engine.process import lane_environment
from bgrd.engine.slot import Slot
from bgrd.engine.wire import Drop
from bgrd.errors import InputFault
from tests.houses.inboxes import until
from tests.houses.pools import LIMITS, Bench, start_null_lane


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


def test_a_lane_that_holds_the_model_is_preferred(bench: Bench) -> None:
    """The second job of a model goes to the lane that has it loaded."""
    model = bench.model()
    for count in (1, 2, 3):
        bench.submit(b"x", model=model)
        bench.until(lambda count=count: len(bench.told.finished_jobs) == count)  # type: ignore[misc]
    assert len(set(bench.told.lanes)) == 1
    assert bench.told.loaded == ["m"]


def test_two_jobs_run_side_by_side_in_two_lanes(bench: Bench) -> None:
    """Up to `lanes` jobs run at once, then the pool is full."""
    bench.submit(b"slow 0.2")
    assert bench.pool.free == 1
    bench.submit(b"slow 0.2")
    assert bench.pool.free == 0
    bench.until(lambda: len(bench.told.finished_jobs) == 2)
    assert len(set(bench.told.lanes)) == 2


def test_what_a_lane_lacks_is_told_once(bench: Bench) -> None:
    """Each lane says when it starts what does not hold it in; the null lane says nothing."""
    bench.submit(b"hello")
    bench.until(lambda: bool(bench.told.finished_jobs))
    assert bench.told.missing == [[]]


def test_a_fault_named_by_the_lane_keeps_its_kind(bench: Bench) -> None:
    """Bad input is bad input on this side too, and the lane lives on."""
    job, _ = bench.submit(b"bad")
    bench.until(lambda: bool(bench.told.faults))
    assert isinstance(bench.told.faults[job], InputFault)
    assert len(bench.pool.pids) == 1


def test_a_busy_lane_is_looked_at_now_and_then() -> None:
    """Not at each turn of the main loop, which may be thousands a second; one that is idle is not looked at."""
    slot = Slot(process=cast("Any", None), idle_since=0.0)
    assert not slot.look_due(1.0)
    slot.enter("work", now=1.0, limit_seconds=60)
    looks = [now for now in (1.0 + turn / 1000 for turn in range(1001)) if slot.look_due(now)]
    assert looks == pytest.approx([1.0, 1.25, 1.5, 1.75, 2.0], abs=0.002)


def test_idle_lanes_are_let_go_and_come_back(tmp_path: Path) -> None:
    """After `idle_unload_seconds` no lane is left; the next job starts one."""
    bench = Bench(tmp_path, replace(LIMITS, idle_unload_seconds=0.2))
    bench.submit(b"x")
    bench.until(lambda: bool(bench.told.finished_jobs) and not bench.pool.pids)
    bench.submit(b"y")
    bench.until(lambda: len(bench.told.finished_jobs) == 2)
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


def test_a_picture_put_aside_has_nothing_beside_it_where_its_job_had_not(bench: Bench) -> None:
    """It is still being decoded, with leave to take all the memory, and nobody's memory is narrowed for it."""
    bench.told.go = False
    bench.submit(b"spoil", alone=True)
    bench.until(lambda: bool(bench.told.hashes))
    assert (bench.pool.busy, bench.pool.free) == (1, 0)
    bench.until(lambda: bench.pool.busy == 0)
    assert bench.pool.free == 2


def test_a_job_that_runs_alone_waits_for_a_picture_put_aside(bench: Bench) -> None:
    """That one's job was called off, and it is decoded still."""
    bench.told.go = False
    bench.submit(b"spoil")
    bench.until(lambda: bool(bench.told.hashes))
    with pytest.raises(AssertionError):
        bench.submit(b"big", alone=True)
    bench.told.go = True
    bench.until(lambda: bench.pool.busy == 0)
    bench.submit(b"big", alone=True)
    bench.until(lambda: bool(bench.told.finished_jobs))
