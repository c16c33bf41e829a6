"""Keeps a folder's watch alive: arms it, notices when it is deaf, tries again with growing pauses, says so."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from bgrd.intake.limit import WatchLimitFault
from bgrd.intake.pace import Backoff
from bgrd.intake.watch import Watch

if TYPE_CHECKING:
    from bgrd.intake.protocol import Events

__all__ = ["Ears", "Watching"]

_LIMIT_SECONDS = 600.0
_STEADY_SECONDS = 60.0


class Watching(Protocol):
    """What a watch can do; `bgrd.intake.watch.Watch` is the real one."""

    @property
    def limit(self) -> str | None:
        """Name the sysctl whose limit was met."""

    def start(self) -> None:
        """Listen."""

    def stop(self) -> None:
        """Stop listening."""

    def health(self) -> str | None:
        """Give the reason why it is deaf."""


class Ears:
    """One folder's watch through all its lives; used on the folder's thread only.

    `mode` and `reason` say how changes are found now; `heard` whether they are heard of at once.
    Emits `watch.mode`, `watch.limit`, `watch.lost` and `watch.restored`.
    """

    def __init__(
        self,
        inbox: Path,
        *,
        recursive: bool,
        excluded: Callable[[], frozenset[bytes]],
        events: Events,
        on_dirty: Callable[[bytes], None],
        on_doubt: Callable[[str], None],
        looked: Callable[[], object] = lambda: None,
        make: Callable[..., Watching] = Watch,
    ) -> None:
        self.mode: Literal["inotify", "poll"] = "poll"
        self.reason = ""
        self._make: Callable[[], Watching] = lambda: make(
            inbox, recursive=recursive, excluded=excluded(), on_dirty=on_dirty, on_doubt=on_doubt, looked=looked
        )
        self._events = events
        self._watch: Watching | None = None
        self._decided: tuple[str, str] | None = None
        self._lost = False
        self._limited = False
        self._armed_at = 0.0
        self._retry_at = math.inf
        self._backoff = Backoff(first=1.0, longest=60.0)

    @property
    def heard(self) -> bool:
        """Say whether a watch is armed."""
        return self._watch is not None

    def open(self, mode: Literal["inotify", "poll"], reason: str, *, now: float) -> None:
        """Watch in the way that was decided, and say why; what is decided already goes on."""
        if (mode, reason) == self._decided:
            return
        self.close()
        self._decided = (mode, reason)
        if mode == "poll":
            self._become("poll", reason)
        else:
            self._arm(now)

    def close(self) -> None:
        """Stop watching."""
        self._decided = None
        self._lost = False
        self._retry_at = math.inf
        self._drop()  # last: should it fail, the next `open` arms a watch all the same

    def tick(self, now: float) -> str | None:
        """Look after the watch; a reason means that events may have been missed and a walk is needed."""
        if self._watch is None:
            return self._arm(now) if now >= self._retry_at else None
        if self._watch.limit is not None:
            self._fall_back(WatchLimitFault(self._watch.limit), now)
            return "a directory could not be watched"
        deaf = self._watch.health()
        if deaf is None:
            return None
        if now - self._armed_at >= _STEADY_SECONDS:
            self._backoff.reset()
        self._lose(deaf, now)
        return deaf

    def _arm(self, now: float) -> str | None:
        watch = self._make()
        try:
            watch.start()
        except WatchLimitFault as fault:
            self._fall_back(fault, now)
            return None
        except OSError as error:
            self._lose(error.strerror or str(error), now)
            return None
        self._watch, self._armed_at, self._retry_at = watch, now, math.inf
        restored, self._lost, self._limited = self._lost or self._limited, False, False
        self._become("inotify", self._decided[1] if self._decided else "")
        if not restored:
            return None
        self._events("watch.restored")
        return "the watch was restored"

    def _lose(self, reason: str, now: float) -> None:
        self._drop()
        self._retry_at = now + self._backoff.pause()
        if not self._lost:
            self._events("watch.lost", reason=reason)
        self._lost = True
        self._become("poll", f"the watch was lost: {reason}")

    def _fall_back(self, fault: WatchLimitFault, now: float) -> None:
        self._drop()
        self._retry_at = now + _LIMIT_SECONDS
        if not self._limited:
            self._events("watch.limit", sysctl=fault.sysctl, reason=str(fault))
        self._limited = True
        self._become("poll", str(fault))

    def _drop(self) -> None:
        watch, self._watch = self._watch, None
        if watch is not None:
            watch.stop()

    def _become(self, mode: Literal["inotify", "poll"], reason: str) -> None:
        if (mode, reason) != (self.mode, self.reason):
            self.mode, self.reason = mode, reason
            self._events("watch.mode", mode=mode, reason=reason)
