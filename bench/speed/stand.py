"""A daemon in a home of its own, its log read as it grows, a folder worked off, a command run to its end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.speed.cost import cost
from bench.speed.figures import Setting
from tests.houses.daemons import Daemon
from tests.houses.houses import House
from tests.kernel.processes import children

__all__ = [
    "NULL",
    "PLAIN",
    "PROGRAM",
    "ROOT",
    "Drain",
    "Log",
    "commanded",
    "drained",
    "fresh_house",
    "running",
    "until",
]

ROOT = Path(__file__).parents[2]
PROGRAM = (sys.executable, "-m", "bgrd", "run")
NULL = (sys.executable, str(ROOT / "tests/programs/flooded_daemon.py"), "run")
"""A daemon whose lanes only copy: what is left is its own work."""
PLAIN = {"PYTHONWARNINGS": ""}
"""As users run it: tests turn warnings into errors, which takes time at the start."""
_LOOK_SECONDS = 0.02
_COMMAND_SECONDS = 900.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Drain:
    """A folder that was moved in and worked off: seconds from the first rename to the last link, and its events.

    `processor_seconds` are the daemon's and its lanes', with those that were started for it.
    """

    wall_seconds: float
    processor_seconds: float
    events: tuple[Mapping[str, Any], ...]

    @property
    def stage_seconds(self) -> dict[str, float]:
        """What each stage took, summed over all pictures."""
        every: dict[str, float] = {}
        for event in self.events:
            for stage, seconds in event["stage_seconds"].items():
                every[stage] = every.get(stage, 0.0) + seconds
        return every

    @property
    def work_seconds(self) -> float:
        """What all stages took."""
        return sum(self.stage_seconds.values())


class Log:
    """A daemon's log, read as it grows."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon
        self._file = max(daemon.house.root.glob("log-*"), key=lambda path: path.stat().st_mtime_ns).open("rb")
        self._rest = b""

    def new(self, *names: str) -> list[dict[str, Any]]:
        """Give the events of these names that were logged since the last time; fails where a job failed."""
        *lines, self._rest = (self._rest + self._file.read()).split(b"\n")
        events = [json.loads(line) for line in lines if line.startswith(b"{")]
        failed = [event for event in events if event["event"] in {"job.failed", "job.retry", "job.waiting"}]
        assert not failed, f"it was to be done: {failed[0]}"
        return [event for event in events if event["event"] in names]

    def done(self, number: int, *, seconds: float = 600.0) -> list[dict[str, Any]]:
        """Wait for so many jobs to be done; gives their events."""
        found: list[dict[str, Any]] = []

        def all_there() -> bool:
            found.extend(self.new("job.done"))
            return len(found) >= number

        until(all_there, daemon=self._daemon, seconds=seconds)
        assert len(found) == number, f"{len(found)} were done where {number} were sent"
        return found

    def close(self) -> None:
        """Read no more."""
        self._file.close()


def until(condition: Callable[[], object], *, daemon: Daemon, seconds: float, pause: float = _LOOK_SECONDS) -> None:
    """Wait for what the daemon brings about. Raises TimeoutError; fails at once where the daemon ends before."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert daemon.process.poll() is None, f"the daemon ended with {daemon.process.poll()}"
        if time.monotonic() > deadline:
            message = f"not within {seconds:g} seconds"
            raise TimeoutError(message)
        time.sleep(pause)


@contextmanager
def fresh_house(setting: Setting, text: str = "", *, scratch: Path | None = None) -> Iterator[House]:
    """Give a home of its own with the default folders, configured by `text`; it goes away with all that is in it."""
    with tempfile.TemporaryDirectory(prefix="bgrd-speed-", dir=scratch or setting.scratch) as root:
        house = House(Path(root) / "house").folders()
        house.configure(text or "[defaults]\nmin_free = 0\n")
        yield house


@contextmanager
def running(house: House, *, program: Sequence[str] = PROGRAM, ready: bool = True) -> Iterator[tuple[Daemon, Log]]:
    """Run a daemon, with `ready` until it is, and end it in peace."""
    with Daemon(house, environment=PLAIN, program=program) as daemon:
        log = Log(daemon)
        try:
            if ready:
                daemon.ready()
            yield daemon, log
            assert daemon.stop() == 0
        finally:
            log.close()


def drained(daemon: Daemon, log: Log, pictures: Mapping[str, bytes], *, prefix: str = "") -> Drain:
    """Move pictures in as a folder is moved by `mv`, file after file, and wait for all results."""
    house = daemon.house
    aside = house.root / f"aside-{prefix}"
    aside.mkdir()
    for name, data in pictures.items():
        (aside / name).write_bytes(data)
    os.sync()
    log.new()
    spent = cost(daemon.pid, *children(daemon.pid))
    before = time.time()
    for name in pictures:
        (aside / name).rename(house.inbox / f"{prefix}{name}")
    events = log.done(len(pictures))
    spent = cost(daemon.pid, *children(daemon.pid)) - spent
    results = [(house.outbox / f"{prefix}{name}").with_suffix(".png") for name in pictures]
    # Linking is the last that happens to a result, and what changes its ctime.
    last = max(result.stat().st_ctime_ns for result in results) / 1e9
    return Drain(wall_seconds=last - before, processor_seconds=spent.seconds, events=tuple(events))


def commanded(house: House, *arguments: str | Path, may_end: Sequence[int] = (0,)) -> tuple[int, float]:
    """Run a bgrd command to its end; gives with what it ended, one of `may_end`, and its seconds."""
    command = [sys.executable, "-m", "bgrd", *map(str, arguments)]
    started = time.perf_counter()
    done = subprocess.run(
        command,
        env=house.environment | PLAIN,
        cwd=house.root,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=_COMMAND_SECONDS,
    )
    seconds = time.perf_counter() - started
    assert done.returncode in may_end, f"{' '.join(command)} ended with {done.returncode}: {done.stdout}{done.stderr}"
    return done.returncode, seconds
