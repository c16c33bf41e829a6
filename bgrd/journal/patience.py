"""A database that waits out what passes: a full disk, an I/O error, another program's lock.

A transaction that failed was rolled back, so that doing it again does it once.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

from bgrd.errors import StateError
from bgrd.journal.database import Database, Tables

__all__ = ["PatientDatabase"]

T = TypeVar("T")

PAUSE_SECONDS = 2.0
_LOOK_SECONDS = 0.1


class PatientDatabase:
    """The same face as the open database below it, whose reads and writes are repeated while failures are transient.

    `waiting` is told the error before each pause, on the caller's thread. Once `give_up` says so, during a pause
    too, the error is raised. `submit` waits for nothing and so has no patience.
    """

    def __init__(
        self,
        database: Database | PatientDatabase,
        *,
        give_up: Callable[[], bool],
        waiting: Callable[[StateError], None],
        pause_seconds: float | None = None,
    ) -> None:
        self._database = database
        self._give_up = give_up
        self._waiting = waiting
        self._pause_seconds = PAUSE_SECONDS if pause_seconds is None else pause_seconds
        self._never = threading.Event()

    def read(self, work: Callable[[Tables], T]) -> T:
        """Give what `work` gives, as `Database.read`, sooner or later."""
        return self._insist(lambda: self._database.read(work))

    def write(self, work: Callable[[Tables], T]) -> T:
        """Give what `work` gives once it is on disk, as `Database.write`, sooner or later."""
        return self._insist(lambda: self._database.write(work))

    def submit(self, work: Callable[[Tables], T], *, writes: bool) -> Future[T]:
        """Queue `work` as `Database.submit` does."""
        return self._database.submit(work, writes=writes)

    def close(self) -> None:
        """Close the database below."""
        self._database.close()

    def _insist(self, ask: Callable[[], T]) -> T:
        while True:
            try:
                return ask()
            except StateError as error:
                if not error.transient or self._give_up():
                    raise
                self._waiting(error)
                if self._pause():
                    raise

    def _pause(self) -> bool:
        """Wait a while and say whether to give up."""
        deadline = time.monotonic() + self._pause_seconds
        while (left := deadline - time.monotonic()) > 0 and not self._give_up():
            self._never.wait(min(left, _LOOK_SECONDS))
        return self._give_up()
