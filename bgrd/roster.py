"""All folders at work: which stations there are, what they need warm, how a changed plan becomes a changed set."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bgrd.engine.dispatch import Dispatcher, Report
from bgrd.engine.events import Fed
from bgrd.engine.pool import Pool
from bgrd.errors import BusyError, DaemonFault, FolderFault, ModelFault
from bgrd.job import Folder, ModelChoice
from bgrd.journal.journal import Journal, Recovery
from bgrd.models.store import find
from bgrd.station import Station

__all__ = ["Plan", "Roster"]


_WORK = frozenset({"intake.admitted", "intake.gone"})
"""Events after which a folder's committer has something to do: a job, or a note to remove."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to be served: the folders, and where their models are looked up."""

    folders: tuple[Folder, ...]
    models: Mapping[str, ModelChoice]
    models_directory: Path

    def same_models(self, other: Plan) -> bool:
        """Say whether names stand for the same files with the same specs."""
        return (self.models, self.models_directory) == (other.models, other.models_directory)


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
        self._to_warm: dict[str, ModelChoice] = {}
        self._returned: deque[str] = deque()

    def __len__(self) -> int:
        return len(self._stations)

    def open_all(self, recovery: Recovery) -> None:
        """Serve every folder of the plan. Raises BusyError when another bgrd serves one."""
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

    def swap(self, plan: Plan, leaving: list[str], *, seconds: float) -> None:
        """End those that leave, which must be idle, and serve the plan; the others never notice."""
        wanted = {folder.name for folder in plan.folders}
        for name in leaving:
            self._stations.pop(name).close(seconds)
            if name not in wanted:
                self._journal.withdraw_folder(name)
        if not self.plan.same_models(plan):
            self._pool.let_go()
        self.plan = plan
        for folder in plan.folders:
            if folder.name in self._stations:
                self._stations[folder.name].walker.doubt("reload")
                continue
            try:
                self._open(folder)
            except BusyError as error:
                self._report("folder.busy", folder=folder.name, reason=str(error))

    def stop_intake(self) -> None:
        """Take nothing new anywhere."""
        for station in self._stations.values():
            station.stop_intake()

    def close(self, seconds: float) -> bool:
        """End all; False where a thread had to be left behind."""
        ended = [self._stations.pop(name).close(seconds) for name in list(self._stations)]
        return all(ended)

    def tend(self) -> None:
        """Take the locks of inboxes that came back, and try the next model of the warm set where a lane is free."""
        while self._returned:
            name = self._returned.popleft()
            if (station := self._stations.get(name)) is not None:
                try:
                    station.arrived()
                except BusyError as error:
                    self._dispatcher.block(station.desk, FolderFault(str(error)))
        for name, model in list(self._to_warm.items()):
            try:
                if not self._pool.warm(model):
                    return
            except (ModelFault, DaemonFault) as fault:
                self._dispatcher.model_faulted(name, fault)
            del self._to_warm[name]

    @property
    def ready(self) -> bool:
        """Whether every folder is watched or found wanting, and every model of the warm set tried."""
        armed = all(station.armed for station in self._stations.values())
        return armed and not self._to_warm and not self._pool.loading

    @property
    def quiet(self) -> bool:
        """Whether nothing is left that could be done now."""
        return all(station.quiet(self._journal) for station in self._stations.values())

    def beats(self, now: float) -> Iterator[tuple[str, float, int]]:
        """Give when each folder's threads last came round, see `Pulse`."""
        for station in self._stations.values():
            yield from station.beats(now)

    def facts(self) -> dict[str, dict[str, Any]]:
        """Give what the status file says of each folder."""
        counts = self._journal.counts()
        return {name: {**station.facts(), "jobs": counts.get(name, {})} for name, station in self._stations.items()}

    def _open(self, folder: Folder, recovery: Recovery | None = None) -> None:
        """Start serving a folder; its model is loaded and tried as soon as a lane is free."""
        plan = self.plan
        station = Station(
            folder,
            self._journal,
            self._dispatcher,
            # Looked up each time it is needed: it may be installed while the daemon runs.
            model=lambda: find(folder.recipe.model, custom=plan.models, directory=plan.models_directory),
            events=self._teller(folder.name),
        )
        self._stations[folder.name] = station
        station.start(recovery)
        try:
            model = station.desk.model()
        except ModelFault as fault:
            self._dispatcher.block(station.desk, fault)
        else:
            self._to_warm[model.name] = model

    def _teller(self, name: str) -> Report:
        """Log what a walker tells and wake the main loop for what concerns it; called on the walker's thread."""

        def tell(event: str, **facts: Any) -> None:
            if event in _WORK:
                self._dispatcher.post(Fed(folder=name))
            if event == "intake.gone":
                return  # every source that was archived or deleted: the log has said so
            self._report(event, folder=name, **facts)
            if event == "folder.available":
                self._returned.append(name)
            self._wake()

        return tell
