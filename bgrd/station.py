"""One folder at work: its committer and its walker, started and stopped together."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from bgrd.committer import Committer
from bgrd.engine.desk import SILENT, Desk
from bgrd.engine.dispatch import Dispatcher
from bgrd.engine.events import Closed, Event
from bgrd.intake.walker import Walker
from bgrd.job import Folder, ModelChoice
from bgrd.journal.journal import Journal, Recovery

__all__ = ["Station"]

_ARMING_SECONDS = 10.0
"""After this long a folder that has not answered does not keep the others from being ready."""

_END_SECONDS = 5.0


class Station:
    """Everything that runs for one folder between start (or reload) and stop.

    Its own threads alone touch its directories: whatever a dead share holds, the main loop goes on.
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
        self._opened = time.monotonic()
        self._passing = threading.Lock()
        self._abandoned = False
        self._dispatcher = dispatcher
        self._committer = Committer(folder, journal, post=self._pass_on)
        self.walker = Walker(folder, journal, events=events)
        self.desk: Desk = dispatcher.add(self._committer, model, self.walker)

    def start(self, recovery: Recovery) -> None:
        """Finish what an earlier run left, release what waited for the folder to be well, then take new files.

        Raises OSError, with nothing left running, where no thread can be started.
        """
        try:
            self._committer.start()
            self._committer.recover(recovery)
            self.desk.probe()
            self.walker.start()
        except OSError:
            self.close(time.monotonic() + _END_SECONDS)
            raise

    def returned(self) -> None:
        """Have a folder that came back looked at now and not at its next probe."""
        self.desk.probe()

    def _pass_on(self, event: Event) -> None:
        """Hand the committer's events on; a file that changed under way is looked at again, event or none.

        Not those of a thread that a dead share held beyond the station's end: they speak of another desk.
        """
        if isinstance(event, Closed) and event.outcome == "withdraw":
            self.walker.dirty(event.job.path)
        with self._passing:
            if not self._abandoned:
                self._dispatcher.post(event)

    @property
    def armed(self) -> bool:
        """Whether the folder is watched, or found wanting: also by not answering."""
        return self.walker.armed.is_set() or time.monotonic() - self._opened > _ARMING_SECONDS

    @property
    def held_up(self) -> bool:
        """Whether all that is left are files that somebody is still writing."""
        return bool(self.walker.writing) and self.walker.first_walk_done.is_set()

    def quiet(self, journal: Journal) -> bool:
        """Say whether all that was there is admitted and nothing is ready to be worked on."""
        if self.desk.blocked or self.desk.held or self.walker.state in {"unavailable", "stalled"}:
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

    def close(self, until: float) -> bool:
        """End both threads by the monotonic second `until`; False where one had to be left behind on a dead share."""
        with self._passing:
            self._abandoned = True
        self._committer.stop(0)
        now = time.monotonic()
        ended = [self.walker.stop(max(0.1, until - now)), self._committer.stop(max(0.1, until - time.monotonic()))]
        self._dispatcher.remove(self.folder.name)
        return all(ended)
