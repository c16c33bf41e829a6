"""A system short of descriptors, processes or memory: the daemon pauses, says so, goes on, and charges nobody."""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Mapping
from pathlib import Path

import pytest

from bgrd.job import State
from tests.houses.daemons import Daemon
from tests.houses.houses import House
from tests.kernel.cgroups import limited
from tests.pictures.making import png_of_size
from tests.pictures.scenes import check_result, phone_photo
from tests.programs.hurried import HURRIED

LARGE = png_of_size(9000, 9000, bits=1, colour_type=0, rows=bytes(9000 * 1126))
"""A few kilobytes that become some 250 MB."""

pytestmark = pytest.mark.timeout(240)


def drop(house: House, number: int, *, first: int = 0) -> dict[str, bytes]:
    """Drop pictures into the inbox."""
    sources = {f"{seed}.jpg": phone_photo(seed=seed) for seed in range(first, first + number)}
    for name, data in sources.items():
        (house.inbox / name).write_bytes(data)
    return sources


def check_all_done(house: House, sources: Mapping[str, bytes]) -> None:
    """Hold that each source has its one result and nobody was charged."""
    for name, data in sources.items():
        check_result(house.outbox / f"{Path(name).stem}.png", data)
    assert sorted(house.results()) == sorted(f"{Path(name).stem}.png" for name in sources)
    assert {(job.state, job.attempts) for job in house.jobs()} == {(State.DONE, 0)}


@pytest.mark.parametrize("number", [28, pytest.param(32, marks=pytest.mark.long)])
def test_few_descriptors(tmp_path: Path, number: int) -> None:
    """With room for some of its work at a time the daemon does all of it, one after the other."""
    house = House(tmp_path / "house").folders()
    with Daemon(house, program=("prlimit", f"--nofile={number}", *HURRIED)) as daemon:
        sources = drop(house, 4)
        daemon.done(sources)
        assert daemon.stop() == 0
    check_all_done(house, sources)


@pytest.mark.parametrize("number", [10, pytest.param(7, marks=pytest.mark.long)])
def test_too_few_descriptors_to_start(tmp_path: Path, number: int) -> None:
    """With too few to begin with it ends with a sentence, and what is there is left alone."""
    house = House(tmp_path / "house").folders()
    sources = drop(house, 1)
    refused = house.run("run", before=("prlimit", f"--nofile={number}"))
    assert refused.returncode in {os.EX_OSERR, os.EX_IOERR}
    assert "Traceback" not in refused.stderr
    assert refused.stderr.splitlines()[-1].startswith("bgrd: ")
    assert (house.inbox / "0.jpg").read_bytes() == sources["0.jpg"]
    assert not house.results()


def test_descriptors_that_run_out(tmp_path: Path) -> None:
    """While none can be opened everything waits, a reload too; once they can, all is done and nobody was charged."""
    house = House(tmp_path / "house").folders()
    with Daemon(house, program=HURRIED) as daemon:
        daemon.ready()
        before = resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (3, before[1]))
        sources = drop(house, 4)
        daemon.until(lambda: daemon.events("job.waiting", "intake.stalled", "daemon.short", "folder.blocked"))
        daemon.signal(signal.SIGHUP)
        daemon.heard("reload.rejected")
        resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, before)
        daemon.done(sources)
        daemon.signal(signal.SIGHUP)
        daemon.heard("reload.done")
        assert not daemon.events("job.failed", "job.retry")
        assert daemon.stop() == 0
    check_all_done(house, sources)


@pytest.mark.long
def test_no_process_can_be_started(tmp_path: Path) -> None:
    """Without a lane the daemon says what it is short of; with one it goes on."""
    house = House(tmp_path / "house").folders()
    house.configure("lanes = 1\nidle_unload_seconds = 0.5\n")
    with limited("pids", 100) as within, Daemon(house, program=(*within, *HURRIED)) as daemon:
        daemon.ready()
        daemon.until(lambda: not house.lanes())
        (group,) = Path("/sys/fs/cgroup").glob("**/bgrd-test-*/pids.max")
        group.write_text("1")
        sources = drop(house, 3)
        assert "cannot be started" in daemon.heard("daemon.short")[0]["reason"]
        group.write_text("100")
        daemon.done(sources)
        assert not daemon.events("job.failed", "job.retry")
        assert daemon.stop() == 0
    check_all_done(house, sources)


def test_a_picture_beyond_its_memory(tmp_path: Path) -> None:
    """It runs alone the second time, then fails with what it needs and what there is; its neighbours are done."""
    house = House(tmp_path / "house").folders()
    house.configure('memory_limit = "360 MB"\nlanes = 2\n')
    with Daemon(house, program=HURRIED) as daemon:
        daemon.ready()
        (house.inbox / "large.png").write_bytes(LARGE)
        sources = drop(house, 3)
        daemon.done(sources)
        (alone,) = daemon.heard("job.alone", path="large.png")
        (failed,) = daemon.heard("job.failed", path="large.png")
        assert alone["kind"] == failed["kind"] == "memory"
        assert "memory" in failed["reason"]
        assert "limit" in failed["reason"]
        sources |= drop(house, 1, first=3)
        daemon.done(["3.jpg"])
        assert daemon.stop() == 0
    jobs = {os.fsdecode(job.path): (job.state, job.attempts) for job in house.jobs()}
    assert jobs.pop("large.png") == (State.FAILED, 1)
    assert set(jobs.values()) == {(State.DONE, 0)}
    note = (house.failed / "large.png.txt").read_text()
    assert "memory_limit" in note


@pytest.mark.long
def test_a_lane_killed_for_memory(tmp_path: Path) -> None:
    """A group's limit ends a lane: the daemon lives, the picture runs alone, then fails; its neighbours are done."""
    house = House(tmp_path / "house").folders()
    house.configure('memory_limit = "8 GB"\nlanes = 1\n')
    with limited("memory", 330 * 2**20) as within, Daemon(house, program=(*within, *HURRIED)) as daemon:
        daemon.ready()
        (house.inbox / "large.png").write_bytes(LARGE)
        sources = drop(house, 3)
        daemon.done(sources)
        daemon.heard("job.alone", path="large.png")
        assert daemon.heard("job.failed", path="large.png")[0]["kind"] == "memory"
        assert daemon.stop() == 0
    for name, data in sources.items():
        check_result(house.outbox / f"{Path(name).stem}.png", data)
    jobs = {os.fsdecode(job.path): (job.state, job.attempts) for job in house.jobs()}
    assert jobs.pop("large.png") == (State.FAILED, 1)
    assert set(jobs.values()) == {(State.DONE, 0)}
