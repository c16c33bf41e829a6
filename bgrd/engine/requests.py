"""A thread that serves requests one after the other: in the order they came, what a lane waits for first."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue

from bgrd.question import begin

__all__ = ["Requests"]

Request = Callable[[], object]


class Requests:
    """Requests and their thread. `put` and `stop` are for any thread.

    `busy_since` is the monotonic second at which the request under way began, or was last `renewed`; None when idle.
    `broken` is told, on that thread, what a request raises, which ends it; `served` is called after each that does
    not, `ended` at the end.
    """

    def __init__(
        self,
        name: str,
        *,
        broken: Callable[[Exception], object],
        served: Callable[[], object],
        ended: Callable[[], object],
    ) -> None:
        self.busy_since: float | None = None
        self._broken = broken
        self._served = served
        self._ended = ended
        self._urgent: deque[Request] = deque()
        self._others: deque[Request | None] = deque()
        self._arrived: SimpleQueue[None] = SimpleQueue()  # one for each request, in either row
        self._thread = threading.Thread(target=self.serve, name=name, daemon=True)

    def start(self) -> None:
        """Start the thread. Raises OSError where none can be."""
        begin(self._thread)

    @property
    def native_id(self) -> int:
        """The thread's id as the kernel knows it, 0 before it runs."""
        return self._thread.native_id or 0

    def put(self, request: Request, *, urgent: bool = False) -> None:
        """Have it served after those that came before; an urgent one only after the urgent ones."""
        (self._urgent if urgent else self._others).append(request)
        self._arrived.put(None)

    def renewed(self) -> None:
        """Count the request under way as begun now."""
        self.busy_since = time.monotonic()

    def serve_urgent(self) -> bool:
        """Serve the urgent requests that wait now: for a long request to call where it may pause. True if any did."""
        interrupted = bool(self._urgent)
        while self._urgent:
            self._arrived.get()
            self._urgent.popleft()()
            self.renewed()
        return interrupted

    def stop(self, seconds: float) -> bool:
        """Finish what has been put and end; False when the thread did not within `seconds` and was abandoned."""
        self._others.append(None)
        self._arrived.put(None)
        if self._thread.ident is not None:
            self._thread.join(seconds)
        return not self._thread.is_alive()

    @property
    def waiting(self) -> int:
        """How many have been put and not begun, the end among them."""
        return self._arrived.qsize()

    def serve(self) -> None:
        """Serve until the end; the thread's own, or a test's in its stead."""
        while (request := self.take()) is not None:
            self.renewed()
            try:
                request()
            except Exception as error:  # noqa: BLE001 - a thread that ends unseen leaves a daemon that looks alive
                self._broken(error)
                break
            self.busy_since = None
            self._served()
        self._ended()

    def take(self) -> Request | None:
        """Wait for the next one and give it, None for the end; the thread's own, or a test's in its stead."""
        self._arrived.get()
        return self._urgent.popleft() if self._urgent else self._others.popleft()
