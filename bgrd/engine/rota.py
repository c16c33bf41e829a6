"""Folders in turn, and the claimed jobs that wait for a lane: a backlog in one folder does not hold up another.

No more jobs are claimed than lanes can soon take: a backlog of any length stays in the journal.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection

from bgrd.engine.desk import Desk
from bgrd.engine.events import Prepared

__all__ = ["Rota"]


class Rota:
    """Every folder's desk by name, and what was fetched and not yet begun, in the order it came."""

    def __init__(self) -> None:
        self.desks: dict[str, Desk] = {}
        self._turn: deque[str] = deque()
        self._waiting: deque[Prepared] = deque()

    def add(self, desk: Desk) -> None:
        """Take a folder in."""
        self.desks[desk.name] = desk
        self._turn.append(desk.name)

    def remove(self, name: str) -> None:
        """Forget a folder and what waits of it."""
        del self.desks[name]
        self._turn.remove(name)
        self._waiting = deque(prepared for prepared in self._waiting if prepared.folder != name)

    def put(self, prepared: Prepared) -> None:
        """Have a job wait for a lane."""
        self._waiting.append(prepared)

    def begun(self, prepared: Prepared) -> None:
        """Forget a job that waits no more."""
        self._waiting.remove(prepared)

    def take(self, names: Collection[str] | None = None) -> list[Prepared]:
        """Give what waits, of these folders or of all, and forget it."""
        taken = [prepared for prepared in self._waiting if names is None or prepared.folder in names]
        self._waiting = deque(prepared for prepared in self._waiting if prepared not in taken)
        return taken

    @property
    def startable(self) -> list[Prepared]:
        """What waits, first come first; without what a dead share holds, which would hold its lane too."""
        return [prepared for prepared in self._waiting if not self.desks[prepared.folder].silent]

    def fetch(self, *, lanes: int) -> None:
        """Keep one job at hand for each lane, and one more.

        What a dead share holds is not counted: it costs its neighbours nothing.
        """
        startable = self.startable
        fetching = sum(desk.fetching and not desk.silent for desk in self.desks.values())
        room = lanes + 1 - len(startable) - fetching
        for _ in range(len(self._turn)):
            if room <= 0:
                return
            self._turn.rotate(-1)
            desk = self.desks[self._turn[-1]]
            if desk.fetchable:
                desk.fetch()
                room -= 1
