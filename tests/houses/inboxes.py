"""An inbox with everything around it that a test of the intake needs: a journal in memory, a clock, heard events."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bgrd.errors import StateError
from bgrd.intake.protocol import Arrival
from bgrd.job import Folder, Recipe

__all__ = ["Clock", "Heard", "MemoryJournal", "folder_at", "until"]


def folder_at(root: Path, **changes: Any) -> Folder:
    """Make a folder with an inbox and an outbox below `root`."""
    for name in ("in", "out"):
        (root / name).mkdir(exist_ok=True)
    folder = Folder(name="test", inbox=root / "in", outbox=root / "out", archive=root / "old", recipe=Recipe())
    return replace(folder, **changes)


def until(condition: Callable[[], object], *, seconds: float = 20.0) -> None:
    """Wait for a condition that another thread brings about; fail where it does not come true in time."""
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        pause.wait(0.005)


class Clock:
    """Seconds that pass only when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Heard:
    """Collects events."""

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, object]]] = []

    def __call__(self, name: str, /, **facts: object) -> None:
        self.events.append((name, facts))

    def named(self, name: str) -> list[dict[str, object]]:
        """Give the facts of each event of this name."""
        return [facts for heard, facts in self.events if heard == name]

    def names(self) -> list[str]:
        """Give all names in order."""
        return [name for name, _ in self.events]


class MemoryJournal:
    """The journal as intake sees it, kept in memory. `broken` makes every answer a StateError."""

    def __init__(self) -> None:
        self.broken = ""
        self.rows: dict[bytes, Any] = {}
        self.asked: list[bytes] = []
        self.admitted: list[bytes] = []
        self.ignored: list[bytes] = []
        self.gone: list[bytes] = []
        self.mounts: dict[str, str] = {}
        self.flags: set[str] = set()

    def unknown(self, folder: str, seen: Sequence[Arrival]) -> list[Arrival]:
        self._answer()
        self.asked += [path for path, _ in seen]
        return [(path, version) for path, version in seen if self.rows.get(path) != version]

    def admit(self, folder: str, arrivals: Sequence[Arrival]) -> int:
        self._answer()
        return self._add(arrivals, self.admitted)

    def ignore(self, folder: str, arrivals: Sequence[Arrival]) -> int:
        self._answer()
        return self._add(arrivals, self.ignored)

    def present(self, folder: str, *, after_id: int, limit: int) -> list[tuple[int, bytes]]:
        self._answer()
        return list(enumerate(sorted(self.rows), start=1))[after_id : after_id + limit]

    def missing(self, folder: str, paths: Sequence[bytes]) -> int:
        self._answer()
        self.gone += paths
        for path in paths:
            self.rows.pop(path, None)
        return len(paths)

    def mount(self, folder: str, role: str) -> str | None:
        self._answer()
        return self.mounts.get(role)

    def set_mount(self, folder: str, role: str, identity: str) -> None:
        self.mounts[role] = identity

    def flag(self, folder: str, key: str) -> bool:
        return key in self.flags

    def set_flag(self, folder: str, key: str) -> None:
        self._answer()
        self.flags.add(key)

    def _answer(self) -> None:
        if self.broken:
            raise StateError(self.broken)

    def _add(self, arrivals: Sequence[Arrival], names: list[bytes]) -> int:
        new = [(path, version) for path, version in arrivals if self.rows.get(path) != version]
        self.rows.update(new)
        names += [path for path, _ in new]
        return len(new)
