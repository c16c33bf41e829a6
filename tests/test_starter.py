"""Lanes started from a thread with descriptors of its own."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from bgrd.engine.process import LaneProcess
from bgrd.engine.starter import Starter
from bgrd.engine.wire import Hello
from tests.processes import open_files
from tests.test_pool import start_null_lane


def end(process: LaneProcess) -> None:
    """Hear that a lane has come up, let it go and wait for it."""
    received = process.channel.receive()
    assert received is not None
    assert isinstance(received[0], Hello)
    process.channel.close()
    assert process.child.wait(20) == 0


def test_a_lane_is_started_and_spoken_to() -> None:
    """As by any other thread: it says hello, ends with its socket, and leaves no descriptor behind."""
    before = open_files()
    starter = Starter(start_null_lane)
    first, second = starter.start(), starter.start()
    for process in (first, second):
        assert not os.get_inheritable(process.channel.fileno())
    end(first)
    end(second)
    starter.close()
    assert open_files() == before


def test_what_is_opened_later_is_not_passed_on(tmp_path: Path) -> None:
    """A descriptor that was opened after the thread left is not even copied into the child to be closed there."""
    seen: list[str] = []

    def start() -> LaneProcess:
        seen.extend(os.readlink(link) for link in Path("/proc/thread-self/fd").iterdir() if link.exists())
        return start_null_lane()

    starter = Starter(start)
    with (tmp_path / "on a dead share").open("w") as file:
        assert os.readlink(f"/proc/self/fd/{file.fileno()}") == file.name
        end(starter.start())
        assert seen
        assert file.name not in seen
    starter.close()


def test_a_lane_that_cannot_be_started() -> None:
    """The reason is raised where it was asked for, and the next one may be started."""
    answers = [OSError(errno.ENOMEM, "no memory")]

    def start() -> LaneProcess:
        if answers:
            raise answers.pop()
        return start_null_lane()

    starter = Starter(start)
    with pytest.raises(OSError, match="no memory"):
        starter.start()
    end(starter.start())
    starter.close()
