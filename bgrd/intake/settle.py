"""When a file has come to rest: pure bookkeeping over what looks at it found; no clock, no I/O.

A file is *ripe* once two looks at it, a quiet time apart, found the same facts and nobody writes. The
quiet time depends on what can be known: see `quiet_seconds`. Whoever owns a `Settling` looks at the paths
it names as `due`, reports each look with `observe` (or `forget`, where the file is gone), and takes what
is `ripe`.
"""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass
from itertools import count, islice
from typing import Literal

from bgrd.job import Version

__all__ = ["Facts", "Lease", "Settling", "quiet_seconds"]

Lease = Literal["free", "writing", "unknown"]

FREE_SECONDS = 0.3
LOCAL_SECONDS = 3.0
NETWORK_SECONDS = 10.0
WRITING_PAUSES_SECONDS = (0.25, 5.0)
"""First and longest pause between two looks at a file that is open for writing: its close may go unheard
(a writer that came through a hard link elsewhere), so it is asked again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What one look at a file found; equal `stamp`s mean that nothing changed in between.

    `marked`: the format has an end marker that is checked later. `network`: it lies on a network mount.
    """

    dev: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int
    regular: bool
    lease: Lease
    marked: bool = False
    network: bool = False

    @property
    def stamp(self) -> tuple[int, int, int, int, int]:
        """What has to stay the same over the quiet time."""
        return self.dev, self.inode, self.size, self.mtime_ns, self.ctime_ns

    @property
    def version(self) -> Version:
        """These facts as the journal knows a file."""
        return Version(size=self.size, mtime_ns=self.mtime_ns, ctime_ns=self.ctime_ns, inode=self.inode)


def quiet_seconds(facts: Facts, *, setting: float | None) -> float:
    """Give how long a file has to stay as it is: the folder's setting, else by what the lease can tell."""
    if setting is not None:
        return setting
    if facts.lease == "free":
        return 0.0 if facts.marked else FREE_SECONDS
    # Sizes prove nothing where the lease is silent: Windows sets the full size before it copies.
    return NETWORK_SECONDS if facts.network else LOCAL_SECONDS


@dataclass(slots=True)
class _Entry:
    facts: Facts
    since: float
    look_at: float
    pause: float
    turn: int


class Settling:
    """The files that have been seen but are not yet at rest; at most `limit` of them.

    `setting` is the folder's quiet time in seconds, None for the rule by lease. `look_seconds` is the longest
    pause between two looks, so that a change is noticed before a long quiet time is over.
    """

    def __init__(
        self,
        *,
        setting: float | None = None,
        look_seconds: float = math.inf,
        limit: int = 5000,
    ) -> None:
        self._setting = setting
        self._look_seconds = look_seconds
        self._limit = limit
        self._quiet: dict[bytes, _Entry] = {}
        self._writing: dict[bytes, _Entry] = {}
        self._ripe: dict[bytes, Version] = {}
        self._looks: list[tuple[float, int, bytes]] = []
        self._turns = count()

    def __len__(self) -> int:
        """Count the files that may become ripe by waiting alone: not those being written."""
        return len(self._quiet) + len(self._ripe)

    def __contains__(self, path: object) -> bool:
        return path in self._quiet or path in self._writing or path in self._ripe

    def observe(self, path: bytes, facts: Facts, now: float) -> bool:
        """Take in one look at a file; False means there was no room and the file has to be found again.

        What is not a regular file is forgotten. Looks at a path may come at any time and in any number.
        """
        if not facts.regular:
            self.forget(path)
            return True
        before = self._take(path)
        if before is None and not self._make_room():
            return False
        if facts.lease == "writing":
            self._watch_writer(path, facts, now, before=before)
        else:
            self._watch_rest(path, facts, now, before=before)
        return True

    def due(self, now: float) -> list[bytes]:
        """Give the paths that need another look now; each is named once, until its look is reported."""
        found = []
        while self._looks and self._looks[0][0] <= now:
            _, turn, path = heapq.heappop(self._looks)
            entry = self._entry(path)
            if entry is not None and entry.turn == turn:
                found.append(path)
        return found

    def ripe(self, now: float) -> list[tuple[bytes, Version]]:
        """Hand over, once, every file that a look found at rest at or before `now`."""
        del now  # ripeness is decided by looks; an answer must not depend on when it is fetched
        ripe = list(self._ripe.items())
        self._ripe.clear()
        return ripe

    def forget(self, path: bytes) -> None:
        """Drop a file: it is gone, or no longer of interest."""
        self._take(path)
        self._ripe.pop(path, None)

    def clear(self) -> None:
        """Drop everything."""
        for held in (self._quiet, self._writing, self._ripe, self._looks):
            held.clear()

    def next_at(self) -> float | None:
        """Give the time of the next due look; None when nothing settles."""
        while self._looks:
            at, turn, path = self._looks[0]
            entry = self._entry(path)
            if entry is not None and entry.turn == turn:
                return at
            heapq.heappop(self._looks)
        return None

    def writing(self, limit: int = 100) -> list[bytes]:
        """Name files that are still being written, those known longest first."""
        return list(islice(self._writing, limit))

    def _entry(self, path: bytes) -> _Entry | None:
        return self._quiet.get(path) or self._writing.get(path)

    def _take(self, path: bytes) -> _Entry | None:
        return self._quiet.pop(path, None) or self._writing.pop(path, None)

    def _make_room(self) -> bool:
        if len(self) + len(self._writing) < self._limit:
            return True
        if not self._writing:
            return False
        # A file that stays open for hours must not keep others out: a walk finds it again.
        del self._writing[next(iter(self._writing))]
        return True

    def _watch_writer(self, path: bytes, facts: Facts, now: float, *, before: _Entry | None) -> None:
        self._ripe.pop(path, None)
        first, longest = WRITING_PAUSES_SECONDS
        same = before is not None and before.facts.lease == "writing" and before.facts.stamp == facts.stamp
        pause = min(before.pause * 2, longest) if same and before is not None else first
        self._writing[path] = self._schedule(path, _Entry(facts, now, now + pause, pause, 0))

    def _watch_rest(self, path: bytes, facts: Facts, now: float, *, before: _Entry | None) -> None:
        at_rest = before is not None and before.facts.lease != "writing" and before.facts.stamp == facts.stamp
        since = before.since if at_rest and before is not None else now
        ripe_at = since + quiet_seconds(facts, setting=self._setting)
        if now >= ripe_at:
            self._ripe[path] = facts.version
            return
        self._ripe.pop(path, None)
        self._quiet[path] = self._schedule(path, _Entry(facts, since, min(ripe_at, now + self._look_seconds), 0.0, 0))

    def _schedule(self, path: bytes, entry: _Entry) -> _Entry:
        entry.turn = next(self._turns)
        heapq.heappush(self._looks, (entry.look_at, entry.turn, path))
        if len(self._looks) > 2 * self._limit + 64:
            self._looks = [look for look in self._looks if self._is_current(look, entry.turn)]
            heapq.heapify(self._looks)
        return entry

    def _is_current(self, look: tuple[float, int, bytes], newest: int) -> bool:
        _, turn, path = look
        entry = self._entry(path)
        return turn == newest or (entry is not None and entry.turn == turn)
