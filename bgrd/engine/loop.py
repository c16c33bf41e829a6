"""What the main loop waits on: lane sockets, and a wake-up that any thread or signal may ring."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import threading
import time

__all__ = ["Loop"]

_LONGEST_SECONDS = 86_400.0
"""One wait at most: epoll takes no more than 24 days, and what never comes due is an infinite second."""


class Loop:
    """A selector with a bell. `wake` may be called from any thread; signals ring it by `listen`."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._selector.register(self._bell, selectors.EVENT_READ)
        # An eventfd takes eight bytes at a time and a signal writes one: signals ring through a pipe.
        self._signal_end, self._signal_start = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._selector.register(self._signal_end, selectors.EVENT_READ)
        self._guard = threading.Lock()
        self._rung = False
        self._previous: int | None = None

    def listen(self) -> None:
        """Have every signal with a Python handler end `wait` (main thread only)."""
        self._previous = signal.set_wakeup_fd(self._signal_start, warn_on_full_buffer=False)

    def watch(self, fileno: int) -> None:
        """Wait for this descriptor too."""
        self._selector.register(fileno, selectors.EVENT_READ)

    def unwatch(self, fileno: int) -> None:
        """Wait for it no more; call before it is closed."""
        self._selector.unregister(fileno)

    def wake(self) -> None:
        """End the present or next `wait`; without effect once closed, which a thread left behind cannot know."""
        with self._guard:
            if self._bell >= 0 and not self._rung:
                self._rung = True
                os.eventfd_write(self._bell, 1)

    def wait(self, until: float | None) -> list[int]:
        """Wait for descriptors, the bell, or the monotonic second `until`; gives the readable descriptors."""
        timeout = None if until is None else min(max(0.0, until - time.monotonic()), _LONGEST_SECONDS)
        readable = []
        for key, _mask in self._selector.select(timeout):
            if key.fd == self._bell:
                with self._guard, contextlib.suppress(BlockingIOError):
                    self._rung = False
                    os.eventfd_read(self._bell)
            elif key.fd == self._signal_end:
                with contextlib.suppress(BlockingIOError):
                    os.read(key.fd, 4096)
            else:
                readable.append(key.fd)
        return readable

    def close(self) -> None:
        """Give the descriptors back."""
        if self._previous is not None:
            signal.set_wakeup_fd(self._previous)
        self._selector.close()
        with self._guard:
            bell, self._bell = self._bell, -1
        for descriptor in (self._signal_end, self._signal_start, bell):
            os.close(descriptor)
