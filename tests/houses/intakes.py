"""One folder's intake without a thread, its watch played and its clock still."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bgrd.intake.walker import Walker
from tests.houses.inboxes import Clock, Heard, MemoryJournal, folder_at

__all__ = ["JPEG", "FakeWatch", "House"]

JPEG = b"\xff\xd8\xff\xe0" + bytes(100)


class FakeWatch:
    """A watch that hears nothing by itself."""

    def __init__(
        self, register: Callable[[Callable[[], object]], object], looked: Callable[[], object] = lambda: None
    ) -> None:
        self.limit: str | None = None
        self.deaf: str | None = None
        self.running = False
        self._register = register
        self._looked = looked

    def start(self) -> None:
        self._register(self._looked)
        self.running = True

    def stop(self) -> None:
        self.running = False

    def health(self) -> str | None:
        return self.deaf


class House:
    """A walker whose rounds a test calls, with all it touches."""

    def __init__(self, root: Path, **changes: Any) -> None:
        self.folder = folder_at(root, **{"watch": "inotify", **changes})
        self.inbox = self.folder.inbox
        self.journal, self.heard, self.clock = MemoryJournal(), Heard(), Clock()
        self.watches: list[FakeWatch] = []
        self.lies_on = "disk"
        self.slept = 0.0
        self.silences: list[float] = []
        self.directories = 0
        self.walker = Walker(
            self.folder,
            self.journal,
            events=self.heard,
            clock=self.clock,
            make_watch=self._make,
            identify=lambda _: self.lies_on,
            slept=lambda: self.slept,
        )

    def _make(self, *_: Any, looked: Callable[[], object], **__: Any) -> FakeWatch:
        self.watches.append(FakeWatch(self._register, looked))
        return self.watches[-1]

    def _register(self, looked: Callable[[], object]) -> None:
        """Take some seconds for each directory."""
        for _ in range(self.directories):
            self.pass_unheard(5.0)
            looked()

    def put(self, name: str, data: bytes = JPEG) -> Path:
        path = self.inbox / name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_bytes(data)
        return path

    def state(self) -> str:
        return self.walker.state

    def pass_unheard(self, seconds: float) -> None:
        """Let time pass in the middle of something, and note how long nothing was heard of the walker by then."""
        self.clock.now += seconds
        since = self.walker.busy_since
        self.silences.append(0.0 if since is None else self.clock.now - since)

    def rest(self) -> float:
        """Do rounds until nothing is due now, and give when the next one is."""
        for _ in range(1000):
            wake_at = self.walker.round()
            if wake_at > self.clock.now and not self.walker._dirty:
                return wake_at
        pytest.fail("it never rests")

    def pass_seconds(self, seconds: float) -> None:
        """Let time pass, with a round whenever one is due."""
        end = self.clock.now + seconds
        while (wake_at := self.rest()) <= end:
            self.clock.now = max(wake_at, self.clock.now)
        self.clock.now = end
