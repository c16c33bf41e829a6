"""Kill -9 of the daemon and of lanes, in the middle of work: nothing is lost, nothing done twice, nothing partial."""

from __future__ import annotations

import os
import random
import signal
import threading
from pathlib import Path

import pytest

from bgrd.job import State
from tests.daemons import Daemon
from tests.houses import House
from tests.inboxes import until
from tests.processes import children
from tests.scenes import check_whole, phone_photo, slow_photo

pytestmark = pytest.mark.timeout(600)

PICTURES = 50
KILLS_A_ROUND = 4


def drop_slow(house: House, *, number: int) -> dict[Path, bytes]:
    """Drop pictures that take long enough to be caught in the middle."""
    sources = {house.inbox / f"slow-{seed}.jpg": slow_photo(seed=seed) for seed in range(number)}
    for path, data in sources.items():
        path.write_bytes(data)
    return sources


def test_a_killed_lane_costs_one_try(tmp_path: Path) -> None:
    """Kill -9 of a lane: its picture is charged one try and done by another lane; the neighbours never notice."""
    house = House(tmp_path / "house").folders()
    with Daemon(house) as daemon:
        daemon.ready()
        sources = drop_slow(house, number=4)
        lane, source = daemon.catch_lane(sources)
        daemon.done(path.name for path in sources if path != source)
        os.kill(lane, signal.SIGKILL)
        assert daemon.heard("job.retry", path=source.name)[0]["kind"] == "crash"
        daemon.done([source.name])
        assert daemon.stop() == 0
    for path, data in sources.items():
        check_whole(house.outbox / f"{path.stem}.png", data)
    assert len(house.results()) == len(sources)
    assert {os.fsdecode(job.path): job.attempts for job in house.jobs()} == {
        path.name: int(path == source) for path in sources
    }


def test_a_picture_that_kills_each_lane_fails(tmp_path: Path) -> None:
    """A picture whose lane dies twice is failed with a note; its neighbours are done."""
    house = House(tmp_path / "house").folders()
    with Daemon(house) as daemon:
        daemon.ready()
        sources = drop_slow(house, number=3)
        lane, source = daemon.catch_lane(sources)
        os.kill(lane, signal.SIGKILL)
        daemon.heard("job.retry", path=source.name)
        lane, _ = daemon.catch_lane([source])
        os.kill(lane, signal.SIGKILL)
        assert daemon.heard("job.failed", path=source.name)[0]["kind"] == "crash"
        daemon.done(path.name for path in sources if path != source)
        assert daemon.stop() == 0
    assert [note.name for note in house.failed.iterdir()] == [f"{source.name}.txt"]
    assert source.read_bytes() == sources[source]


def test_a_killed_daemon_leaves_no_lane(tmp_path: Path) -> None:
    """Kill -9 of the daemon: its lanes end with it, the one in the middle of a picture and even one that is stopped."""
    house = House(tmp_path / "house").folders()
    with Daemon(house) as daemon:
        daemon.ready()
        sources = drop_slow(house, number=4)
        daemon.catch_lane(sources)
        daemon.until(lambda: len(children(daemon.pid)) == 2)
        lanes = house.lanes()
        assert len(lanes) == 2
        daemon.kill()
        until(lambda: not house.processes(), seconds=20)
    with Daemon(house) as daemon:
        daemon.ready()
        daemon.until(lambda: len(house.results()) == len(sources))
        daemon.until(lambda: not [path for path in house.outbox.rglob("*") if path.name.startswith(".")])
        assert daemon.stop() == 0
    assert {(job.state, job.attempts) for job in house.jobs()} == {(State.DONE, 0)}


def stamp(path: Path) -> tuple[int, int, int, int]:
    """Give what shows whether anybody touched a file."""
    found = path.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def kill_in_the_middle(daemon: Daemon, *, done: int, pause_seconds: float) -> None:
    """Kill the daemon some seconds after so many pictures were done, or all there were to do."""

    def far_enough() -> bool:
        return len(daemon.events("job.done")) >= done or len(daemon.house.results()) >= PICTURES

    daemon.until(far_enough)
    threading.Event().wait(pause_seconds)
    daemon.kill()


@pytest.mark.long
@pytest.mark.parametrize("policy", ["keep", "archive", "delete"])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_kills_in_the_middle_of_many(tmp_path: Path, seed: int, policy: str) -> None:
    """Kill -9 again and again in the middle of 50 pictures: 50 results, each once, none partial, no leftovers."""
    house = House(tmp_path / "house").folders()
    house.configure(f'[defaults]\npolicy = "{policy}"\n')
    chance = random.Random(seed)
    sources = {f"{number:02}.jpg": phone_photo(seed=number) for number in range(PICTURES)}
    clean = house.root / "clean"
    for name, data in sources.items():
        (house.root / name).write_bytes(data)
    alone = house.run("once", "--no-progress", "-o", clean, *(house.root / name for name in sources))
    assert alone.returncode == 0, alone.stderr
    for name, data in sources.items():
        (house.inbox / name).write_bytes(data)
    stamps = {name: stamp(house.inbox / name) for name in sources}
    for _ in range(KILLS_A_ROUND):
        with Daemon(house) as daemon:
            kill_in_the_middle(daemon, done=chance.randrange(12), pause_seconds=chance.random() * 0.3)
    with Daemon(house) as daemon:
        daemon.ready()
        daemon.until(lambda: len(house.results()) >= PICTURES)
        daemon.until(lambda: _settled(house))
        assert daemon.stop() == 0
    assert sorted(house.results()) == sorted(name.replace(".jpg", ".png") for name in sources)
    for name in sources:
        result = house.outbox / name.replace(".jpg", ".png")
        assert result.read_bytes() == (clean / result.name).read_bytes()
    assert not list(house.home.rglob(".bgrd*"))
    left = {path.name: path.read_bytes() for path in house.inbox.iterdir()}
    archive = house.home / "bgr/inbox-done"
    archived = {path.name: path.read_bytes() for path in archive.iterdir()} if archive.exists() else {}
    assert (left, archived) == {"keep": (sources, {}), "archive": ({}, sources), "delete": ({}, {})}[policy]
    if policy == "keep":
        assert {name: stamp(house.inbox / name) for name in sources} == stamps
    jobs = house.jobs()
    assert sorted(os.fsdecode(job.path) for job in jobs) == sorted(sources)
    assert {job.state for job in jobs} == {State.DONE}


def _settled(house: House) -> bool:
    """Say whether the daemon's status tells that every picture is done."""
    jobs = house.status().get("folders", {}).get("default", {}).get("jobs", {})
    return bool(jobs) and jobs.get("done") == PICTURES == sum(jobs.values())
