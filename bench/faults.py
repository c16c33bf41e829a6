"""The faults that are sprinkled into a soak; each leaves things as they were."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable
from contextlib import suppress

from bench.load import FOLDERS, Load, configure

__all__ = ["FAULTS"]


def _reload(load: Load, **changes: str) -> None:
    configure(load.house, **changes)
    load.daemon.signal(signal.SIGHUP)


def _killed_lane(load: Load) -> None:
    """Kill -9 of a lane in the middle of work."""
    load.send(20, size="small")
    deadline = time.monotonic() + 10
    while not (lanes := load.house.lanes()) and time.monotonic() < deadline:
        time.sleep(0.05)
    if lanes:
        with suppress(ProcessLookupError):
            os.kill(load.chance.choice(lanes), signal.SIGKILL)


def _full_outbox(load: Load) -> None:
    """No outbox has room for a while."""
    _reload(load, min_free='"900 TB"')
    load.send(20, size="tiny")
    time.sleep(2)
    _reload(load)


def _lost_outbox(load: Load) -> None:
    """Rename an outbox away for a while."""
    outbox = load.outbox("keep")
    aside = outbox.with_name("away")
    outbox.rename(aside)
    load.send(20, size="tiny")
    time.sleep(2)
    aside.rename(outbox)


def _lost_inbox(load: Load) -> None:
    """Rename an inbox away and back."""
    inbox = load.inbox("archive")
    aside = inbox.with_name("away")
    inbox.rename(aside)
    time.sleep(1)
    aside.rename(inbox)
    load.send(20, size="tiny")


def _flood(load: Load) -> None:
    """More happens at once than the kernel's queue holds."""
    inbox = load.inbox("delete")
    load.send(10, size="tiny")
    for number in range(10_000):
        place = inbox / f"flood-{number % 50}.txt"
        place.touch()
        place.unlink()


def _taken_back(load: Load) -> None:
    """Half of what was sent is deleted at once."""
    load.take_back(load.send(40, size="tiny")[::2])


def _directories(load: Load) -> None:
    """Many directories are made, and removed once their pictures are done."""
    top = f"album-{load.chance.random()}"
    for number in range(100):
        for name in FOLDERS:
            (load.inbox(name) / top / f"{number}/empty").mkdir(parents=True)
    for number in range(0, 100, 10):
        load.send(2, size="tiny", below=f"{top}/{number}/")
    load.settle()
    for name in FOLDERS:
        for place in (load.inbox(name), load.outbox(name), load.house.home / name / "in-done"):
            shutil.rmtree(place / top, ignore_errors=True)


def _reloads(load: Load) -> None:
    """Reload again and again, now and then a configuration that is wrong."""
    for number in range(6):
        load.send(3, size="tiny")
        if number % 3 == 1:
            load.house.configure("lanes = nonsense\n")
            load.daemon.signal(signal.SIGHUP)
        else:
            _reload(load)
        time.sleep(0.3)
    _reload(load)


def _burst(load: Load) -> None:
    """Send a backlog of many small pictures at once."""
    load.send(300, size="tiny")


FAULTS: dict[str, Callable[[Load], None]] = {
    "killed lane": _killed_lane,
    "full outbox": _full_outbox,
    "lost outbox": _lost_outbox,
    "lost inbox": _lost_inbox,
    "flood": _flood,
    "taken back": _taken_back,
    "directories": _directories,
    "reloads": _reloads,
    "burst": _burst,
}
