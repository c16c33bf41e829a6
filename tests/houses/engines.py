"""The engine for tests: a dispatcher, its pool of null lanes, and real committers, journals and folders."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bgrd.committer import Committer
from bgrd.engine.desk import Desk
from bgrd.engine.dispatch import Dispatcher
from bgrd.engine.loop import Loop
from bgrd.engine.pool import Limits, Pool
from bgrd.errors import ModelFault
from bgrd.job import ModelChoice
from bgrd.journal.journal import Journal
from tests.houses.inboxes import Heard
from tests.houses.pools import LIMITS, start_null_lane
from tests.houses.workshop import Workshop

__all__ = ["PATIENCE_SECONDS", "Engine"]

PATIENCE_SECONDS = 20.0


class Engine:
    """A dispatcher with its pool and loop, and folders that are made as they are needed."""

    def __init__(self, root: Path, limits: Limits = LIMITS) -> None:
        self.root = root
        self.heard = Heard()
        self.loop = Loop()
        self.ahead_seconds = 0.0
        self.shops: dict[str, Workshop] = {}
        self.committers: dict[str, Committer] = {}
        self.offset_seconds = 0.0
        self.journal = Journal(root / "journal.db", clock=self.wall)
        self.dispatcher = Dispatcher(report=self.report, wake=self.loop.wake, max_pixels=100, wall=self.wall)
        self.pool = Pool(
            limits,
            events=self.dispatcher,
            clock=self.now,
            watch=self.loop.watch,
            unwatch=self.loop.unwatch,
            start=start_null_lane,
        )
        self.dispatcher.use(self.pool)
        (root / "model").write_bytes(b"good")

    def now(self) -> float:
        """Give the monotonic clock, which a test may put forward."""
        return time.monotonic() + self.ahead_seconds

    def wall(self) -> float:
        """Give the wall clock, which a test may move either way."""
        return time.time() + self.offset_seconds

    def report(self, event: str, **facts: Any) -> None:
        """Hear an event."""
        self.heard(event, **facts)

    def model(self, name: str) -> ModelChoice:
        """Find the model as the daemon does: each time it is needed."""
        if not (self.root / "model").exists():
            text = f"model {name} is not installed"
            raise ModelFault(text)
        return ModelChoice(name=name, path=self.root / "model")

    def folder(self, name: str = "f", **changes: Any) -> Workshop:
        """Make a folder, to be served from `serve` on."""
        (self.root / name).mkdir()
        shop = self.shops[name] = Workshop(self.root / name, journal=self.journal, name=name, **changes)
        return shop

    def serve(self, *shops: Workshop) -> list[Desk]:
        """Begin to serve folders."""
        desks = []
        for shop in shops or self.shops.values():
            committer = Committer(shop.folder, shop.journal, post=self.dispatcher.post, wall=self.wall)
            self.committers[shop.folder.name] = committer
            recipe = shop.folder.recipe
            desks.append(self.dispatcher.add(committer, lambda name=recipe.model: self.model(name)))  # type: ignore[misc]
            committer.start()
        return desks

    def turn(self) -> None:
        """Go round once, as the daemon does."""
        now = self.now()
        self.dispatcher.step(now)
        for fileno in self.loop.wait(time.monotonic() + 0.02):
            self.pool.handle(fileno)

    def until(self, condition: Callable[[], object]) -> None:
        """Turn until the condition holds."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not condition():
            assert time.monotonic() < deadline, f"it never came true: {self.heard.events[-5:]}"
            self.turn()

    def until_done(self, count: int) -> None:
        """Turn until so many jobs are done."""
        self.until(lambda: len(self.heard.named("job.done")) >= count)

    def paths(self, event: str = "job.done") -> list[object]:
        """Give the paths of these events in order."""
        return [facts["path"] for facts in self.heard.named(event)]

    def close(self) -> None:
        """End everything; no lane and no thread may be left."""
        self.dispatcher.abort()
        pids = self.pool.pids
        for committer in self.committers.values():
            assert committer.stop(20)
        self.pool.close()
        self.loop.close()
        self.journal.close()
        assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]
