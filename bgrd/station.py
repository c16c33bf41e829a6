"""One folder at work: its lock, its committer and its walker, started and stopped together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from bgrd.committer import Committer
from bgrd.engine.desk import SILENT, Desk
from bgrd.engine.dispatch import Dispatcher
from bgrd.engine.events import Closed, Event
from bgrd.errors import FolderUnavailable
from bgrd.intake.walker import Walker
from bgrd.job import Folder, ModelChoice
from bgrd.journal.journal import Journal, Recovery
from bgrd.lock import Lock, hold_inbox

__all__ = ["Station"]


class Station:
    """Everything that runs for one folder between start (or reload) and stop.

    Making one takes the lock on the inbox. Raises BusyError when another bgrd serves it.
    """

    def __init__(
        self,
        folder: Folder,
        journal: Journal,
        dispatcher: Dispatcher,
        *,
        model: Callable[[], ModelChoice],
        events: Callable[..., None],
    ) -> None:
        self.folder = folder
        self._lock = _lock_if_there(folder)
        self._dispatcher = dispatcher
        self._committer = Committer(folder, journal, post=self._pass_on)
        self.walker = Walker(folder, journal, events=events)
        self.desk: Desk = dispatcher.add(self._committer, model)

    def start(self, recovery: Recovery | None) -> None:
        """Finish what an earlier run left, then take new files."""
        self._committer.start()
        if recovery is not None:
            self._committer.recover(recovery)
        self.walker.start()

    def arrived(self) -> None:
        """Take the lock on an inbox that was missing and is there now. Raises BusyError."""
        if self._lock is None:
            self._lock = _lock_if_there(self.folder)

    def _pass_on(self, event: Event) -> None:
        """Hand the committer's events on; a file that changed under way is looked at again, event or none."""
        if isinstance(event, Closed) and event.outcome == "withdraw":
            self.walker.dirty(event.job.path)
        self._dispatcher.post(event)

    @property
    def armed(self) -> bool:
        """Whether the folder is watched, or found wanting."""
        return self.walker.armed.is_set()

    def quiet(self, journal: Journal) -> bool:
        """Say whether all that was there is admitted and nothing is ready to be worked on."""
        if self.desk.blocked or self.walker.state == "unavailable":
            return True
        return self.walker.settled and not journal.ready_count(self.folder.name)

    def beats(self, now: float) -> Iterator[tuple[str, float, int]]:
        """Give when intake and committer last came round; a committer with nothing to do has just done so."""
        yield f"intake of {self.folder.name}", self.walker.beat, self.walker.native_id
        busy_since = self._committer.busy_since
        yield f"commit of {self.folder.name}", now if busy_since is None else busy_since, self._committer.native_id

    def facts(self) -> dict[str, Any]:
        """Give what the status file says of the folder."""
        walker, desk = self.walker, self.desk
        trouble = ("blocked", desk.blocked) if desk.blocked else (walker.state, walker.reason)
        if desk.silent:
            trouble = ("unavailable", SILENT)
        return {
            "state": trouble[0],
            "reason": trouble[1],
            "inbox": self.folder.inbox,
            "outbox": self.folder.outbox,
            "model": self.folder.recipe.model,
            "watch": walker.mode,
            "watch_reason": walker.mode_reason,
            "writing": list(walker.writing),
            "done_since_start": desk.done,
            "failed_since_start": desk.failed,
        }

    def stop_intake(self) -> None:
        """Take no new files; what is claimed goes on."""
        self.desk.leaving = True
        self.walker.stop(0)

    def close(self, seconds: float) -> bool:
        """End both threads and let the lock go; False where a dead share holds a thread, which is left behind."""
        ended = [self.walker.stop(seconds), self._committer.stop(seconds)]
        self._dispatcher.remove(self.folder.name)
        if self._lock is not None:
            self._lock.close()
        return all(ended)


def _lock_if_there(folder: Folder) -> Lock | None:
    """Hold the inbox; None where it is missing now or its file system has no locks."""
    try:
        return hold_inbox(folder.inbox)
    except FolderUnavailable:
        return None
