"""The daemon's sign of life: watchdog pings tied to progress, the STATUS line, the status file."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from bgrd.kernel import blocked_in_file_call
from bgrd.telemetry import status
from bgrd.telemetry.notify import Beats, Notifier

__all__ = ["Pulse", "identity", "summary"]

_STATUS_SECONDS = 1.0
_LEAST_SECONDS = 5.0
"""Loops that are well come round every few seconds: a service manager that waits less must not take that for death."""


class Pulse:
    """Speaks when there is something new to say, and pings only while no loop is late.

    `beats` gives each loop's name, the monotonic second it last came round and its native thread id (0 where that
    is not known); `facts` what the status file holds. A loop held in a system call on a dead share is that folder's
    trouble, not the daemon's: it does not stop the pings. `report` is told which loops are late, once: when the service
    manager ends the daemon, its log says why.
    """

    def __init__(
        self,
        notifier: Notifier,
        path: Path,
        *,
        beats: Callable[[], Iterable[tuple[str, float, int]]],
        facts: Callable[[], Mapping[str, Any]],
        report: Callable[..., None] = lambda _event, **_facts: None,
    ) -> None:
        self._report = report
        self._notifier = notifier
        self._path = path
        self._beats = beats
        self._facts = facts
        self._stale = True
        self._written = 0.0
        self._pinged = 0.0
        self.late: list[str] = []

    def changed(self) -> None:
        """Note that the status file is out of date."""
        self._stale = True

    def tick(self, now: float) -> float | None:
        """Write and ping what is due; gives the monotonic second of the next thing, or None."""
        wanted: list[float] = []
        if self._stale and now - self._written >= _STATUS_SECONDS:
            self.write(now)
        elif self._stale:
            wanted.append(self._written + _STATUS_SECONDS)
        interval = self._notifier.watchdog_interval
        if interval is not None:
            if now - self._pinged >= interval / 2:
                self._ping(now, limit_seconds=max(interval, _LEAST_SECONDS))
            wanted.append(self._pinged + interval / 2)
        return min(wanted, default=None)

    def write(self, now: float) -> None:
        """Replace the status file and systemd's STATUS line; a full runtime directory costs only the news."""
        facts = self._facts()
        self._notifier.status(summary(facts))
        with suppress(OSError):
            status.write(self._path, facts)
        self._stale = False
        self._written = now

    def remove(self) -> None:
        """Take the status file away: nobody runs any more."""
        with suppress(OSError):
            self._path.unlink()

    def _ping(self, now: float, *, limit_seconds: float) -> None:
        self._pinged = now
        beats = Beats()
        threads: dict[str, int] = {}
        for name, last, threads[name] in self._beats():
            beats.expect(name, within_seconds=limit_seconds, now=last)
        before, self.late = self.late, [name for name in beats.late(now) if not blocked_in_file_call(threads[name])]
        if not self.late:
            self._notifier.watchdog()
        if self.late != before:
            self._stale = True
            self._report("daemon.late", loops=self.late)


def summary(facts: Mapping[str, Any]) -> str:
    """Give the one line that `systemctl --user status` shows."""
    folders = facts["folders"].values()
    counts = [
        f"{sum(folder['jobs'].get(state, 0) for folder in folders)} {state}"
        for state in ("ready", "running", "waiting", "failed", "done")
    ]
    troubled = [f"{name}: {folder['reason']}" for name, folder in facts["folders"].items() if folder["reason"]]
    return "; ".join([", ".join(counts), *troubled])


def identity() -> dict[str, Any]:
    """Give who wrote the status file."""
    return {"pid": os.getpid(), "written": time.time()}
