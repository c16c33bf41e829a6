"""The one door in: whatever led to a path, event or walk, it is looked at, settles and is admitted here."""

from __future__ import annotations

import os
import stat
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from bgrd.intake.ignore import classify, ignored
from bgrd.intake.lease import facts, look, shows_picture
from bgrd.intake.mounts import Ground
from bgrd.intake.settle import Settling
from bgrd.job import version_of

if TYPE_CHECKING:
    from bgrd.intake.protocol import Arrival, Events, IntakeJournal
    from bgrd.job import Folder, Version
from bgrd.steps import passed

__all__ = ["Admission"]

WALK_ROOM = 1000
"""A walk hands over no more while this many files settle, which leaves room for what events bring."""
_OTHERS_REMEMBERED = 50_000


class Admission:
    """Looks at files of one folder, lets them settle and admits them to the journal.

    `excluded` are directories below the inbox; `ground` says which paths lie on a network, `stopping` that a long
    round is to end early. `missed` turns True when there was no room for a file: a walk has to find it again.
    Every method may raise StateError.
    """

    def __init__(
        self,
        folder: Folder,
        journal: IntakeJournal,
        *,
        events: Events,
        excluded: frozenset[bytes] = frozenset(),
        clock: Callable[[], float] = time.monotonic,
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        self.ground = Ground(mount=None, network=True)
        self.missed = False
        self.settling = Settling(setting=folder.settle_seconds, look_seconds=folder.poll_seconds)
        self._folder = folder
        self._inbox = os.fsencode(folder.inbox)
        self._journal = journal
        self._events = events
        self.excluded = excluded
        self._clock = clock
        self.stopping = stopping
        # Hashes of (path, version) that were opened and are no pictures: a walk must not open them each time.
        self._others: set[int] = set()

    @property
    def crowded(self) -> bool:
        """Say whether so many files settle that a walk has to pause."""
        return len(self.settling) >= WALK_ROOM

    def clear(self) -> None:
        """Forget all that settles; what is known to be no picture stays so."""
        self.settling.clear()
        self.missed = False

    def note(self, paths: Sequence[bytes]) -> list[bytes]:
        """Take in paths that events named; gives the directories among them, whose contents have to be walked."""
        arrivals, directories = [], []
        for path in paths:
            if self.stopping() or not self._is_ours(path):
                continue
            try:
                status = look(self._inbox, path)
            except OSError:
                self.settling.forget(path)  # gone again; anything worse shows itself in the next walk
                continue
            if stat.S_ISDIR(status.st_mode):
                directories.append(path)
            elif stat.S_ISREG(status.st_mode):
                arrivals.append((path, version_of(status)))
        # A copy that has just begun is empty: it is looked at, so that it shows as being written.
        empty = [path for path, version in arrivals if not version.size]
        self._look_at(empty)
        self.take(arrivals, skipped=Counter())
        return directories if self._folder.recursive else []

    def take(self, arrivals: Sequence[Arrival], *, skipped: Counter[str], dismiss_before_ns: int = 0) -> None:
        """Take in files that were found; `skipped` counts, by reason, those that are passed over.

        Files whose version the journal knows are not opened. Those that last changed before `dismiss_before_ns`
        (by ctime) are backlog nobody wants and are recorded as such.
        """
        wanted = [(path, version) for path, version in arrivals if not self._passes_over(path, version, skipped)]
        fresh = self._journal.unknown(self._folder.name, wanted) if wanted else []
        dismissed = [(path, version) for path, version in fresh if version.ctime_ns < dismiss_before_ns]
        if dismissed:
            self._journal.ignore(self._folder.name, dismissed)
            skipped["backlog"] += len(dismissed)
        self._look_at([path for path, version in fresh if version.ctime_ns >= dismiss_before_ns])

    def look_due(self) -> None:
        """Look again at the files whose time has come."""
        self._look_at(self.settling.due(self._clock()))

    def hand_over(self) -> int:
        """Admit every file that has come to rest and is a picture, and give how many jobs that made."""
        ripe = [
            (path, version) for path, version in self.settling.ripe(self._clock()) if self._is_picture(path, version)
        ]
        count = self._journal.admit(self._folder.name, ripe) if ripe else 0
        if count:
            passed("intake.admitted")
            self._events("intake.admitted", count=count)
        return count

    def _look_at(self, paths: Sequence[bytes]) -> None:
        for path in paths:
            if self.stopping():
                return
            self._look(path)

    def _look(self, path: bytes) -> None:
        found = facts(self._inbox, path, network=self.ground.is_network(path))
        useless = found is None or found.size > self._folder.max_bytes or (not found.size and found.lease != "writing")
        if found is None or useless:
            self.settling.forget(path)
        elif not self.settling.observe(path, found, self._clock()):
            self.missed = True

    def _is_ours(self, path: bytes) -> bool:
        if ignored(path, sync_conflicts=self._folder.sync_conflicts) or (not self._folder.recursive and b"/" in path):
            return False
        return not any(path == place or path.startswith(place + b"/") for place in self.excluded)

    def _passes_over(self, path: bytes, version: Version, skipped: Counter[str]) -> bool:
        reason = self._reason(path, version)
        if reason:
            skipped[reason] += 1
        return bool(reason)

    def _reason(self, path: bytes, version: Version) -> str:
        """Say why a file that was found is not even looked at."""
        if version.size == 0:
            return "empty"
        if version.size > self._folder.max_bytes:
            return "too large"
        kind = classify(path)
        no_picture = kind == "other" or (kind == "unknown" and hash((path, version)) in self._others)
        return "no picture" if no_picture else ""

    def _is_picture(self, path: bytes, version: Version) -> bool:
        self.stopping()  # among thousands that are opened it is a sign of life
        if classify(path) == "picture" or shows_picture(self._inbox, path):
            return True
        if len(self._others) >= _OTHERS_REMEMBERED:
            self._others.clear()
        self._others.add(hash((path, version)))
        return False
