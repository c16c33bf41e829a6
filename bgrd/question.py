"""Asks what a dead share may never answer, on a thread of its own, and waits no longer than one may wait.

A call that hangs in the kernel cannot be called off: its thread is left behind until the share answers or is gone, and
a question that still waits is not put again.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Hashable
from contextlib import suppress
from typing import Generic, TypeVar

__all__ = ["Question", "ask", "begin", "dispose"]

_Answer = TypeVar("_Answer")

_PATIENCE_SECONDS = 2.0


def begin(thread: threading.Thread) -> None:
    """Start a thread. Raises OSError where the system has none left, as for everything else it is short of."""
    try:
        thread.start()
    except RuntimeError as error:
        raise OSError(errno.EAGAIN, "a thread cannot be started") from error


class Question(Generic[_Answer]):
    """One question, put when this is made. `unwanted` gets an answer that came when nobody waited any more.

    `put` says whether it could be: where no thread can be started, `answer` raises OSError.
    """

    def __init__(
        self, question: Callable[[], _Answer], *, unwanted: Callable[[_Answer], object] = lambda _: None
    ) -> None:
        self._question = question
        self._unwanted = unwanted
        self._answers: list[_Answer] = []
        self._error: Exception | None = None
        self._abandoned = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._put, name="question", daemon=True)
        self.put = True
        try:
            begin(self._thread)
        except OSError as error:
            self.put, self._error = False, error

    def answer(self, seconds: float) -> _Answer:
        """Give the answer; raises TimeoutError after so many seconds, and whatever the question raises."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._answers or self._error is not None, seconds):
                self._abandoned = True
                raise TimeoutError(errno.ETIMEDOUT, "its file system does not answer")
        if self.put:
            self._thread.join()  # nothing is left to do for it: who asks often has one thread at a time
        if self._error is not None:
            raise self._error
        return self._answers[0]

    @property
    def waiting(self) -> bool:
        """Whether it has not been answered yet."""
        return self._thread.is_alive()

    def _put(self) -> None:
        answers, error = [], None
        try:
            answers = [self._question()]
        except Exception as raised:  # noqa: BLE001 - it is the asker's, and raised there
            error = raised
        with self._changed:
            self._answers, self._error = answers, error
            self._changed.notify_all()
            unwanted = answers if self._abandoned else []
        for answer in unwanted:
            self._unwanted(answer)


_open: dict[Hashable, Question[object]] = {}
_guard = threading.Lock()


def ask(
    about: str | os.PathLike[str],
    question: Callable[[], _Answer],
    *,
    unwanted: Callable[[_Answer], object] = lambda _: None,
    seconds: float = _PATIENCE_SECONDS,
) -> _Answer:
    """Put a question about a path; raises TimeoutError, at once where an earlier one about it still waits."""
    key = os.fspath(about)
    with _guard:
        earlier = _open.get(key)
        if earlier is not None and earlier.waiting:
            raise TimeoutError(errno.ETIMEDOUT, "its file system does not answer")
        _open.pop(key, None)
    put = Question(question, unwanted=unwanted)
    try:
        return put.answer(seconds)
    except TimeoutError:
        with _guard:
            if put.waiting:
                _open[key] = put  # type: ignore[assignment] # only whether it waits is asked of it from here on
        raise


def dispose(end: Callable[[], object], *, seconds: float = _PATIENCE_SECONDS) -> None:
    """Have something closed that may hang, and pass over how that goes; here, where no thread can be started."""
    question = Question(end)
    with suppress(OSError):
        question.answer(seconds)
    if not question.put:
        with suppress(OSError):
            end()
