"""The watchdog's contract: what stops the pings, and what must not. A fake service manager listens to real daemons."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.houses.daemons import Daemon
from tests.houses.houses import House
from tests.pictures.scenes import phone_photo, slow_photo

pytestmark = pytest.mark.timeout(300)

FROZEN = Path(__file__).parent / "programs/frozen_daemon.py"
WATCHED = {"WATCHDOG_USEC": "2000000"}
LONG_SECONDS = 2.5
"""More than systemd would wait: whoever has said nothing for as long would be ended."""
NAMES = {
    "intake": "intake of default",
    "scanner": "intake of default",
    "journal": "journal",
    "committer": "commit of default",
}
"""What the log calls each loop that can be frozen; the engine is who would tell."""


def pings(daemon: Daemon) -> int:
    """Count the pings so far."""
    return daemon.notices.heard.count("WATCHDOG=1")


def keeps_pinging(daemon: Daemon, *, times: int = 4) -> None:
    """Wait for some more pings."""
    before = pings(daemon)
    daemon.until(lambda: pings(daemon) >= before + times)


def more_time(daemon: Daemon) -> int:
    """Count how often it asked for more time."""
    return sum(line.startswith("EXTEND_TIMEOUT_USEC=") for line in daemon.notices.heard)


def is_silent(daemon: Daemon) -> bool:
    """Say whether no ping comes for as long as systemd would wait."""
    before = pings(daemon)
    threading.Event().wait(LONG_SECONDS)
    return pings(daemon) == before


@contextmanager
def freezable(root: Path) -> Iterator[tuple[House, Daemon, Path]]:
    """Give a daemon of which any loop can be frozen, and where its flags go."""
    house, flags = House(root / "house").folders(), root / "flags"
    house.configure("[defaults]\nrescan_seconds = 2\n")
    flags.mkdir()
    program = (sys.executable, str(FROZEN), str(flags), "run")
    with Daemon(house, environment=WATCHED, program=program) as daemon:
        yield house, daemon.ready(), flags


def freeze_and_thaw(house: House, daemon: Daemon, flag: Path, how: str) -> None:
    """Hold that a frozen loop stops the pings and is named, and that they come back when it goes on."""
    keeps_pinging(daemon)
    told = len(daemon.events("daemon.late"))
    flag.write_text(how)
    (house.inbox / f"{flag.name}-{how}.jpg").write_bytes(phone_photo())  # something to do for each loop
    if flag.name in NAMES:
        daemon.until(lambda: len(daemon.events("daemon.late")) > told)
        assert NAMES[flag.name] in daemon.events("daemon.late")[told]["loops"]
    else:
        daemon.until(lambda: is_silent(daemon))
    assert is_silent(daemon)
    flag.unlink()
    keeps_pinging(daemon)
    daemon.done([f"{flag.name}-{how}.jpg"])


@pytest.mark.long
def test_a_frozen_loop_stops_the_pings(tmp_path: Path) -> None:
    """The committer in a deadlock: silence, its name in the log, pings again when it goes on, the picture done."""
    with freezable(tmp_path) as (house, daemon, flags):
        freeze_and_thaw(house, daemon, flags / "committer", "lock")
        assert daemon.stop() == 0


@pytest.mark.long
@pytest.mark.parametrize(
    ("loop", "ways"),
    [
        ("intake", ("lock", "spin")),
        ("scanner", ("sleep",)),
        ("journal", ("lock",)),
        ("engine", ("sleep", "spin")),
        ("committer", ("sleep", "spin")),
    ],
)
def test_every_loop_however_it_is_frozen(tmp_path: Path, loop: str, ways: tuple[str, ...]) -> None:
    """Each of them, in a deadlock, asleep or in an endless loop, in turn."""
    with freezable(tmp_path) as (house, daemon, flags):
        for how in ways:
            freeze_and_thaw(house, daemon, flags / loop, how)
        assert daemon.stop() == 0
    assert len(house.results()) == len(ways)


def test_a_picture_that_takes_long_does_not_stop_the_pings(tmp_path: Path) -> None:
    """A lane at work for longer than systemd waits is no reason to end the daemon."""
    house = House(tmp_path / "house").folders()
    with Daemon(house, environment=WATCHED) as daemon:
        daemon.ready()
        sources = [house.inbox / f"slow-{seed}.jpg" for seed in range(2)]
        for seed, path in enumerate(sources):
            path.write_bytes(slow_photo(seed=seed))
        lane, _ = daemon.catch_lane(sources)
        keeps_pinging(daemon, times=8)
        os.kill(lane, signal.SIGCONT)
        daemon.done(path.name for path in sources)
        assert not daemon.events("daemon.late")
        assert daemon.stop() == 0


@pytest.mark.long
def test_a_big_walk_does_not_stop_the_pings(tmp_path: Path) -> None:
    """Thirty thousand files that are no pictures and a few thousand that may be: the walk goes on in small steps."""
    house = House(tmp_path / "house").folders()
    for number in range(30_000):
        directory = house.inbox / f"{number % 30}"
        directory.mkdir(exist_ok=True)
        (directory / (f"{number}.mp4" if number % 10 else f"{number}")).write_bytes(b"no picture")
    with Daemon(house, environment=WATCHED) as daemon:
        daemon.ready()
        keeps_pinging(daemon, times=8)
        daemon.heard("intake.skipped")
        keeps_pinging(daemon)
        assert not daemon.events("daemon.late")
        assert daemon.stop() == 0


def test_a_start_that_takes_long_asks_for_time(tmp_path: Path) -> None:
    """While a model loads READY is put off, more time is asked for again and again, and the pings go on."""
    house = House(tmp_path / "house").folders()
    with Daemon(house, environment=WATCHED) as daemon:
        daemon.until(house.lanes)
        lane = house.lanes()[0]
        os.kill(lane, signal.SIGSTOP)
        try:
            keeps_pinging(daemon, times=5)
            daemon.until(lambda: more_time(daemon) > 2)
            assert "READY=1" not in daemon.notices.heard
        finally:
            os.kill(lane, signal.SIGCONT)
        daemon.ready()
        assert daemon.stop() == 0
