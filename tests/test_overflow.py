"""More than the kernel tells: a flood against a stopped daemon, and limits on inotify in a user namespace."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bgrd.job import State
from tests.houses.daemons import Daemon
from tests.houses.houses import House
from tests.pictures.scenes import phone_photo

pytestmark = [pytest.mark.long, pytest.mark.timeout(1800)]

FLOOD = Path(__file__).parent / "programs/flooded_daemon.py"
ALTERED = Path(__file__).parent / "programs/altered_intake.py"
NUMBER = 30_000
SHARED_MEMORY = Path("/dev/shm")
QUEUE = Path("/proc/sys/fs/inotify/max_queued_events")


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Path]:
    """Give a directory in memory where there is one: 30,000 times all the fsyncs of a job take a disk half an hour."""
    if not SHARED_MEMORY.is_dir():
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=SHARED_MEMORY) as made:
        yield Path(made)


def test_a_flood_against_a_stopped_daemon(memory: Path) -> None:
    """30,000 files while the daemon stands: the kernel's queue overflows, and every file is done exactly once."""
    if int(QUEUE.read_text()) >= 2 * NUMBER:
        pytest.skip(f"the kernel's queue holds {QUEUE.read_text().strip()} events: it would not overflow")
    house = House(memory / "house").folders()
    names = [f"{number % 97}/{number}.jpg" for number in range(NUMBER)]
    for number in range(97):
        (house.inbox / str(number)).mkdir()
    with Daemon(house, program=(sys.executable, str(FLOOD), "run")) as daemon:
        daemon.ready()
        daemon.until(lambda: house.status().get("ready"))
        daemon.signal(signal.SIGSTOP)
        for name in names:
            (house.inbox / name).write_bytes(name.encode())
        daemon.signal(signal.SIGCONT)
        daemon.heard("intake.doubt", reason="more happened at once than the kernel's queue holds")
        daemon.until(lambda: _done(house) >= NUMBER, seconds=1500)
        assert daemon.stop() == 0
    jobs = house.jobs()
    assert len(jobs) == NUMBER
    assert {(job.state, job.attempts) for job in jobs} == {(State.DONE, 0)}
    results = house.results()
    assert len(results) == NUMBER
    wrong = [name for name in names if results[name[:-4] + ".png"].read_bytes() != name.encode().upper()]
    assert not wrong


def _done(house: House) -> int:
    done = house.status().get("folders", {}).get("default", {}).get("jobs", {}).get("done", 0)
    assert isinstance(done, int)
    return done


class Limits:
    """A user namespace whose limits on inotify a test sets."""

    def __init__(self, holder: subprocess.Popen[bytes]) -> None:
        self._holder = holder

    def inside(self, *words: str) -> tuple[str, ...]:
        """Give the command line that runs a program there."""
        return ("nsenter", "-t", str(self._holder.pid), "-U", "--preserve-credentials", "--", *words)

    def set(self, name: str, number: int) -> None:
        """Set `max_inotify_watches` or `max_inotify_instances`."""
        command = f"echo {number} > /proc/sys/user/{name}"
        subprocess.run(self.inside("sh", "-c", command), check=True)


@contextmanager
def limits() -> Iterator[Limits]:
    """Give a user namespace; skips where there is none."""
    words = ("unshare", "-U", "-r", "sh", "-c", "echo; exec sleep infinity")
    with subprocess.Popen(words, stdout=subprocess.PIPE) as holder:
        try:
            assert holder.stdout is not None
            if not holder.stdout.readline():
                pytest.skip("needs user namespaces")
            yield Limits(holder)
        finally:
            holder.kill()


@pytest.mark.parametrize(
    ("limit", "sysctl"),
    [
        ("max_inotify_watches", "fs.inotify.max_user_watches"),
        ("max_inotify_instances", "fs.inotify.max_user_instances"),
    ],
)
def test_the_limit_on_inotify(tmp_path: Path, limit: str, sysctl: str) -> None:
    """One warning that names the sysctl, everything done by scanning, and watching again once there is room."""
    house = House(tmp_path / "house").folders()
    house.configure("[defaults]\nrescan_seconds = 5\npoll_seconds = 1\n")
    for name in ("one", "two", "three"):
        (house.inbox / name).mkdir()
    with limits() as world:
        world.set(limit, 2 if limit == "max_inotify_watches" else 0)
        program = world.inside(sys.executable, str(ALTERED), str(tmp_path / "orders"), "5", "run")
        with Daemon(house, program=program) as daemon:
            daemon.ready()
            assert daemon.heard("watch.limit")[0]["sysctl"] == sysctl
            daemon.until(lambda: sysctl in house.status()["folders"]["default"]["watch_reason"])
            (house.inbox / "three/a.jpg").write_bytes(phone_photo())
            daemon.done(["three/a.jpg"])
            world.set(limit, 100)
            daemon.heard("watch.restored")
            (house.inbox / "three/b.jpg").write_bytes(phone_photo(seed=2))
            daemon.done(["three/b.jpg"])
            assert len(daemon.events("watch.limit")) == 1
            assert daemon.stop() == 0


def test_a_tree_that_is_too_much_for_the_limit(tmp_path: Path) -> None:
    """A limit that is met later, by a tree that was moved in: the same warning, and what is in the tree is done."""
    house = House(tmp_path / "house").folders()
    house.configure("[defaults]\nrescan_seconds = 5\npoll_seconds = 1\n")
    tree = house.home / "tree"
    for number in range(10):
        (tree / str(number)).mkdir(parents=True)
        (tree / str(number) / "a.jpg").write_bytes(phone_photo(seed=number))
    with limits() as world:
        world.set("max_inotify_watches", 5)
        program = world.inside(sys.executable, str(ALTERED), str(tmp_path / "orders"), "5", "run")
        with Daemon(house, program=program) as daemon:
            daemon.ready()
            daemon.until(lambda: house.status()["folders"]["default"]["watch"] == "inotify")
            os.rename(tree, house.inbox / "tree")
            daemon.heard("watch.limit", sysctl="fs.inotify.max_user_watches")
            daemon.done(f"tree/{number}/a.jpg" for number in range(10))
            (house.inbox / "tree/9/b.jpg").write_bytes(phone_photo(seed=20))
            daemon.done(["tree/9/b.jpg"])
            world.set("max_inotify_watches", 100)
            daemon.heard("watch.restored")
            assert daemon.stop() == 0
