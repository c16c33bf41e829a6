"""Lanes that crash, hang, bloat or cannot be started, seen from the parent: who is charged, and what goes on."""

from __future__ import annotations

import os
import resource
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from bgrd.errors import CrashFault, DaemonFault, MemoryFault
from tests.houses.pools import LIMITS, Bench


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
    assert bench.told.losses == [(pid, "it took longer than 0.5 seconds", "")]
    bench.close()


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


def test_a_lane_that_dies_with_nothing_to_do_is_told_once(bench: Bench) -> None:
    """No job can tell of it: how it ended is said, and the next job has another."""
    bench.submit(b"x")
    bench.until(lambda: bool(bench.told.finished_jobs))
    (pid,) = bench.pool.pids
    os.kill(pid, signal.SIGSEGV)
    bench.until(lambda: bool(bench.told.losses))
    bench.submit(b"crash")
    bench.until(lambda: bool(bench.told.faults))
    assert bench.told.losses == [(pid, "its process died of SIGSEGV", "")]
