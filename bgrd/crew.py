"""The daemon's lanes and the processes they share: what starts them, what they may take, what is learnt of them."""

from __future__ import annotations

import time

from bgrd.config.settings import Settings
from bgrd.engine.events import Report
from bgrd.engine.listener import PoolEvents
from bgrd.engine.loop import Loop
from bgrd.engine.niceness import niced
from bgrd.engine.pool import Pool
from bgrd.engine.starter import Starters
from bgrd.lessons import Lessons

__all__ = ["Crew"]


class Crew:
    """The pool, with limits that follow from the settings and from what was learnt; `starters` is closed with it."""

    def __init__(self, settings: Settings, starters: Starters, *, events: PoolEvents, loop: Loop) -> None:
        self._starters = starters
        self.lessons = Lessons(settings)
        self.pool = Pool(
            self.lessons.limits,
            events=events,
            clock=time.monotonic,
            watch=loop.watch,
            unwatch=loop.unwatch,
            start=lambda: niced(starters.lanes.start(), self.pool.limits.nice),
            start_device=lambda: niced(starters.devices.start(), self.pool.limits.nice),
        )

    def settle(self) -> None:
        """End the lane that was started ahead where nobody has asked for it: all is ready, and none is needed yet."""
        self._starters.lanes.dismiss()

    def apply(self, report: Report) -> None:
        """Work with other lanes where what was learnt says so and none is busy."""
        self.lessons.apply(self.pool, report)

    def turn(self, lessons: Lessons) -> None:
        """Go on by other settings; what the pictures took so far is written down first."""
        self.lessons.write()
        lessons.follow(self.lessons)
        self.lessons, self.pool.limits = lessons, lessons.limits

    def close(self) -> None:
        """Let all end and wait for them; write down what is not yet."""
        self.pool.close()
        self._starters.close()
        self.lessons.write()
