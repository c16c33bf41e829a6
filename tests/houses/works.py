"""A workshop whose committer runs on its own thread; the test plays the lane."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from bgrd.committer import Committer
from bgrd.engine.events import Broken, Closed, Idle, Judged, Prepared
from bgrd.errors import (
    Fault,
)
from bgrd.journal.journal import Journal
from tests.houses.workshop import Posts, Workshop, finished, hashed

__all__ = ["Works"]


class Works(Workshop):
    """A workshop with a committer that has started."""

    def __init__(self, root: Path, **changes: Any) -> None:
        super().__init__(root, **{"failure_notes": root / "out/_failed", **changes})
        self.posts = Posts()
        self.committer = self.hire()

    def hire(self) -> Committer:
        """Start a committer; a second one stands for the next run."""
        made = Committer(self.folder, self.journal, post=self.posts, wall=self.wall)
        made.start()
        return made

    def restart(self) -> None:
        """End as by kill -9, with the journal left as it is, and start anew."""
        assert self.committer.stop(20)
        self.posts.events.clear()
        self.journal.close()
        self.journal = Journal(self.folder.inbox.parent / "journal.db", clock=self.wall)
        self.committer = self.hire()
        self.committer.recover(self.journal.recover())
        self.committer.probe()

    def fetch(self, *, oldest: bool = False) -> Prepared:
        """Have the next job prepared."""
        self.committer.fetch(oldest=oldest)
        return self.posts.take(Prepared)

    def judge(self, prepared: Prepared) -> bool:
        """Tell the hash as a lane would; gives whether to go on."""
        self.committer.judge(hashed(prepared.job.id, os.pread(prepared.source, 1 << 20, 0)))
        return self.posts.take(Judged).go

    def commit(self, prepared: Prepared, content: bytes = b"result") -> Closed:
        """Write the result as a lane would and have it committed."""
        os.pwrite(prepared.drafts[0], content, 0)
        self.committer.commit(finished(prepared.job.id, content), facts={"lane": 7})
        return self.posts.take(Closed)

    def work(self, content: bytes = b"result") -> Closed:
        """Take the newest job from claim to close."""
        prepared = self.fetch()
        return self.commit(prepared, content) if self.judge(prepared) else self.posts.take(Closed)

    def settle(self, fault: Fault) -> Closed:
        """Have the newest job end in a fault."""
        prepared = self.fetch()
        self.committer.settle(prepared.job.id, fault, facts={})
        return self.posts.take(Closed)

    def nothing(self) -> Idle:
        """Ask for a job where there is none."""
        self.committer.fetch(oldest=False)
        return self.posts.take(Idle)

    def notes(self) -> list[str]:
        """Give the failure notes' names."""
        return sorted(path.name for path in (self.folder.outbox / "_failed").rglob("*.txt"))

    def close(self) -> None:
        """End the thread; nothing may be broken, no descriptor left."""
        assert self.committer.stop(20)
        self.journal.close()
        assert not self.posts.of(Broken)
