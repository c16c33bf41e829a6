"""Where committers' events wait for the main loop."""

from __future__ import annotations

from contextlib import suppress
from queue import Empty, SimpleQueue

from bgrd.engine.events import Event

__all__ = ["Mailbox"]


class Mailbox:
    """Events in the order they were posted; `post` is for any thread, the rest for the main loop's."""

    def __init__(self) -> None:
        self._events: SimpleQueue[Event] = SimpleQueue()

    def post(self, event: Event) -> None:
        """Add an event."""
        self._events.put(event)

    def take(self) -> list[Event]:
        """Give all that are there, and forget them."""
        events = []
        with suppress(Empty):
            while True:
                events.append(self._events.get_nowait())
        return events

    def forget(self, folder: str) -> None:
        """Drop those of a folder that is served no more."""
        for event in self.take():
            if event.folder != folder:
                self._events.put(event)
