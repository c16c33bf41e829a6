"""The thread that finds a folder's files: guard, watch, walks and the one door, round after round.

A round does all that is due, in small portions: fresh events first, then files that settle, then a step of the walk
that is under way. Between rounds the thread sleeps until the next thing is due or somebody has news. A system call
on a dead share may hold it for ever; `beat` then stands still.
"""

from __future__ import annotations

import math
import os
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, Literal

from bgrd.errors import FolderUnavailable, JournalError, StateError
from bgrd.intake.admission import Admission
from bgrd.intake.attended import attended
from bgrd.intake.ears import Ears, Watching
from bgrd.intake.guard import MountGuard, identify, mount_at
from bgrd.intake.mounts import ground, read_mounts, watching
from bgrd.intake.pace import Backoff
from bgrd.intake.protocol import Events, IntakeJournal
from bgrd.intake.rounds import Rounds
from bgrd.intake.scan import excluded_of
from bgrd.intake.watch import Watch
from bgrd.kernel import seconds_slept
from bgrd.question import begin

if TYPE_CHECKING:
    from pathlib import Path

    from bgrd.job import Folder

__all__ = ["Events", "IntakeJournal", "Walker", "WalkerState"]

WalkerState = Literal["starting", "ready", "unavailable", "stalled", "stopped"]

TICK_SECONDS = 3.0
"""How often a quiet folder's watch and mounts are looked after."""
DIRTY_LIMIT = 10_000
"""How many paths may wait to be looked at; beyond that a walk finds them."""
_PORTION = 250
_STALL_SECONDS = 20.0
_TRIED = "tried"


class Walker:
    """One folder's intake, from `start` to `stop`; may be called from any thread.

    `beat` is when its loop last came round or got on with its files, on `clock`, and `busy_since` the same while a
    round is under way and waits for no journal: a folder whose share is dead shows itself there. `state` and `reason`,
    `mode` and `mode_reason`, `writing` (files still being written, the first of them) and `settled` (all that was there
    is admitted) say how things stand. `armed` is set once the folder is watched or found wanting, `first_walk_done`
    after the first walk. What halts it is told once: `intake.broken` where nobody foresaw it, then `intake.resumed`.
    """

    def __init__(
        self,
        folder: Folder,
        journal: IntakeJournal,
        *,
        events: Events,
        clock: Callable[[], float] = time.monotonic,
        make_watch: Callable[..., Watching] = Watch,
        identify: Callable[[Path], str | None] = identify,
        slept: Callable[[], float] = seconds_slept,
    ) -> None:
        self.folder = folder
        self._journal = journal = attended(journal, begun=self._wait, ended=self._is_stopping)
        self.beat = clock()
        self.busy_since: float | None = None
        self.state: WalkerState = "starting"
        self.reason = ""
        self.writing: tuple[bytes, ...] = ()
        self.settled = False
        self.armed = threading.Event()
        self._events = events
        self._clock = clock
        self._guard = MountGuard(folder, journal, identify=identify)
        self._admission = Admission(folder, journal, events=events, clock=clock, stopping=self._is_stopping)
        self._rounds = Rounds(
            folder,
            journal,
            events=events,
            admission=self._admission,
            intact=lambda: not self._guard.moved(),
            on_walk=self._decide,
            clock=clock,
        )
        self._ears = Ears(
            folder.inbox,
            recursive=folder.recursive,
            excluded=lambda: self._admission.excluded,
            events=events,
            on_dirty=self.dirty,
            on_doubt=self.doubt,
            looked=self._is_stopping,
            make=make_watch,
        )
        self._condition = threading.Condition()  # over the next three, which other threads touch
        self._dirty: dict[bytes, None] = {}
        self._doubt: str | None = None
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name=f"walker {folder.name}", daemon=True)
        self._backoff = Backoff(first=1.0, longest=60.0)
        self._trouble: tuple[WalkerState, str] | None = None  # what was told and is not over
        self._away = False  # told to be unavailable, whatever else came to that
        self._tick_at = -math.inf
        self._slept = slept
        self._slept_before = self._slept()

    @property
    def first_walk_done(self) -> threading.Event:
        """Set once the inbox has been walked from end to end."""
        return self._rounds.first_walk_done

    @property
    def mode(self) -> str:
        """How changes are found now: "inotify" or "poll"."""
        return self._ears.mode

    @property
    def mode_reason(self) -> str:
        """Why they are found that way."""
        return self._ears.reason

    def start(self) -> None:
        """Begin, on a thread of its own. Raises OSError where none can be started."""
        begin(self._thread)

    def stop(self, seconds: float = 5.0) -> bool:
        """End soon; wait at most that long (0: not at all) and say whether it has ended."""
        with self._condition:
            self._stopping = True
            self._condition.notify_all()
        if seconds > 0 and self._thread.ident is not None:
            self._thread.join(seconds)
        return not self._thread.is_alive()

    @property
    def well(self) -> bool:
        """Say whether nothing was found wrong with the folder."""
        return self.state in {"starting", "ready"}

    @property
    def native_id(self) -> int:
        """The thread's id as the kernel knows it, 0 before it runs."""
        return self._thread.native_id or 0

    def dirty(self, path: bytes) -> None:
        """Have a path below the inbox looked at, soon. Takes the same time however many wait."""
        with self._condition:
            if len(self._dirty) < DIRTY_LIMIT:
                self._dirty[path] = None
            else:
                self._doubt = "more happened at once than can be noted"
            self._condition.notify()

    def doubt(self, reason: str) -> None:
        """Have watch and mounts looked after at once, and the whole inbox walked, soon."""
        with self._condition:
            self._doubt = reason
            self._condition.notify()

    # The thread's own

    def _run(self) -> None:
        try:
            while not self._stopping:
                self._sleep_until(self.round())
        finally:
            self._ears.close()
            self._rounds.close()
            self.state = "stopped"

    def _is_stopping(self) -> bool:
        """Say whether to end a long round early; asked at each file and directory, so that it is known to answer.

        A walk that had to wait long for an answer says nothing of how long one takes: another is wanted.
        """
        now = self._clock()
        if now - self.beat >= _STALL_SECONDS:
            self._rounds.ask()
        self.beat = self.busy_since = now
        return self._stopping

    def _wait(self) -> None:
        """Count as resting while the journal is asked: a slow disk there is no silence of the folder's."""
        self.busy_since = None

    def _sleep_until(self, wake_at: float) -> None:
        with self._condition:
            wait = wake_at - self._clock()
            if wait > 0 and not (self._stopping or self._dirty or self._doubt):
                self._condition.wait(wait)

    def round(self) -> float:
        """Do all that is due now and give when the next round is; the thread's own, or a test's in its stead."""
        self.beat = self.busy_since = now = self._clock()
        dirty, doubt = self._take_news()
        try:
            if self.state == "ready" or doubt is not None or now >= self._tick_at:
                self._work(dirty, doubt, now)
        except FolderUnavailable as fault:
            self._halt("unavailable", str(fault), now)
        except (StateError, OSError) as error:
            self._halt("stalled", str(error), now)
            if isinstance(error, JournalError):
                self._events("journal.damaged", error=error)
        except Exception as error:  # noqa: BLE001 - a thread that ends leaves a folder that is deaf without a word
            self._halt("stalled", f"{type(error).__name__}: {error}", now, trace=traceback.format_exc())
        self.armed.set()
        self._is_stopping()
        self.busy_since = None
        return self._next_at()

    def _take_news(self) -> tuple[list[bytes], str | None]:
        with self._condition:
            dirty = list(islice(self._dirty, _PORTION))
            for path in dirty:
                del self._dirty[path]
            if self.state != "ready":
                self._dirty.clear()  # the walk that follows finds them
            doubt, self._doubt = self._doubt, None
        return dirty, doubt

    def _work(self, dirty: list[bytes], doubt: str | None, now: float) -> None:
        if self.state != "ready":
            self._begin(now)
        elif doubt is not None or now >= self._tick_at:
            self._tick(now, doubt)
        admitted = self._rounds.turn(dirty, now=now, heard=self._ears.heard)
        self.writing = tuple(self._admission.settling.writing())
        self.settled = self._rounds.settled and not (self.writing or self._dirty or self._doubt)
        if self._trouble is not None and (admitted or self._rounds.settled):
            self._trouble = None
            self._events("intake.resumed")

    def _begin(self, now: float) -> None:
        self._guard.check()
        if self._trouble is not None:
            # A full disk answers every question and fails the first write.
            self._journal.set_flag(self.folder.name, _TRIED)
        # Asked here and not when a walker is made: on a dead share it may never be answered.
        self._admission.excluded = excluded_of(self.folder)
        self._tick_at = now + TICK_SECONDS
        self.state, self.reason = "ready", ""
        self._decide()
        if self._trouble is not None and self._trouble[0] == "unavailable":
            self._trouble = None
        if self._away:
            self._away = False
            self._events("folder.available")

    def _decide(self) -> None:
        """Find out what the inbox lies on now, nested mounts included, and watch it accordingly."""
        mounts, mount = read_mounts(), mount_at(self.folder.inbox)
        real = os.path.realpath(os.fsencode(self.folder.inbox))
        self._admission.ground = ground(real, mounts, mount=mount)
        mode, reason = watching(real, self.folder.watch, mounts, mount=mount)
        self._ears.open(mode, reason, now=self._clock())

    def _tick(self, now: float, doubt: str | None) -> None:
        self._tick_at = now + TICK_SECONDS
        if self._guard.moved():
            self._guard.check()
            self._events("folder.moved")
        if self._trouble is None:
            self._backoff.reset()
        deaf = self._ears.tick(now)
        if (deaf is not None or doubt is not None or self._woke()) and self._rounds.ask() and doubt is not None:
            self._events("intake.doubt", reason=doubt)

    def _woke(self) -> bool:
        """Say whether the machine has slept since the last call: much may have happened that nobody heard of."""
        before, self._slept_before = self._slept_before, self._slept()
        return self._slept_before - before > 1.0

    def _halt(self, state: Literal["unavailable", "stalled"], reason: str, now: float, *, trace: str = "") -> None:
        """Let go of everything and try again after a pause; the walk that follows finds what was missed."""
        for let_go in (self._ears.close, self._rounds.abort):
            with suppress(Exception):  # what broke once may break here
                let_go()
        self.writing, self.settled = (), False
        self._tick_at = now + self._backoff.pause()
        if (state, reason) != self._trouble:
            self._trouble = (state, reason)
            name = "intake.broken" if trace else "folder.unavailable" if state == "unavailable" else "intake.stalled"
            self._events(name, reason=reason, **({"trace": trace} if trace else {}))
        self._away = self._away or state == "unavailable"
        self.state, self.reason = state, reason

    def _next_at(self) -> float:
        tick_at = self._tick_at
        return tick_at if self.state != "ready" else min(tick_at, self._rounds.next_at(heard=self._ears.heard))
