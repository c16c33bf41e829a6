"""The whole parent of a bgrd without a thread or a lane: a test turns its wheels one by one, and can end it anywhere.

Roster, stations, walkers, committers, dispatcher, journal and delivery are the real ones. Clocks are set by hand, ears
hear what they are told, and lanes are played, see `tests.houses.played_lanes`.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, cast

import pytest

import bgrd.intake.guard
import bgrd.intake.rounds
import bgrd.intake.walker
import bgrd.station
from bgrd.committer import Committer
from bgrd.engine.dispatch import Dispatcher
from bgrd.engine.events import Broken
from bgrd.engine.pool import Pool
from bgrd.intake.mounts import read_mounts
from bgrd.intake.survey import Survey
from bgrd.intake.walker import Walker
from bgrd.job import OPEN_STATES, Folder
from bgrd.journal.journal import Journal
from bgrd.roster import Roster
from bgrd.service import Plan
from tests.houses.inboxes import Clock
from tests.houses.played_lanes import Lanes
from tests.kernel.kernels import Kernel

__all__ = ["Parent"]

T = TypeVar("T")


class _Hands(Committer):
    """A committer whose requests are served one by one, by whoever calls `serve`."""

    def start(self) -> None:
        """Start nothing."""

    def serve(self) -> bool:
        """Serve one request; False where there is none."""
        request = self._requests.take() if self._requests.waiting else None
        if request is None:
            return False
        try:
            request()
        except Exception as error:  # noqa: BLE001 - as on its thread
            self._post(Broken(folder=self.folder.name, error=error))
        return True

    def stop(self, seconds: float) -> bool:
        """Serve what is queued and end, as the thread does."""
        if seconds > 0:
            self._requests.stop(0)
            self._requests.serve()
        return True


class _Feet(Walker):
    """A walker whose rounds are made by whoever calls `round`."""

    def start(self) -> None:
        """Start nothing."""

    def stop(self, seconds: float = 5.0) -> bool:
        """End, as the thread does."""
        super().stop(0)
        if seconds > 0:
            self.let_go()
        return True

    def let_go(self) -> None:
        """Close what a walk holds open."""
        self._ears.close()
        self._rounds.close()


class _Ears:
    """A watch that hears what `Walker.dirty` is told."""

    limit: str | None = None

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def start(self) -> None:
        pass

    def stop(self) -> None:
        pass

    def health(self) -> str | None:
        return None


class _Mortal:
    """A journal's database on a kernel that may end the process before or after any of its transactions."""

    def __init__(self, database: Any) -> None:
        self._database = database
        self.kernel: Kernel | None = None

    def read(self, work: Callable[..., T]) -> T:
        return cast(T, self._through(self._database.read)(work))

    def write(self, work: Callable[..., T]) -> T:
        return cast(T, self._through(self._database.write)(work))

    def submit(self, work: Callable[..., T], *, writes: bool) -> Any:
        return self._database.submit(work, writes=writes)

    def close(self) -> None:
        self._database.close()

    def _through(self, call: Callable[..., Any]) -> Callable[..., Any]:
        return call if self.kernel is None else self.kernel.watched(call)


class Parent:
    """One folder's bgrd below `root`, from `start` to `stop` or `die`; `report` is told every event of its log."""

    def __init__(self, root: Path, folder: Folder, *, lanes: Lanes, report: Callable[..., None]) -> None:
        self.root = root
        self.folder = folder
        self.clock = Clock()
        self.wall_offset = 1_000_000_000.0
        self.lanes = lanes
        self._report = report
        self._patch = pytest.MonkeyPatch()
        self._patch.setattr(bgrd.station, "Committer", partial(_Hands, wall=self.wall))
        self._patch.setattr(
            bgrd.station, "Walker", partial(_Feet, clock=self.clock, make_watch=_Ears, slept=lambda: 0.0)
        )
        mounts = read_mounts()  # the kernel's answer is long, and the same each time
        for module in (bgrd.intake.walker, bgrd.intake.guard):
            self._patch.setattr(module, "read_mounts", lambda: mounts)
        self._patch.setattr(bgrd.intake.rounds, "Survey", partial(Survey, processor=lambda: 0.0))
        self.running = False

    def wall(self) -> float:
        """Give the wall clock."""
        return self.clock.now + self.wall_offset

    @property
    def hands(self) -> _Hands:
        """The folder's committer."""
        return cast(_Hands, self._station._committer)

    @property
    def feet(self) -> _Feet:
        """The folder's walker."""
        return cast(_Feet, self._station.walker)

    @property
    def _station(self) -> Any:
        return self.roster._stations[self.folder.name]

    def plan(self) -> Plan:
        """Give what is served."""
        return Plan(folders=(self.folder,), models={}, models_directory=self.root)

    def start(self) -> None:
        """Start as the daemon does."""
        self.journal = Journal(self.root / "journal.db", clock=self.wall)
        self._mortal = _Mortal(self.journal._database)
        self.journal._database = cast(Any, self._mortal)
        self.dispatcher = Dispatcher(report=self._report, wake=lambda: None, max_pixels=1, wall=self.wall)
        self.lanes.events = self.dispatcher
        pool = cast(Pool, self.lanes)
        self.dispatcher.use(pool)
        self.roster = Roster(self.plan(), self.journal, self.dispatcher, pool, report=self._report, wake=lambda: None)
        self.running = True
        self.roster.open_all(self.journal.recover())

    def path_of(self, job: int) -> str:
        """Give the source of a job under way."""
        return os.fsdecode(self.dispatcher._active[job].prepared.job.path)

    def step(self) -> float:
        """Make one turn of the main loop; gives when the next is due."""
        self.roster.tend()
        due = self.dispatcher.step(self.clock.now)
        return float("inf") if due is None else due

    def bustle(self, *, rounds: int = 200) -> float:
        """Turn every wheel until none has anything to do now; gives when the next has."""
        due = 0.0
        for _ in range(rounds):
            due = min(self.feet.round(), self.step())
            moved = self.hands.serve()
            while self.hands.serve():
                pass
            while self.lanes.advance(0):
                moved = True
            if not moved and due > self.clock.now and not self.feet._dirty and not self.hands._requests.waiting:
                break
        else:
            pytest.fail("it never rests")
        return due

    def is_through(self) -> bool:
        """Say whether nothing is open, nothing settles and the folder is well."""
        desk = self.dispatcher.desks[self.folder.name]
        counts = self.journal.counts().get(self.folder.name, {})
        return self.feet.settled and not desk.blocked and not counts.keys() & OPEN_STATES

    def reload(self, folder: Folder) -> None:
        """Serve the folder with other settings, as a reload does: what runs is finished first."""
        self.folder = folder
        plan = self.plan()
        leaving = self.roster.leave(plan)
        while not all(self.dispatcher.idle(name) for name in leaving):
            self.step()
            if not (self.hands.serve() or self.lanes.advance(0)):
                self.dispatcher.abort(leaving)
        self.roster.swap(plan, leaving, until=float("inf"))

    def stop(self, *, patiently: bool) -> None:
        """End as the daemon does; `patiently` lets the lanes finish."""
        self.roster.stop_intake()
        self.dispatcher.claiming = False
        self.dispatcher.give_back()
        while patiently and not self.dispatcher.idle():
            self.step()
            if not (self.hands.serve() or self.lanes.advance(0)):
                break
        if not self.dispatcher.idle():
            self.dispatcher.abort()
        self.roster.close(float("inf"))
        self.lanes.kill()
        self.journal.close(clean=True)
        self.running = False

    @contextlib.contextmanager
    def on(self, kernel: Kernel) -> Iterator[None]:
        """Run a block on a kernel that may end it at any call."""
        with pytest.MonkeyPatch.context() as patch:
            kernel.install(patch)
            self._mortal.kernel = kernel if kernel.kills else None  # what fails there is a StateError, not an OSError
            try:
                yield
            finally:
                self._mortal.kernel = None

    def die(self, *, spared: Collection[int] = ()) -> None:
        """End as by kill -9: the kernel closes what was open, and nothing else happens."""
        for station in self.roster._stations.values():
            cast(_Feet, station.walker).let_go()
        self.lanes.kill()
        self._mortal.close()
        prefix = os.fsencode(self.root)
        for name in os.listdir("/proc/self/fd"):
            with contextlib.suppress(OSError):
                if os.readlink(os.fsencode(f"/proc/self/fd/{name}")).startswith(prefix) and int(name) not in spared:
                    os.close(int(name))
        self.running = False

    def close(self) -> None:
        """Undo what was patched."""
        self._patch.undo()

    def with_policy(self, policy: Any) -> Folder:
        """Give the folder with another policy."""
        return replace(self.folder, policy=policy)
