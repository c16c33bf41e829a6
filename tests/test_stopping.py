"""How a daemon ends, from outside: stop, second signal, limit, Ctrl-C, a closed terminal, a reload in between."""

from __future__ import annotations

import os
import pty
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bgrd.job import State
from tests.houses.daemons import Daemon
from tests.houses.houses import House
from tests.pictures.scenes import check_whole, slow_photo

pytestmark = pytest.mark.timeout(240)

UNDER_A_TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.executable, [sys.executable, "-m", "bgrd", "run"])
"""


def drop_slow(house: House, *, number: int = 3) -> dict[Path, bytes]:
    """Drop pictures that take long enough to be caught in the middle."""
    sources = {house.inbox / f"slow-{seed}.jpg": slow_photo(seed=seed) for seed in range(number)}
    for path, data in sources.items():
        path.write_bytes(data)
    return sources


def check_all_done_once(house: House, sources: dict[Path, bytes]) -> None:
    """Hold that each source has one whole result, is untouched, and nobody was charged."""
    assert sorted(house.results()) == sorted(f"{path.stem}.png" for path in sources)
    for path, data in sources.items():
        check_whole(house.outbox / f"{path.stem}.png", data)
        assert path.read_bytes() == data
    jobs = house.jobs()
    assert sorted(os.fsdecode(job.path) for job in jobs) == sorted(path.name for path in sources)
    assert {(job.state, job.attempts, job.unclean) for job in jobs} == {(State.DONE, 0, 0)}
    assert not list(house.home.rglob(".bgrd*"))


def test_a_stop_drains(tmp_path: Path) -> None:
    """SIGTERM lets the picture under way finish and starts no other; the next start does the rest, nobody charged."""
    house = House(tmp_path / "house").folders()
    house.configure("lanes = 1\n")
    with Daemon(house) as daemon:
        daemon.ready()
        sources = drop_slow(house)
        lane, source = daemon.catch_lane(sources)
        daemon.signal(signal.SIGTERM)
        assert daemon.heard("daemon.stop")[0]["running"] == 1
        os.kill(lane, signal.SIGCONT)
        assert daemon.ended() == 0
        done = [event["path"] for event in daemon.events("job.done")]
        # One lane works on one after the other: what it had finished before may be told only now, and comes before.
        assert done[-1] == source.name
    with Daemon(house) as daemon:
        daemon.done(path.name for path in sources if path.name not in done)
        assert daemon.stop() == 0
    check_all_done_once(house, sources)


def test_a_stop_ends_with_its_last_picture(tmp_path: Path) -> None:
    """A picture that takes a while to finish holds up the stop until then and not until `stop_seconds` are over."""
    house = House(tmp_path / "house").folders()
    house.configure("lanes = 1\n")
    with Daemon(house) as daemon:
        daemon.ready()
        lane, _source = daemon.catch_lane(drop_slow(house))
        daemon.signal(signal.SIGTERM)
        daemon.heard("daemon.stop")
        threading.Event().wait(2.5)  # long enough for everything else to have been told and written
        os.kill(lane, signal.SIGCONT)
        assert daemon.ended(seconds=30) == 0


def test_a_reload_ends_with_its_last_picture(tmp_path: Path) -> None:
    """The same holds for a reload that changes a folder in the middle of a picture, and for the status it leaves."""
    house = House(tmp_path / "house").folders()
    with Daemon(house) as daemon:
        daemon.ready()
        lane, source = daemon.catch_lane(drop_slow(house, number=2))
        house.configure("[defaults]\nlevel = 2\n")
        daemon.signal(signal.SIGHUP)
        daemon.until(lambda: "RELOADING=1" in daemon.notices.heard)
        threading.Event().wait(2.5)
        os.kill(lane, signal.SIGCONT)
        daemon.until(lambda: daemon.events("reload.done"), seconds=30)
        daemon.done([source.name])
        assert daemon.stop() == 0


def test_a_second_signal_ends_at_once(tmp_path: Path) -> None:
    """A second SIGTERM waits for no lane; its picture is put back uncharged and done at the next start."""
    house = House(tmp_path / "house").folders()
    with Daemon(house) as daemon:
        daemon.ready()
        sources = drop_slow(house)
        daemon.catch_lane(sources)
        daemon.signal(signal.SIGTERM)
        daemon.heard("daemon.stop")
        daemon.signal(signal.SIGTERM)
        assert daemon.ended(seconds=30) == 0
        done = [event["path"] for event in daemon.events("job.done")]
    with Daemon(house) as daemon:
        daemon.done(path.name for path in sources if path.name not in done)
        assert daemon.stop() == 0
    check_all_done_once(house, sources)


def test_a_stop_has_its_limit(tmp_path: Path) -> None:
    """A picture that does not finish within `stop_seconds` is put back uncharged."""
    house = House(tmp_path / "house").folders()
    house.configure("stop_seconds = 0.5\n")
    with Daemon(house) as daemon:
        daemon.ready()
        sources = drop_slow(house)
        _lane, caught = daemon.catch_lane(sources)
        assert daemon.stop() == 0
        done = [event["path"] for event in daemon.events("job.done")]
        assert caught.name in [event["path"] for event in daemon.events("job.requeued")]
    put_back = {os.fsdecode(job.path): (job.state, job.attempts) for job in house.jobs()}
    assert put_back[caught.name] == (State.READY, 0)
    house.configure("")
    with Daemon(house) as daemon:
        daemon.done(path.name for path in sources if path.name not in done)
        assert daemon.stop() == 0
    check_all_done_once(house, sources)


@contextmanager
def under_a_terminal(house: House) -> Iterator[tuple[Daemon, int]]:
    """Give a daemon that runs in a terminal of its own, and the terminal's other end, which the test closes."""
    ours, theirs = pty.openpty()
    try:
        with Daemon(house, program=(sys.executable, "-c", UNDER_A_TERMINAL), stdin=theirs) as daemon:
            yield daemon.ready(), ours
    finally:
        os.close(theirs)


def test_ctrl_c_in_a_terminal(tmp_path: Path) -> None:
    """Ctrl-C reaches the daemon alone: the picture under way finishes, it exits 0, nobody is charged."""
    house = House(tmp_path / "house").folders()
    with under_a_terminal(house) as (daemon, terminal):
        sources = drop_slow(house)
        lane, source = daemon.catch_lane(sources)
        os.write(terminal, b"\x03")
        daemon.heard("daemon.stop")
        os.kill(lane, signal.SIGCONT)
        assert daemon.ended() == 0
        done = [event["path"] for event in daemon.events("job.done")]
        assert source.name in done
        os.close(terminal)
    with Daemon(house) as daemon:
        daemon.done(path.name for path in sources if path.name not in done)
        assert daemon.stop() == 0
    check_all_done_once(house, sources)


def test_a_closed_terminal(tmp_path: Path) -> None:
    """When its terminal is closed the daemon stops, as a program in a terminal should."""
    house = House(tmp_path / "house")
    with under_a_terminal(house) as (daemon, terminal):
        os.close(terminal)
        assert daemon.ended() == 0
