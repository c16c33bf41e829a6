"""A folder at work for tests: real inbox, outbox, archive and journal, and hands that play lane and committer."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path
from typing import Any, TypeVar

from bgrd.delivery.claim import Claim, open_claim
from bgrd.delivery.outbox import Outbox
from bgrd.engine.events import Event
from bgrd.engine.wire import Finished, Hashed
from bgrd.job import Folder, Job, Recipe, State, version_of
from bgrd.journal.journal import Journal
from bgrd.product import Product
from tests.houses.inboxes import folder_at, until

__all__ = ["MASKED", "MODEL", "Posts", "Workshop", "digest", "finished", "hashed"]

T = TypeVar("T")

MODEL = "0" * 64
"""What the lanes of tests give as their model's hash."""

MASKED = Recipe(products=(Product(), Product(kind="mask")))
"""A recipe of two products."""


def digest(data: bytes) -> str:
    """Give the hex SHA-256."""
    return hashlib.sha256(data).hexdigest()


def hashed(job: int, data: bytes) -> Hashed:
    """Say what a lane says once it has read the source."""
    return Hashed(job=job, sha256=digest(data), model_sha256=MODEL)


def finished(job: int, *contents: bytes, **changes: Any) -> Finished:
    """Say what a lane says once these results are written."""
    facts: dict[str, Any] = {
        "sizes": [len(content) for content in contents],
        "sha256s": [digest(content) for content in contents],
        "width": 1,
        "height": 1,
        "format": "TEXT",
        "notes": [],
        "seconds": {},
        "peak_bytes": 0,
    }
    return Finished(job=job, **{**facts, **changes})


class Posts:
    """Collects a committer's events; its thread posts, the test waits for conditions."""

    def __init__(self) -> None:
        self.events: list[object] = []

    def __call__(self, event: Event) -> None:
        self.events.append(event)

    def of(self, kind: type[T]) -> list[T]:
        """Give the events of a kind."""
        return [event for event in self.events if isinstance(event, kind)]

    def take(self, kind: type[T]) -> T:
        """Wait for an event of a kind and take it out."""
        until(lambda: self.of(kind))
        event = self.of(kind)[0]
        self.events.remove(event)
        return event


class Workshop:
    """A folder `test` below `root` with its journal, or with one it shares. `wall` is the clock of its own."""

    def __init__(self, root: Path, *, journal: Journal | None = None, **changes: Any) -> None:
        (root / "old").mkdir()
        self.folder: Folder = folder_at(root, **{"min_free": 0, **changes})
        self.offset_seconds = 0.0
        self.journal = journal or Journal(root / "journal.db", clock=self.wall)
        self.outbox = Outbox(self.folder.outbox, mode=None, group=None, min_free=0)

    def wall(self) -> float:
        """Give the wall clock, moved by `offset_seconds`."""
        return time.time() + self.offset_seconds

    def drop(self, name: str, content: bytes) -> None:
        """Have a file arrive complete, or be replaced, and be admitted."""
        path = self.folder.inbox / name
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_name(".arriving")
        aside.write_bytes(content)
        aside.replace(path)
        self.admit(name)

    def admit(self, name: str) -> None:
        """Admit a file as it is now."""
        found = (self.folder.inbox / name).lstat()
        assert self.journal.admit(self.folder.name, [(os.fsencode(name), version_of(found))]) == 1

    def claim(self) -> Claim:
        """Claim the newest job and open its files."""
        job = self.journal.claim(self.folder.name, oldest=False, now=self.wall())
        assert job is not None
        return open_claim(self.folder, self.outbox, job)

    def job(self, name: str) -> Job:
        """Give the newest row of a path."""
        rows = self.journal.jobs(states=frozenset(State), limit=1000)
        return next(job for job in rows if (job.folder, job.path) == (self.folder.name, os.fsencode(name)))

    def states(self) -> dict[str, int]:
        """Give the number of jobs by state."""
        return self.journal.counts().get(self.folder.name, {})

    def results(self) -> dict[str, bytes]:
        """Give every file below the outbox, hidden ones too, with its bytes."""
        root = self.folder.outbox
        return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}

    def sources(self) -> set[str]:
        """Give the names of every file in the inbox."""
        root = self.folder.inbox
        return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}
