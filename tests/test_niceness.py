"""Lanes give way to other programs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bgrd.engine.niceness import niced
from bgrd.engine.process import LaneProcess, start_lane
from tests.houses.daemons import Daemon
from tests.houses.houses import House
from tests.kernel.processes import children, command
from tests.pictures.scenes import phone_photo


def threads_of(pid: int) -> list[int]:
    """Give the niceness of each thread of a process."""
    stats = Path(f"/proc/{pid}/task").glob("*/stat")
    return [int(stat.read_text().rpartition(")")[2].split()[16]) for stat in stats]


@pytest.fixture
def lane() -> LaneProcess:
    """Start a lane."""
    return start_lane()


def end(lane: LaneProcess) -> None:
    """End a lane."""
    lane.channel.close()
    lane.child.wait(20)


def test_every_thread_of_a_lane_is_nice(lane: LaneProcess) -> None:
    """Also those it starts later; ours stay as they are."""
    before = os.getpriority(os.PRIO_PROCESS, 0)
    assert niced(lane, 15) is lane
    assert lane.channel.receive() is not None  # it is up, with all its libraries
    assert set(threads_of(lane.pid)) == {15}
    assert os.getpriority(os.PRIO_PROCESS, 0) == before
    end(lane)


def test_a_lane_that_inherited_more_keeps_it(lane: LaneProcess) -> None:
    """A service that is nice itself is not made less so."""
    os.setpriority(os.PRIO_PGRP, lane.pid, 12)
    niced(lane, 5)
    assert set(threads_of(lane.pid)) == {12}
    end(lane)


def test_a_lane_that_is_gone_is_nobodys_fault(lane: LaneProcess) -> None:
    """It is noticed where its socket is read."""
    end(lane)
    assert niced(lane, 5) is lane


def test_the_process_of_a_shared_model_is_as_nice(tmp_path: Path) -> None:
    """It does what lanes would do: with `nice = 7` it has 7, and so has each of its threads."""
    house = House(tmp_path / "house").folders()
    house.configure('nice = 7\nshared_session = "on"\nlanes = 1\n')
    with Daemon(house) as daemon:
        daemon.ready()
        (house.inbox / "a.jpg").write_bytes(phone_photo())
        daemon.done(["a.jpg"])
        (device,) = [pid for pid in children(daemon.pid) if b"bgrd.engine.device" in command(pid)]
        assert set(threads_of(device)) == {7}
        assert daemon.stop() == 0


@pytest.mark.parametrize("shared", [False, True])
def test_whatever_a_run_starts_is_nice(tmp_path: Path, shared: bool) -> None:  # noqa: FBT001
    """The setting reaches them: a `bgrd once` with `nice = 7` has lanes of 7, and so is the model that they share."""
    (tmp_path / "config.toml").write_text(f'nice = 7\nshared_session = "{"on" if shared else "off"}"\n')
    (tmp_path / "wrap.py").write_text(
        "import os, sys\n"
        "from bgrd.once import Once\n"
        "from bgrd.cli.main import main\n"
        "told = Once.model_loaded\n"
        "def model_loaded(self, message, lane):\n"
        "    pids = [lane, message.device] if message.device else [lane]\n"
        "    print('nice', *[os.getpriority(os.PRIO_PROCESS, pid) for pid in pids])\n"
        "    told(self, message, lane)\n"
        "Once.model_loaded = model_loaded\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 no picture")
    command_line = [sys.executable, "wrap.py", "once", "-c", "config.toml", "broken.jpg", "-o", "out"]
    done = subprocess.run(command_line, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
    assert ("nice 7 7\n" if shared else "nice 7\n") in done.stdout, done.stderr
