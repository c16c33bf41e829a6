"""Ears on an inbox, and what they hear."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bgrd.intake.watch import Watch
from tests.houses.inboxes import until

__all__ = ["Ear"]


class Ear:
    """A watch on a directory and what it said; `end` waits until all that happened so far was heard."""

    def __init__(self, inbox: Path, **options: Any) -> None:
        self.inbox = inbox
        self.dirty: list[bytes] = []
        self.doubts: list[str] = []
        settings: dict[str, Any] = {"recursive": True, "excluded": frozenset(), **options}
        self.watch = Watch(inbox, on_dirty=self.hear, on_doubt=self.doubts.append, **settings)
        self._ends = 0

    def hear(self, path: bytes) -> None:
        self.dirty.append(path)

    def end(self) -> list[bytes]:
        """Give all that was heard up to now."""
        self._ends += 1
        name = f"end-{self._ends}"
        (self.inbox / name).mkdir()
        until(lambda: name.encode() in self.dirty)
        (self.inbox / name).rmdir()
        heard = [path for path in self.dirty if not path.startswith(b"end-")]
        self.dirty = []
        return heard
