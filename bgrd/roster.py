"""All folders at work: which stations there are, what they need warm, how a changed plan becomes a changed set."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from bgrd.engine.dispatch import Dispatcher, Report
from bgrd.engine.events import Broken, Fed
from bgrd.engine.pool import Pool
from bgrd.engine.supply import Need
from bgrd.errors import DaemonFault, GroundFault, ModelFault, StateError
from bgrd.job import OPEN_STATES, Folder
from bgrd.journal.journal import Journal, Recovery
from bgrd.models.store import find
from bgrd.service import Plan
from bgrd.station import Station

__all__ = ["Roster"]


_AGAIN_SECONDS = 2.0
_WRITERS_SECONDS = 5.0
_WORK = frozenset({"intake.admitted", "intake.gone"})
"""Events after which a folder's committer has something to do: a job, or a note to remove."""
_QUIET = frozenset({"intake.gone", "folder.moved"})
"""Not for the log: every source that was archived or deleted, and directories that are others but well."""


class Roster:
    """The stations by name. Used on the main loop's thread; `wake` ends its wait."""

    def __init__(
        self,
        plan: Plan,
        journal: Journal,
        dispatcher: Dispatcher,
        pool: Pool,
        *,
        report: Report,
        wake: Callable[[], None],
    ) -> None:
        self.plan = plan
        self._journal = journal
        self._dispatcher = dispatcher
        self._pool = pool
        self._report = report
        self._wake = wake
        self._stations: dict[str, Station] = {}
        self._to_warm: dict[str, tuple[Need, ...]] = {}
        self._returned: deque[str] = deque()
        self._held_up_since = time.monotonic()
        # What a plan asks of the journal, in order: its disk may be full in the middle of a swap.
        self._to_withdraw: list[str] = []
        self._to_open: list[Folder] = []
        self._ask_again_at = 0.0
        self._waiting = False

    def __len__(self) -> int:
        return len(self._stations)

    def open_all(self, recovery: Recovery) -> None:
        """Serve every folder of the plan."""
        known = {folder.name for folder in self.plan.folders}
        for name in self._journal.counts().keys() - known:
            self._journal.withdraw_folder(name)
        for folder in self.plan.folders:
            self._open(folder, recovery)

    def leave(self, plan: Plan) -> list[str]:
        """Take nothing new for the folders that the plan changes or drops; gives their names."""
        wanted = {folder.name: folder for folder in plan.folders}
        kept = self.plan.same_models(plan)
        leaving = [name for name, station in self._stations.items() if not kept or wanted.get(name) != station.folder]
        for name in leaving:
            self._stations[name].stop_intake()
        return leaving

    def swap(self, plan: Plan, leaving: list[str], *, until: float) -> None:
        """End those that leave, which must be idle, and serve the plan; the others never notice."""
        wanted = {folder.name for folder in plan.folders}
        for name in leaving:
            self._stations.pop(name).close(until)
        gone = [*self._to_withdraw, *leaving, *(folder.name for folder in self._to_open)]
        self._to_withdraw = [name for name in dict.fromkeys(gone) if name not in wanted]
        if not self.plan.same_models(plan):
            self._pool.kill()  # none works: every folder has left; one may still load the old file
            self._to_warm.clear()
        self.plan = plan
        for folder in plan.folders:
            if folder.name in self._stations:
                self._stations[folder.name].walker.doubt("reload")
        self._to_open = [folder for folder in plan.folders if folder.name not in self._stations]
        self._ask_again_at = 0.0
        self._settle_plan()

    def stop_intake(self) -> None:
        """Take nothing new anywhere."""
        for station in self._stations.values():
            station.stop_intake()

    def close(self, until: float) -> bool:
        """End all by the monotonic second `until`; False where a thread had to be left behind."""
        ended = [self._stations.pop(name).close(until) for name in list(self._stations)]
        return all(ended)

    def _settle_plan(self) -> float | None:
        """Withdraw and open what the plan wants; gives when to try again what cannot be done now.

        The journal's disk may be full, or no thread to be had. Raises StateError where the journal is beyond that.
        """
        if not (self._to_withdraw or self._to_open):
            return None
        if time.monotonic() < self._ask_again_at:
            return self._ask_again_at
        try:
            while self._to_withdraw:
                self._journal.withdraw_folder(self._to_withdraw[0])
                del self._to_withdraw[0]
            while self._to_open:
                recovery = self._journal.interrupted(self._to_open[0].name)
                self._open(self._to_open[0], recovery)
                del self._to_open[0]
        except StateError as error:
            if not error.transient:
                raise
            return self._wait("journal.waiting", reason=str(error))
        except OSError as error:
            return self._wait("daemon.short", reason=f"a folder cannot be served: {error.strerror}")
        self._waiting = False
        return None

    def _wait(self, event: str, *, reason: str) -> float:
        """Try again soon; told once."""
        if not self._waiting:
            self._report(event, reason=reason)
        self._waiting = True
        self._ask_again_at = time.monotonic() + _AGAIN_SECONDS
        return self._ask_again_at

    def tend(self) -> float | None:
        """Open what could not be opened, look at folders that came back, try the next model of the warm set.

        Gives the monotonic second at which to be called again, None where a turn of the main loop will do.
        """
        due = self._settle_plan()
        while self._returned:
            if (station := self._stations.get(self._returned.popleft())) is not None:
                station.returned()
        for name, needs in list(self._to_warm.items()):
            try:
                if not self._pool.warm(*needs):
                    return due
            except (ModelFault, GroundFault, DaemonFault) as fault:
                self._dispatcher.model_faulted(name, fault)
            del self._to_warm[name]
        return due

    @property
    def ready(self) -> bool:
        """Whether every folder is watched or found wanting, and every model of the warm set tried."""
        armed = all(station.armed for station in self._stations.values())
        return armed and not (self._to_open or self._to_warm or self._pool.loading)

    def done(self, now: float) -> bool:
        """Say whether nothing is left that could be done now; files that are being written are waited for a little."""
        if all(station.quiet(self._journal) for station in self._stations.values()):
            return True
        if not all(station.held_up or station.quiet(self._journal) for station in self._stations.values()):
            self._held_up_since = now
        return now - self._held_up_since > _WRITERS_SECONDS

    @property
    def writing(self) -> tuple[bytes, ...]:
        """The files that somebody is still writing, the first of each folder."""
        return tuple(path for station in self._stations.values() for path in station.walker.writing)

    @property
    def left(self) -> int:
        """How many jobs are not at their end."""
        counts = self._journal.counts()
        return sum(counts.get(name, {}).get(state, 0) for name in self._stations for state in OPEN_STATES)

    def beats(self, now: float) -> Iterator[tuple[str, float, int]]:
        """Give when each folder's threads last came round, see `Pulse`."""
        for station in self._stations.values():
            yield from station.beats(now)

    def facts(self) -> dict[str, dict[str, Any]]:
        """Give what the status file says of each folder."""
        try:
            counts = self._journal.counts()
        except StateError:
            counts = {}  # the journal's own trouble is told by those who work with it
        return {name: {**station.facts(), "jobs": counts.get(name, {})} for name, station in self._stations.items()}

    def _open(self, folder: Folder, recovery: Recovery) -> None:
        """Start serving a folder; its model and grounds are loaded and tried as soon as a lane is free.

        Raises OSError where no thread can be started.
        """
        plan = self.plan
        station = Station(
            folder,
            self._journal,
            self._dispatcher,
            # Looked up each time it is needed: it may be installed while the daemon runs.
            model=lambda: find(folder.recipe.model, custom=plan.models, directory=plan.models_directory),
            events=self._teller(folder.name),
        )
        station.start(recovery)
        self._stations[folder.name] = station
        try:
            needs = station.desk.needs()
        except (ModelFault, GroundFault) as fault:
            self._dispatcher.block(station.desk, fault)
        except DaemonFault:
            return  # its first picture has it tried
        else:
            self._to_warm[needs[-1].name] = needs

    def _teller(self, name: str) -> Report:
        """Log what a walker tells and wake the main loop for what concerns it; called on the walker's thread."""

        def tell(event: str, **facts: Any) -> None:
            if event == "journal.damaged":
                # Nobody can work with it, and waiting mends nothing: the daemon ends with the reason.
                self._dispatcher.post(Broken(folder=name, error=facts["error"]))
                return
            if event in _WORK:
                self._dispatcher.post(Fed(folder=name))
            if event in {"folder.available", "folder.moved"}:
                self._returned.append(name)
                self._wake()
            if event in _QUIET:
                return
            self._report(event, folder=name, **facts)
            self._wake()

        return tell
