"""A lane among faults: its places', its parent's, and words that make no sense."""

from __future__ import annotations

import ctypes
import errno
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import Mock

import pytest

from bgrd.engine.gauge import Gauge
from bgrd.engine.lane import Lane
from bgrd.engine.process import LaneProcess
from bgrd.engine.wire import Answer, Channel, Faulted, Hashed, Hello, Loaded
from bgrd.errors import UnknownFault
from tests.houses.inboxes import until
from tests.houses.lanes import JPEG, OPEN, Hands, built_in, empty_lane, ready_lane


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[LaneProcess, Hands]]:
    """Give one lane with the built-in model to all tests that leave it as it is."""
    with ready_lane(tmp_path_factory.mktemp("lane")) as pair:
        yield pair


@pytest.fixture
def hands(process: tuple[LaneProcess, Hands]) -> Hands:
    """Give the hands alone."""
    return process[1]


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[tuple[LaneProcess, Hands]]:
    """Give a lane of one's own, without a model."""
    with empty_lane(tmp_path) as pair:
        yield pair


def test_a_full_disk_is_the_folders_trouble(hands: Hands) -> None:
    """ENOSPC while a result is written blocks the folder; no picture is charged for it."""
    hands.submit(JPEG, target=Path("/dev/full"))
    hands.go()
    fault = hands.expect(Faulted)
    assert fault.kind == "folder"
    assert "the outbox is full: make room" in fault.text


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        *((number, "folder") for number in (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.ESTALE)),
        *((number, "unknown") for number in (errno.EPERM, errno.EACCES, errno.ENOSYS, errno.EINVAL, errno.ENOENT)),
        (errno.EFBIG, "input"),
        (errno.ENOMEM, "memory"),
    ],
)
def test_only_a_places_own_errors_are_the_folders(
    number: int, kind: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What else a call answers while a result is made, as one that is refused, is nobody's but that picture's."""

    def refused(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("bgrd.engine.lane.begin", Mock())
    monkeypatch.setattr("bgrd.engine.lane.complete", refused)
    ours, theirs = Channel.pair()
    hands = Hands(tmp_path, ours)
    hands.submit(JPEG)
    ours.send(Answer(job=1, go=True))
    ours._socket.shutdown(socket.SHUT_WR)
    with Gauge() as gauge:
        lane = Lane(theirs, cage=OPEN, gauge=gauge)
        lane._stock._models["bgrd-lite"] = Mock(), "0" * 64
        lane.serve()
    hands.expect(Hello)
    hands.expect(Hashed)
    fault = hands.expect(Faulted)
    assert fault.kind == kind
    assert ("in refused" in fault.trace) == (kind == "unknown")
    ours.close()
    theirs.close()


def test_a_lane_ends_when_its_parent_closes_the_socket(fresh: tuple[LaneProcess, Hands]) -> None:
    """Idle or waiting for an answer, the end of the socket is its end, and a clean one."""
    lane, hands = fresh
    hands.load(built_in())
    hands.expect(Loaded)
    hands.submit(JPEG)
    hands.expect(Hashed)
    hands.channel.close()
    assert lane.wait_or_kill(20) == "ended with status 0"


def test_terminal_signals_are_not_for_lanes(process: tuple[LaneProcess, Hands]) -> None:
    """Ctrl-C and a closed terminal are the parent's to answer."""
    lane, hands = process
    os.kill(lane.pid, signal.SIGINT)
    os.kill(lane.pid, signal.SIGHUP)
    hands.work(JPEG)
    assert not lane.reaped()


def test_a_lane_dies_with_its_parent() -> None:
    """Kill -9 of the parent ends its lane, even one whose socket somebody else holds open."""
    code = (
        "import sys, time\n"
        "from bgrd.engine.process import start_lane\n"
        "lane = start_lane(); lane.channel.receive(); print(lane.pid, flush=True); time.sleep(3600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        lane = int(parent.stdout.readline())
        # Held here too: the end of the socket cannot be what ends the lane.
        held = _steal_socket(parent.pid)
        parent.kill()
        until(lambda: not _alive(lane))
        os.close(held)


def _steal_socket(pid: int) -> int:
    """Get a copy of the only socket of a process: pidfd_getfd(2)."""
    sockets = [int(fd) for fd in os.listdir(f"/proc/{pid}/fd") if "socket" in os.readlink(f"/proc/{pid}/fd/{fd}")]
    pidfd = os.pidfd_open(pid)
    try:
        got = int(ctypes.CDLL(None, use_errno=True).syscall(438, pidfd, sockets[-1], 0))
    finally:
        os.close(pidfd)
    if got < 0:
        pytest.skip("this kernel does not let descriptors be taken over")
    return got


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_an_odd_message_is_a_fault_and_no_end() -> None:
    """What no parent sends is answered with a fault; the lane goes on to the end of the socket."""
    ours, theirs = Channel.pair()
    ours.send(Hello(pid=1))
    ours._socket.shutdown(socket.SHUT_WR)
    with Gauge() as gauge:
        Lane(theirs, cage=OPEN, gauge=gauge).serve()
    received = ours.receive()
    assert received is not None
    assert isinstance(received[0], Hello)
    received = ours.receive()
    assert received is not None
    assert isinstance(received[0], Faulted)
    assert received[0].kind == "unknown"
    ours.close()
    theirs.close()


def test_the_longest_odd_text_fits_a_packet() -> None:
    """However long and odd an error's words are, the fault gets through: a lane must not die of telling."""
    ours, theirs = Channel.pair()
    with Gauge() as gauge:
        lane = Lane(theirs, cage=OPEN, gauge=gauge)
        lane._send_fault(1, "m", UnknownFault("\U0001f600" * 10_000), trace="\U0001f600" * 20_000)
    received = ours.receive()
    assert received is not None
    assert isinstance(received[0], Faulted)
    assert received[0].text.startswith("\U0001f600")
    ours.close()
    theirs.close()
