"""Who waits for a model and whom it works for, in memory that outlives the process that writes it.

The process that runs a model writes it, the parent reads it: when that process has died or hangs, the parent knows for
whom it worked, without a message for each run. No lane ever sees it.
"""

from __future__ import annotations

import fcntl
import mmap
import os
from typing import Literal

__all__ = ["ROWS", "Slate", "State"]

ROWS = 1024
"""Lanes that can be on it at once; there are at most 64, and for a moment those they replace."""

State = Literal["away", "waiting", "running"]

_STATES: tuple[State, ...] = ("away", "waiting", "running")
_WORD_BYTES = 8
_BYTES = (1 + 2 * ROWS) * _WORD_BYTES
_RUN, _FIRST = 0, 1
_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL


class Slate:
    """Words of 64 bits: which run is under way (0: none), then for each lane its number and state."""

    def __init__(self, descriptor: int) -> None:
        self._mapped = mmap.mmap(descriptor, _BYTES)
        self._words = memoryview(self._mapped).cast("Q")

    @classmethod
    def made(cls) -> tuple[Slate, int]:
        """Make an empty one; gives its descriptor too, which is the caller's. Raises OSError."""
        descriptor = os.memfd_create("slate", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            os.ftruncate(descriptor, _BYTES)
            fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, _SEALS)
            return cls(descriptor), descriptor
        except BaseException:
            os.close(descriptor)
            raise

    @property
    def run(self) -> int:
        """The number of the run that is under way, 0 for none."""
        return self._words[_RUN]

    def begin(self, run: int) -> None:
        """Note that a run begins; those it is for are noted before."""
        self._words[_RUN] = run

    def end(self) -> None:
        """Note that no run is under way."""
        self._words[_RUN] = 0

    def put(self, number: int, state: State) -> bool:
        """Note what a lane does; False where there is no room for one more. Numbers begin at 1."""
        place = self._place(number)
        if place is None:
            place = self._place(0)
            if place is None:
                return False
            self._words[place] = number
        self._words[place + 1] = _STATES.index(state)
        return True

    def strike(self, number: int) -> None:
        """Forget a lane."""
        if (place := self._place(number)) is not None:
            self._words[place + 1] = 0
            self._words[place] = 0

    def state(self, number: int) -> State:
        """Say what a lane does."""
        place = self._place(number)
        return "away" if place is None else _STATES[min(self._words[place + 1], 2)]

    def running(self) -> list[int]:
        """Give the lanes that the run under way is for."""
        return [
            self._words[place]
            for place in range(_FIRST, len(self._words), 2)
            if self._words[place] and _STATES[min(self._words[place + 1], 2)] == "running"
        ]

    def close(self) -> None:
        """Give this end's memory back; it cannot be read any more."""
        self._words.release()
        self._mapped.close()

    def _place(self, number: int) -> int | None:
        places = range(_FIRST, len(self._words), 2)
        return next((place for place in places if self._words[place] == number), None)
