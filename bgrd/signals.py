"""What signals ask for; the handlers only set flags."""

from __future__ import annotations

import signal
from types import FrameType

from bgrd.engine.loop import Loop
from bgrd.kernel import in_terminal

__all__ = ["Signals"]


class Signals:
    """`stops` counts the requests to stop, of which the second means at once; `reload` is a request to reload."""

    def __init__(self) -> None:
        self.stops = 0
        self.reload = False
        self._in_terminal = False

    def listen(self, loop: Loop) -> None:
        """Hear them from now on; each ends the loop's wait. Main thread only."""
        # Asked now: when a terminal is closed it controls us no more by the time its SIGHUP is here.
        self._in_terminal = in_terminal()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._heard)
        # A writer that breaks a lease must never end us, whatever signal the kernel chooses.
        signal.signal(signal.SIGIO, signal.SIG_IGN)
        loop.listen()

    def _heard(self, number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGHUP and not self._in_terminal:
            self.reload = True
        else:
            self.stops += 1
