"""Questions that may never be answered: a pipe nobody writes to stands for a dead share."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from bgrd.question import Question, ask, dispose
from tests.houses.inboxes import until
from tests.kernel.processes import begun_since, open_files, threadless


class Dead:
    """A path whose `read` hangs until `revive`."""

    def __init__(self, root: Path) -> None:
        self.path = root / "share"
        self.asked = 0
        os.mkfifo(self.path)

    def read(self) -> int:
        """Open it, for as long as that takes."""
        self.asked += 1
        return os.open(self.path, os.O_RDONLY)

    def revive(self) -> None:
        """Have it answer whoever waits."""
        os.close(os.open(self.path, os.O_WRONLY))


@pytest.fixture
def dead(tmp_path: Path) -> Iterator[Dead]:
    """Give a dead share; nobody may wait for it at the end."""
    yield Dead(tmp_path)
    until(lambda: not [thread for thread in threading.enumerate() if thread.name == "question"])


def test_an_answer_is_given_and_an_error_raised() -> None:
    """As if it had been asked here, and no thread is left behind."""
    before = threading.enumerate()
    assert ask("a", lambda: 1) == 1
    with pytest.raises(FileNotFoundError):
        ask("a", lambda: os.stat("/nowhere at all"))
    with pytest.raises(ZeroDivisionError):
        Question(lambda: 1 // 0).answer(20)
    assert not begun_since(before)


def test_a_dead_share_is_waited_for_a_moment_and_asked_once(dead: Dead) -> None:
    """The second asker is told at once; what was answered too late is closed; then it can be asked again."""
    before = open_files()
    with pytest.raises(TimeoutError, match="does not answer"):
        ask(dead.path, dead.read, unwanted=os.close, seconds=0.05)
    with pytest.raises(TimeoutError, match="does not answer"):
        ask(dead.path, dead.read, unwanted=os.close, seconds=60)
    assert dead.asked == 1
    assert ask("another", lambda: 2) == 2
    dead.revive()
    until(lambda: open_files() == before)
    question = Question(dead.read)
    assert question.waiting
    dead.revive()
    os.close(question.answer(20))
    assert not question.waiting


def test_the_next_one_asks_anew(dead: Dead) -> None:
    """Once the earlier question was answered, however late."""
    with pytest.raises(TimeoutError):
        ask(dead.path, dead.read, unwanted=os.close, seconds=0.05)
    dead.revive()
    until(lambda: not [thread for thread in threading.enumerate() if thread.name == "question"])
    assert ask(dead.path, lambda: 3) == 3


def test_without_a_thread_nothing_is_asked_and_the_shortage_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """As for anything else the system is short of; the next question may be put."""
    with monkeypatch.context() as patch:
        threadless(patch)
        with pytest.raises(OSError, match="thread cannot be started") as caught:
            ask("a", lambda: 1)
        assert caught.value.errno == errno.EAGAIN
        assert not Question(lambda: 1).waiting
    assert ask("a", lambda: 1) == 1


@pytest.mark.parametrize("short", [False, True])
def test_what_is_disposed_of_is_gone_however_that_goes(short: bool, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: FBT001
    """With a thread or without, and where a server that is gone answers with an error."""
    before = open_files()
    descriptor = os.open("/dev/null", os.O_RDONLY)

    def end() -> None:
        os.close(descriptor)
        raise OSError(errno.ENOTCONN, "not connected")

    with monkeypatch.context() as patch:
        if short:
            threadless(patch)
        dispose(end)
    assert open_files() == before
