"""When to walk and when to try again: pure arithmetic on seconds."""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = ["Backoff", "Pace", "walk_pause"]

_LONGEST_POLL_SECONDS = 600.0
_LONGEST_ASKED_SECONDS = 30.0


@dataclass(slots=True, kw_only=True)
class Backoff:
    """Pauses in seconds that double from `first` up to `longest`."""

    first: float
    longest: float
    _next: float = 0.0

    def pause(self) -> float:
        """Give the next pause."""
        pause = self._next or self.first
        self._next = min(pause * 2, self.longest)
        return pause

    def reset(self) -> None:
        """Begin with the first one again."""
        self._next = 0.0


def walk_pause(
    *,
    heard: bool,
    rescan_seconds: float,
    poll_seconds: float,
    processor_seconds: float,
    wall_seconds: float,
) -> float:
    """Give how long to wait after a walk that took this long until the next one.

    While changes are `heard`, a thousand times the processor time keeps walks at a thousandth of a core. Where
    walking is all there is, a twentieth of the time goes into it, but a big share is looked at every ten minutes.
    """
    if heard:
        return max(rescan_seconds, 1000 * processor_seconds)
    return max(poll_seconds, min(20 * wall_seconds, _LONGEST_POLL_SECONDS))


class Pace:
    """When one folder is walked next: at once to begin with, then by `walk_pause`, or sooner when asked.

    Somebody who asks all the time (a flood of lost events) is not given all the time: a walk that was asked for
    waits twice as long as the last one took, half a minute at most.
    """

    def __init__(self, *, rescan_seconds: float, poll_seconds: float) -> None:
        self._rescan_seconds = rescan_seconds
        self._poll_seconds = poll_seconds
        self._walking = False
        self._asked = True
        self._ended_at = -math.inf
        self._processor_seconds = 0.0
        self._wall_seconds = 0.0

    def ask(self) -> None:
        """Want a walk that begins after now."""
        self._asked = True

    @property
    def asked(self) -> bool:
        """Say whether a walk is wanted that has not begun."""
        return self._asked

    def begin(self) -> None:
        """Note that a walk begins."""
        self._walking, self._asked = True, False

    def end(self, now: float, *, processor_seconds: float, wall_seconds: float) -> None:
        """Note that the walk is over and what it took."""
        self._walking, self._ended_at = False, now
        self._processor_seconds, self._wall_seconds = processor_seconds, wall_seconds

    def abort(self) -> None:
        """Note that the walk was broken off: it is wanted again, at once."""
        self._walking, self._asked, self._ended_at = False, True, -math.inf

    def due_at(self, *, heard: bool) -> float:
        """Give when the next walk is due; never while one is under way."""
        if self._walking:
            return math.inf
        pause = walk_pause(
            heard=heard,
            rescan_seconds=self._rescan_seconds,
            poll_seconds=self._poll_seconds,
            processor_seconds=self._processor_seconds,
            wall_seconds=self._wall_seconds,
        )
        asked = min(2 * self._wall_seconds, _LONGEST_ASKED_SECONDS) if self._asked else math.inf
        return self._ended_at + min(pause, asked)
