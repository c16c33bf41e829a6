"""Kill -9 of the daemon and of lanes, in the middle of work: nothing is lost, nothing done twice, nothing partial."""

from __future__ import annotations

import os
import random
import signal
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from bgrd.job import State
from tests.houses.daemons import Daemon
from tests.houses.houses import House
from tests.houses.inboxes import until
from tests.houses.sites import Picture, Site, pictures
from tests.kernel.processes import children
from tests.pictures.scenes import check_whole, slow_photo

pytestmark = pytest.mark.timeout(600)

KILLS = 100


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
    house.configure("lanes = 2\n")
    with Daemon(house) as daemon:
        daemon.ready()
        sources = drop_slow(house, number=4)
        daemon.catch_lane(sources)
        # A child is a lane once it runs the lane's program: between fork and exec it is still a copy of the daemon.
        daemon.until(lambda: len(house.lanes()) == 2)
        daemon.kill()
        until(lambda: not house.processes(), seconds=20)
    with Daemon(house) as daemon:
        daemon.ready()
        daemon.until(lambda: len(house.results()) == len(sources))
        daemon.until(lambda: not [path for path in house.outbox.rglob("*") if path.name.startswith(".")])
        assert daemon.stop() == 0
    assert {(job.state, job.attempts) for job in house.jobs()} == {(State.DONE, 0)}


class Senders:
    """A thread for each folder that sends pictures while it may, one after the other."""

    def __init__(self, site: Site, made: Sequence[Picture]) -> None:
        self.lock = threading.Lock()
        self.sent = 0
        self._site = site
        self._made = made
        self._permits = threading.Semaphore(0)
        self._ended = False
        self._threads = [threading.Thread(target=self._send, args=(name,)) for name in site.witnesses]
        for thread in self._threads:
            thread.start()

    def permit(self, number: int) -> None:
        """Let so many more pictures be sent, by whoever comes first."""
        self._permits.release(number)

    def end(self) -> None:
        """Send no more."""
        self._ended = True
        self._permits.release(len(self._threads))
        for thread in self._threads:
            thread.join()

    def _send(self, folder: str) -> None:
        while self._permits.acquire() and not self._ended:
            with self.lock:  # what is sent is written down before anybody looks
                self.sent += 1
                data, results = self._made[self.sent % len(self._made)]
                named = {f"{self.sent}{suffix}": result for suffix, result in results.items()}
                self._site.witnesses[folder].send(f"{self.sent}.jpg", data, named)


def kill_a_lane(daemon: Daemon) -> None:
    """Kill -9 one of the lanes, if there is one by now."""
    for lane in children(daemon.pid)[:1]:
        with suppress(ProcessLookupError):
            os.kill(lane, signal.SIGKILL)


def live_and_die(site: Site, senders: Senders, chance: random.Random) -> None:
    """Start the daemon, have it and perhaps a lane killed at random moments, and hold that nothing is wrong then.

    Three of four are killed in the middle of work, after some pictures; the fourth at any moment since its start.
    """
    daemon = site.start(ready=False)
    senders.permit(chance.randrange(1, 7))
    if chance.random() < 0.75:
        wanted, enough = chance.randrange(1, 5), site.open_jobs
        daemon.until(
            lambda: len(daemon.events("job.done")) >= wanted or (daemon.events("daemon.ready") and not enough())
        )
    if chance.random() < 0.25:
        kill_a_lane(daemon)
    threading.Event().wait(chance.random() * 0.2)
    with senders.lock:
        site.kill()


def settle_in_the_end(site: Site) -> int:
    """Wait until all is done; gives how many pictures had to be sent again, as a user would.

    A picture in whose lane the daemon ended three times, or whose lanes were killed twice, is failed: rightly so.
    """
    again: set[tuple[str, str]] = set()

    def settled() -> bool:
        failed = site.failed()
        for folder, name, charged in failed:
            assert charged >= 2, f"{folder}/{name} failed after {charged}"
            if (folder, name) not in again:
                again.add((folder, name))
                site.witnesses[folder].touch(name)
        return not failed and not site.open_jobs()

    site.until(settled)
    site.settle()
    return len(again)


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_kills_at_random_moments(tmp_path: Path, seed: int) -> None:
    """Killed 100 times while pictures come and go: one right result each, policies applied once, nothing else left."""
    chance = random.Random(seed)
    site = Site(tmp_path, settings="lanes = 2", hooked=False)
    senders = Senders(site, pictures(site.house, 6))
    try:
        for _ in range(KILLS):
            live_and_die(site, senders, chance)
        senders.end()
        site.start()
        again = settle_in_the_end(site)
    except BaseException as error:
        senders.end()
        error.add_note(f"seed {seed}, {senders.sent} pictures")
        site.abandon()
        raise
    site.close()
    jobs = site.house.jobs()
    assert {job.state for job in jobs} <= {State.DONE, State.WITHDRAWN}
    assert len([job for job in jobs if job.state is State.DONE]) >= senders.sent
    assert again <= senders.sent // 20, "failed for being killed so often"
