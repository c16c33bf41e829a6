"""10,000 and 100,000 files found at the start: first result, rate, memory, and the daemon's own cost of a job.

The lanes copy and do nothing else, and all lies in memory (a tmpfs): what is left is the daemon's own work, and a disk
is not worn by a million fsyncs. Some hundred files on a real disk say what those cost. At the end the daemon keeps
100,000 files and idles. A walk of them is rare (`intake.pace` says how rare), so one is asked for by a reload, and its
processor time is spread over the pause that follows it.
"""

from __future__ import annotations

import shutil
import signal
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

from bench.speed.cost import cost, memory
from bench.speed.figures import NotRun, Outcome, Setting, outcome
from bench.speed.idle import watched
from bench.speed.stand import NULL, PLAIN, Log, fresh_house, running, until
from bgrd.intake.pace import walk_pause
from tests.houses.daemons import Daemon
from tests.houses.houses import House

__all__ = ["run"]

_MEMORY = Path("/dev/shm")  # noqa: S108 - a file system in memory; what is made there goes away
_FILE_BYTES = 24_000
"""What a source, its result and their rows take on a tmpfs, and some to spare."""
_MEGABYTE = 1e6
_DIRECTORY_FILES = 1000
_RESCAN_SECONDS = 30.0
_LOOK_SECONDS = 0.02
_DRAIN_SECONDS = 1500.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Backlog:
    """What a backlog came to: the daemon's own milliseconds a job over all of it, and over each tenth."""

    files: int
    first_seconds: float
    found_seconds: float
    drained_seconds: float
    cost: float
    costs: tuple[float, ...]
    peak_bytes: int


def run(setting: Setting) -> Outcome:
    """Work off both backlogs, then idle."""
    small, large = (100, 300) if setting.quick else (10_000, 100_000)
    if not _MEMORY.is_dir() or shutil.disk_usage(_MEMORY).free < large * _FILE_BYTES:
        reason = f"{_MEMORY} has less than {large * _FILE_BYTES / 1e9:.1f} GB free"
        raise NotRun(reason)
    with fresh_house(setting) as house:
        disk = _worked_off(house, setting.pick(1000, quick=20))
    with fresh_house(setting, scratch=_MEMORY) as house:
        base = _worked_off(house, 20).peak_bytes
        few = _worked_off(house, small, below="few")
    setting.tell(_sentence(few))
    with fresh_house(setting, scratch=_MEMORY) as house:
        many = _worked_off(house, large)
        setting.tell(_sentence(many))
        idle, walk_seconds = _idle_share(house, setting)
    setting.tell(f"{large} files kept: {idle:.3f} % of a core, a walk {walk_seconds:.2f} s")
    return outcome(
        {
            "backlog.idle": idle,
            "backlog.first": many.first_seconds,
            "backlog.cost": many.cost,
            "backlog.growth": many.cost / few.cost,
            "backlog.memory": (many.peak_bytes - base) / _MEGABYTE,
        },
        backlogs=[asdict(few), asdict(many)],
        on_disk=asdict(disk),
        files_found_a_second=many.files / many.found_seconds,
        walk_processor_seconds=walk_seconds,
    )


def _worked_off(house: House, number: int, *, below: str = "all") -> _Backlog:
    """Lay files into the inbox, start a daemon, and wait until all are done."""
    for path in _paths(house.inbox / below, number):
        path.write_bytes(f"photo {number} {path}".encode())
    with Daemon(house, environment=PLAIN, program=NULL) as daemon:
        log = Log(daemon)
        try:
            found = _followed(daemon, log, number)
        finally:
            log.close()
        assert daemon.stop() == 0
    return found


def _paths(inbox: Path, number: int) -> Iterator[Path]:
    """Give that many places in directories of 1,000, which are made."""
    for index in range(number):
        directory = inbox / str(index // _DIRECTORY_FILES)
        if index % _DIRECTORY_FILES == 0:
            directory.mkdir(parents=True)
        yield directory / f"{index}.jpg"


def _followed(daemon: Daemon, log: Log, number: int) -> _Backlog:
    """Watch a daemon from its start until all is done; what it costs counts from READY on."""
    daemon.ready()
    tenth = max(1, number // 10)
    done, found, marks = 0, 0, [(0, cost(daemon.pid).seconds)]
    first, all_found = 0.0, 0.0

    def over() -> bool:
        nonlocal done, found, first, all_found
        for event in log.new("job.done", "intake.admitted"):
            done += event["event"] == "job.done"
            found += event.get("count", 0)
        passed = time.monotonic() - daemon.started
        first = first or (passed if done else 0.0)
        all_found = all_found or (passed if found >= number else 0.0)
        if done >= marks[-1][0] + tenth or done >= number:
            marks.append((done, cost(daemon.pid).seconds))
        return done >= number

    until(over, daemon=daemon, seconds=_DRAIN_SECONDS, pause=_LOOK_SECONDS)
    assert done == number, f"{done} of {number}"
    return _Backlog(
        files=number,
        first_seconds=first,
        found_seconds=all_found,
        drained_seconds=time.monotonic() - daemon.started,
        cost=1000 * (marks[-1][1] - marks[0][1]) / number,
        costs=tuple(1000 * (spent - was) / (at - before) for (before, was), (at, spent) in pairwise(marks)),
        peak_bytes=memory(daemon.pid, "VmHWM"),
    )


def _idle_share(house: House, setting: Setting) -> tuple[float, float]:
    """Give the share of a core, in percent, that keeping all those files costs for good, and a walk's seconds."""
    seconds = 1.0 if setting.quick else 12 * setting.minutes
    with running(house, program=NULL) as (daemon, log):
        rest = watched(daemon, seconds)
        before = cost(daemon.pid)
        daemon.signal(signal.SIGHUP)
        until(lambda: log.new("reload.done"), daemon=daemon, seconds=60.0)
        watched(daemon, 0.0)
        walk_seconds = (cost(daemon.pid) - before).seconds
    pause = walk_pause(
        heard=True,
        rescan_seconds=_RESCAN_SECONDS,
        poll_seconds=_RESCAN_SECONDS,
        processor_seconds=walk_seconds,
        wall_seconds=walk_seconds,
    )
    return 100 * (rest.seconds / seconds + walk_seconds / pause), walk_seconds


def _sentence(found: _Backlog) -> str:
    costs = f"{found.costs[0]:.2f} to {found.costs[-1]:.2f} ms a job"
    return f"{found.files} files: first result {found.first_seconds:.1f} s, {costs}, {found.drained_seconds:.0f} s"
