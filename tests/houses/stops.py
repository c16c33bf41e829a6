"""Holding a daemon or its lanes behind a chosen step: the hook they run, and the test's hand on it.

All is told through small mapped files, so that a lane that may open, read and write nothing of its own any more is
held like any other. Whoever is held sleeps until the order changes; nobody is if it is never given.
"""

from __future__ import annotations

import mmap
import os
import threading
import time
from pathlib import Path

from bgrd.steps import Step

__all__ = ["Stop", "Stops"]

_ORDER_BYTES = 256
_PAUSE_SECONDS = 0.002


class Stop:
    """The hook: holds each thread that has taken an ordered step, as often as ordered, until the order changes."""

    def __init__(self, directory: Path) -> None:
        self._order = _mapped(directory / "order", writable=False)
        self._held = _mapped(directory / f"held-{os.getpid()}-{_started(os.getpid())}", writable=True)
        self._lock = threading.Lock()
        self._seen = b""
        self._taken: dict[tuple[int, str], int] = {}

    def __call__(self, step: Step) -> None:
        """Hold the thread here if that is what is ordered."""
        order = self._order[:]
        if b" %s " % step.encode() not in order:
            return
        with self._lock:
            if order != self._seen:
                self._seen = order
                self._taken.clear()
            key = (threading.get_native_id(), step)
            self._taken[key] = self._taken.get(key, 0) + 1
            if b" %s %d " % (step.encode(), self._taken[key]) not in order:
                return
            self._held[0] += 1
        while self._order[:] == order:
            time.sleep(_PAUSE_SECONDS)
        with self._lock:
            self._held[0] -= 1
        if b" MemoryError " in self._order[:] and step.startswith("lane."):
            raise MemoryError


class Stops:
    """The test's side, in a directory of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir()
        self.order()

    def order(self, *steps: str, times: int = 1, memory_error: bool = False) -> None:
        """Hold whoever takes one of these steps for so many times from now on; whoever was held goes on.

        With `memory_error` a lane that goes on does so with a MemoryError.
        """
        words = [f" {step} {times} " for step in steps] + [" MemoryError "] * memory_error
        text = "".join(words).encode().ljust(_ORDER_BYTES, b"\0")
        descriptor = os.open(self.directory / "order", os.O_WRONLY | os.O_CREAT, 0o600)
        os.pwrite(descriptor, text, 0)
        os.close(descriptor)

    def held(self) -> dict[int, int]:
        """Give how many threads of each living process are held; who was killed held leaves its file."""
        found = {}
        for path in self.directory.glob("held-*"):
            pid, started = (int(part) for part in path.name.split("-")[1:])
            count = path.read_bytes()[:1]
            if count > b"\0" and _started(pid) == started:
                found[pid] = count[0]
        return found


def _started(pid: int) -> int:
    """Give when a process was started, in ticks since the machine was: pids come again; 0 where it is dead."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return 0 if fields[0] in {"Z", "X"} else int(fields[19])


def _mapped(path: Path, *, writable: bool) -> mmap.mmap:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        os.truncate(descriptor, _ORDER_BYTES)
        return mmap.mmap(descriptor, _ORDER_BYTES, access=mmap.ACCESS_WRITE if writable else mmap.ACCESS_READ)
    finally:
        os.close(descriptor)
