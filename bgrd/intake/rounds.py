"""What one round of a walker does to files: fresh paths, then those that settle, then a step of the walks."""

from __future__ import annotations

import math
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING

from bgrd.errors import FolderUnavailable
from bgrd.intake.pace import Pace
from bgrd.intake.scan import Walk
from bgrd.intake.survey import Survey

if TYPE_CHECKING:
    from bgrd.intake.admission import Admission
    from bgrd.intake.protocol import Events, IntakeJournal
    from bgrd.job import Folder

__all__ = ["Rounds"]

_STEP_FILES = 1000
"""Files a walk visits before fresh events get their turn."""
_BRANCHES = 1000
_WALKED = "walked"


class Rounds:
    """One folder's walks and what settles, advanced by `turn`; used on the folder's thread only.

    `intact` says whether the inbox is still the directory that was checked, `on_walk` is called before a walk of
    the whole. Raises what its parts raise:
    FolderUnavailable and StateError. Emits `intake.skipped` when a walk passed over other files than the last, and
    `intake.gone` when it missed some that were there.
    """

    def __init__(
        self,
        folder: Folder,
        journal: IntakeJournal,
        *,
        events: Events,
        admission: Admission,
        intact: Callable[[], bool],
        on_walk: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
        wall_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self.first_walk_done = threading.Event()
        self._folder = folder
        self._journal = journal
        self._events = events
        self._admission = admission
        self._intact = intact
        self._on_walk = on_walk
        self._clock = clock
        self._started_ns = wall_ns()
        self._pace = Pace(rescan_seconds=folder.rescan_seconds, poll_seconds=folder.poll_seconds)
        self._survey: Survey | None = None
        self._branches: dict[bytes, Walk | None] = {}
        self._skipped: dict[str, int] = {}

    @property
    def settled(self) -> bool:
        """Say whether all that was found is admitted and no walk is under way or wanted."""
        walking = self._survey is not None or bool(self._branches) or self._pace.asked
        return self.first_walk_done.is_set() and not walking and not len(self._admission.settling)

    def ask(self) -> bool:
        """Want a whole walk; True where none was wanted before."""
        asked = self._pace.asked
        self._pace.ask()
        return not asked

    def close(self) -> None:
        """Let go of every directory."""
        walks = (self._survey, *self._branches.values())
        self._survey = None
        self._branches.clear()
        for walk in walks:
            if walk is not None:
                walk.close()

    def abort(self) -> None:
        """Forget what is under way; the whole inbox is walked once there are rounds again."""
        self._pace.abort()
        self._admission.clear()
        self.close()

    def turn(self, dirty: list[bytes], *, now: float, heard: bool) -> int:
        """Do one round and give how many jobs it made. `heard` says that changes are heard of: walks may be rare."""
        self._add_branches(self._admission.note(dirty))
        self._admission.look_due()
        self._begin_survey(now, heard=heard)
        if not self._admission.crowded:
            self._step_branch()
            self._step_survey()
        admitted = self._admission.hand_over()
        if self._admission.missed and not self._admission.crowded:
            self._admission.missed = False
            self.ask()
        return admitted

    def next_at(self, *, heard: bool) -> float:
        """Give when the next turn is due; the past means at once."""
        if (self._branches or self._survey is not None) and not self._admission.crowded:
            return -math.inf
        look_at = self._admission.settling.next_at()
        return min(self._pace.due_at(heard=heard), math.inf if look_at is None else look_at)

    def _add_branches(self, directories: list[bytes]) -> None:
        for directory in directories:
            self._branches.setdefault(directory, None)
        if len(self._branches) > _BRANCHES:
            self._branches = {directory: walk for directory, walk in self._branches.items() if walk is not None}
            self.ask()

    def _step_branch(self) -> None:
        """Go on with the walk of a directory that was moved in or made: one at a time."""
        if not self._branches:
            return
        directory, walk = next(iter(self._branches.items()))
        if walk is None:
            walk = self._branches[directory] = self._walk(directory)
        try:
            batch = next(walk, None)
        except FolderUnavailable:
            batch = None  # the directory is gone again; an inbox that is gone shows itself otherwise
        if batch is None:
            del self._branches[directory]
        else:
            self._admission.take(batch, skipped=Counter())

    def _begin_survey(self, now: float, *, heard: bool) -> None:
        if self._survey is not None or now < self._pace.due_at(heard=heard):
            return
        self._on_walk()
        unwanted = self._folder.backlog == "ignore" and not self._journal.flag(self._folder.name, _WALKED)
        self._pace.begin()
        self._survey = Survey(
            self._folder,
            self._journal,
            walk=self._walk(b""),
            admission=self._admission,
            intact=self._intact,
            dismiss_before_ns=self._started_ns if unwanted else 0,
            clock=self._clock,
        )

    def _walk(self, start: bytes) -> Walk:
        return Walk(
            self._folder.inbox,
            recursive=self._folder.recursive,
            excluded=self._admission.excluded,
            sync_conflicts=self._folder.sync_conflicts,
            start=start,
            batch_files=_STEP_FILES,
            looked=self._admission.stopping,
        )

    def _step_survey(self) -> None:
        survey = self._survey
        if survey is None or survey.step():
            return
        self._survey = None
        self._pace.end(self._clock(), processor_seconds=survey.processor_seconds, wall_seconds=survey.wall_seconds)
        if not self.first_walk_done.is_set():
            self._journal.set_flag(self._folder.name, _WALKED)
            self.first_walk_done.set()
        if survey.gone:
            self._events("intake.gone", count=survey.gone)
        if survey.skipped != self._skipped:
            self._skipped = survey.skipped
            self._events("intake.skipped", counts=self._skipped)
