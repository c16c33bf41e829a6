"""Lanes started from a thread with descriptors of its own."""

from __future__ import annotations

import errno
import os
import signal
import socket
import threading
from pathlib import Path

import pytest

from bgrd.engine.process import LaneProcess
from bgrd.engine.starter import Starter, Starters
from bgrd.engine.wire import Hello
from tests.houses.inboxes import until
from tests.houses.pools import start_null_lane
from tests.kernel.processes import children, command, open_files, signals, threadless


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


def test_signals_are_taken_elsewhere() -> None:
    """Python tells the main loop of a signal through a descriptor, which this thread lacks; a lane takes them again."""
    before = set(Path("/proc/self/task").iterdir())
    starter = Starter()
    (thread,) = set(Path("/proc/self/task").iterdir()) - before
    assert {signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGCHLD} <= signals(int(thread.name), "SigBlk")
    lane = starter.start()
    lane.channel.receive()
    assert not signals(lane.pid, "SigBlk")
    lane.channel.close()
    assert lane.child.wait(20) == 0
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


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("no process")])
def test_whatever_keeps_a_lane_from_starting_is_told(error: Exception) -> None:
    """The thread goes on after errors that are no OSError: the main loop would wait for it for ever."""
    answers = [error]

    def start() -> LaneProcess:
        if answers:
            raise answers.pop()
        return start_null_lane()

    starter = Starter(start)
    with pytest.raises(OSError, match=type(error).__name__):
        starter.start()
    end(starter.start())
    starter.close()


def test_a_lane_whose_channel_cannot_be_sent_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is gone and waited for, nothing is left open, and the next one may be started."""
    before = open_files(), children(os.getpid())
    starter = Starter(start_null_lane)

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOBUFS, "no buffers")

    with monkeypatch.context() as patch:
        patch.setattr(socket, "send_fds", refuse)
        with pytest.raises(OSError, match="no buffers"):
            starter.start()
    assert not set(children(os.getpid())) - set(before[1])  # what earlier tests left may be gone by now
    end(starter.start())
    starter.close()
    assert open_files() == before[0]


def test_a_system_that_takes_too_long_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks next gets the lane that came late, and until then is told at once."""
    monkeypatch.setattr("bgrd.engine.starter._PATIENCE_SECONDS", 0.05)
    before = children(os.getpid())
    going_on = threading.Semaphore(0)

    def start() -> LaneProcess:
        going_on.acquire()
        return start_null_lane()

    starter = Starter(start)
    with pytest.raises(TimeoutError, match="too long"):
        starter.start()
    monkeypatch.setattr("bgrd.engine.starter._PATIENCE_SECONDS", 3600.0)
    with pytest.raises(TimeoutError, match="too long"):
        starter.start()
    going_on.release()
    until(lambda: not starter._started.empty())
    end(starter.start())
    going_on.release()
    end(starter.start())
    monkeypatch.setattr("bgrd.engine.starter._PATIENCE_SECONDS", 0.05)
    with pytest.raises(TimeoutError, match="too long"):
        starter.start()
    going_on.release()
    starter.close()
    assert not set(children(os.getpid())) - set(before)


def test_without_a_thread_there_is_no_starter(monkeypatch: pytest.MonkeyPatch) -> None:
    """That is an error like any other shortage, and nothing is left open."""
    before = open_files()
    threadless(monkeypatch)
    with pytest.raises(OSError, match="thread cannot be started"):
        Starter(start_null_lane)
    assert open_files() == before


class Counted:
    """A way to start null lanes that remembers them."""

    def __init__(self) -> None:
        self.lanes: list[LaneProcess] = []

    def __call__(self) -> LaneProcess:
        self.lanes.append(start_null_lane())
        return self.lanes[-1]


def test_a_lane_that_is_ahead_is_for_whoever_asks_first() -> None:
    """One is started without being waited for, and given to the first who asks; the next gets another."""
    before = open_files()
    counted = Counted()
    starter = Starter(counted)
    starter.go_ahead()
    until(lambda: counted.lanes)
    first = starter.start()
    assert [lane.pid for lane in counted.lanes] == [first.pid]
    second = starter.start()
    assert [lane.pid for lane in counted.lanes] == [first.pid, second.pid]
    end(first)
    end(second)
    starter.dismiss()
    starter.close()
    starter.close()
    assert len(counted.lanes) == 2
    assert open_files() == before


@pytest.mark.parametrize("how", ["dismissed", "closed"])
def test_a_lane_that_is_ahead_and_not_wanted_is_ended(how: str) -> None:
    """Nobody asks for it where no folder has a model, or the configuration is wrong: nothing of it is left."""
    before = open_files()
    counted = Counted()
    starter = Starter(counted)
    starter.go_ahead()
    if how == "dismissed":
        starter.dismiss()
        (lane,) = counted.lanes
        assert lane.child.poll() is not None
        end(starter.start())
        assert len(counted.lanes) == 2
    starter.close()
    assert all(lane.child.poll() is not None for lane in counted.lanes)
    assert counted.lanes
    assert open_files() == before


def test_a_lane_that_cannot_be_started_ahead_is_an_error_for_who_asks() -> None:
    """Not before; and what was wrong then is tried again by the next."""
    answers: list[OSError | None] = [OSError(errno.EAGAIN, "no more processes"), None]

    def start() -> LaneProcess:
        if error := answers.pop(0):
            raise error
        return start_null_lane()

    starter = Starter(start)
    starter.go_ahead()
    with pytest.raises(OSError, match="no more processes"):
        starter.start()
    end(starter.start())
    starter.close()


def test_lanes_and_shared_models_have_starters_of_their_own() -> None:
    """Each starts its kind, what is ahead of the one is not for the other, and closed together nothing is left."""
    before = open_files()
    starters = Starters()
    starters.lanes.go_ahead()
    device, lane = starters.devices.start(), starters.lanes.start()
    until(lambda: b"bgrd.engine.device" in command(device.pid))  # for a moment it has none
    until(lambda: b"bgrd.engine.lane" in command(lane.pid))
    end(lane)
    device.channel.close()  # it waits for a model, and says nothing before
    assert device.child.wait(20) == 0
    starters.close()
    starters.close()
    assert open_files() == before


def test_where_the_second_thread_cannot_start_the_first_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """And the error is told."""
    before = open_files()
    begun: list[threading.Thread] = []

    def begin(thread: threading.Thread) -> None:
        if begun:
            raise OSError(errno.EAGAIN, "no more threads")
        begun.append(thread)
        thread.start()

    monkeypatch.setattr("bgrd.engine.starter.begin", begin)
    with pytest.raises(OSError, match="no more threads"):
        Starters()
    assert not begun[0].is_alive()
    assert open_files() == before
