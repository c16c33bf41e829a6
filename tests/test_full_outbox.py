"""An outbox that is full, read-only or forbidden, and then is not any more: real file systems, real daemons."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from bgrd.job import State
from tests.houses.daemons import Daemon
from tests.houses.houses import House
from tests.kernel.mounted import MOUNTS, Disk, own_mounts
from tests.kernel.processes import bound
from tests.pictures.scenes import phone_photo
from tests.programs.hurried import HURRIED

pytestmark = [MOUNTS, pytest.mark.timeout(240)]

NO_FLOOR = "[defaults]\nmin_free = 0\nrescan_seconds = 1\n"
"""Results may take the last byte."""


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """Give a house in which the test may mount."""
    with own_mounts():
        house = House(tmp_path / "house").folders()
        house.configure(NO_FLOOR)
        yield house


def drop(house: House, number: int, *, first: int = 0) -> dict[str, bytes]:
    """Drop pictures into the inbox."""
    sources = {f"{seed}.jpg": phone_photo(seed=seed) for seed in range(first, first + number)}
    for name, data in sources.items():
        (house.inbox / name).write_bytes(data)
    return sources


def blocked(daemon: Daemon, word: str) -> None:
    """Wait until the status says that the folder is blocked, and why; the log says it too."""

    def said() -> bool:
        folder = daemon.house.status().get("folders", {}).get("default", {})
        return folder.get("state") == "blocked" and word in folder["reason"]

    daemon.until(said)
    assert any(word in event["reason"] for event in daemon.events("folder.blocked"))


def check_all_done(house: House, sources: Mapping[str, bytes]) -> None:
    """Hold that each source has exactly one result, bit for bit that of a clean run, and nothing else is there."""
    assert {(job.state, job.attempts) for job in house.jobs() if job.state is not State.WITHDRAWN} == {(State.DONE, 0)}
    aside = house.root / "aside"
    aside.mkdir()
    for name, data in sources.items():
        (aside / name).write_bytes(data)
    clean = house.run("once", "--no-progress", "-o", house.root / "clean", aside)
    assert clean.returncode == 0, clean.stderr
    results = {name: path.read_bytes() for name, path in house.results().items() if path.name != ".ballast"}
    assert results == {path.name: path.read_bytes() for path in (house.root / "clean").iterdir()}


def test_full_and_freed(house: House) -> None:
    """Somebody fills the outbox: the folder is blocked and says so, nobody is charged, and it resumes by itself."""
    disk = Disk(house.outbox, "size=2m")
    with Daemon(house, program=HURRIED) as daemon:
        daemon.ready()
        disk.fill()
        sources = drop(house, 4)
        blocked(daemon, f"the outbox {house.outbox} is full: make room")
        assert house.results().keys() == {".ballast"}
        disk.free()
        daemon.done(sources)
        daemon.heard("folder.resumed")
        assert not daemon.events("job.failed", "job.retry")
        assert daemon.stop() == 0
    check_all_done(house, sources)


def test_results_that_fill_it_themselves(house: House) -> None:
    """What does not fit any more leaves nothing behind, and what fits is done; with more room so is the rest."""
    disk = Disk(house.outbox, "size=280k")
    with Daemon(house, program=HURRIED) as daemon:
        daemon.ready()
        sources = drop(house, 12)
        blocked(daemon, "make room")
        done = daemon.events("job.done")
        assert 0 < len(done) < len(sources)
        disk.remount("size=4m")
        daemon.done(sources)
        assert daemon.stop() == 0
    check_all_done(house, sources)


@pytest.mark.long
def test_no_more_names(house: House) -> None:
    """A file system without inodes is full, however many bytes are free."""
    disk = Disk(house.outbox, "size=4m", "nr_inodes=4")
    with Daemon(house, program=HURRIED) as daemon:
        daemon.ready()
        sources = drop(house, 6)
        blocked(daemon, "is full: make room")
        disk.remount("nr_inodes=1000")
        daemon.done(sources)
        assert daemon.stop() == 0
    check_all_done(house, sources)


@pytest.mark.long
def test_read_only_while_running(house: House) -> None:
    """An outbox that is remounted read-only, as after a disk error, blocks its folder until it is writable again."""
    disk = Disk(house.outbox, "size=4m")
    with Daemon(house, program=HURRIED) as daemon:
        daemon.ready()
        sources = drop(house, 2)
        daemon.done(sources)
        disk.remount("ro")
        sources |= drop(house, 2, first=2)
        blocked(daemon, "read-only")
        disk.remount("rw")
        daemon.done(sources)
        assert daemon.stop() == 0
    check_all_done(house, sources)


@pytest.mark.long
def test_read_only_at_the_start(house: House) -> None:
    """A daemon that starts over a read-only outbox is ready, blocks that folder, and goes on once it is writable."""
    disk = Disk(house.outbox, "size=4m")
    disk.remount("ro")
    sources = drop(house, 3)
    with Daemon(house, program=HURRIED) as daemon:
        daemon.ready()
        blocked(daemon, "read-only")
        disk.remount("rw")
        daemon.done(sources)
        assert daemon.stop() == 0
    check_all_done(house, sources)


@pytest.mark.long
def test_forbidden_outbox(house: House) -> None:
    """An outbox that may not be written blocks its folder until it may."""
    with Daemon(house, program=bound(*HURRIED)) as daemon:
        daemon.ready()
        house.outbox.chmod(0o555)
        sources = drop(house, 2)
        blocked(daemon, "may not be read and written by this user")
        house.outbox.chmod(0o755)
        daemon.done(sources)
        assert daemon.stop() == 0
    check_all_done(house, sources)


@pytest.mark.long
def test_forbidden_inbox(house: House) -> None:
    """An inbox that may not be read is told of, and its pictures are done once it may; none is taken for gone."""
    with Daemon(house, program=bound(*HURRIED)) as daemon:
        daemon.ready()
        sources = drop(house, 2)
        daemon.done(sources)
        house.inbox.chmod(0)
        sources |= drop(house, 2, first=2)

        def said() -> bool:
            folder = house.status().get("folders", {}).get("default", {})
            return folder.get("state") in {"blocked", "unavailable"} and "ermission" in folder["reason"]

        daemon.until(said)
        house.inbox.chmod(0o755)
        daemon.done(sources)
        assert daemon.stop() == 0
    check_all_done(house, sources)


def ready_jobs(house: House) -> int:
    """Give how many jobs wait for their turn while a daemon runs."""
    found = house.run("status", "--json")
    assert found.returncode == 0, found.stderr
    return int(json.loads(found.stdout)["folders"]["default"]["jobs"].get("ready", 0))


def stamp(path: Path) -> tuple[int, int, int]:
    """Give what shows whether anybody wrote a file anew."""
    found = path.stat()
    return found.st_ino, found.st_mtime_ns, found.st_ctime_ns


@pytest.mark.parametrize("policy", ["archive", pytest.param("delete", marks=pytest.mark.long)])
def test_forbidden_source_policy(house: House, policy: str) -> None:
    """A source that may not be moved away keeps its result and its place until it may: then it goes, once."""
    house.configure(NO_FLOOR + f'policy = "{policy}"\n')
    archive = house.home / "bgr/inbox-done"
    with Daemon(house, program=bound(*HURRIED)) as daemon:
        daemon.ready()
        (archive if policy == "archive" else house.inbox).chmod(0o555)
        sources = drop(house, 1)
        waiting = daemon.heard("job.waiting", path="0.jpg", stage="source policy")[0]
        assert "ermission" in waiting["reason"]
        if policy == "archive":
            blocked(daemon, f"the archive {archive} may not be read and written")
        assert (house.inbox / "0.jpg").read_bytes() == sources["0.jpg"]
        before = stamp(house.outbox / "0.png")
        (archive if policy == "archive" else house.inbox).chmod(0o755)
        daemon.done(sources)
        # A source that was put back looks new (its ctime is); that job is withdrawn once somebody looks for its file.
        daemon.until(lambda: not ready_jobs(house))
        assert daemon.stop() == 0
    assert stamp(house.outbox / "0.png") == before
    assert not list(house.inbox.iterdir())
    if policy == "archive":
        assert {path.name: path.read_bytes() for path in archive.iterdir()} == sources
    check_all_done(house, sources)


@pytest.mark.long
def test_full_archive(house: House) -> None:
    """An archive on another disk that is full: sources stay, the folder says which disk it is, then they go."""
    house.configure(NO_FLOOR + 'policy = "archive"\n')
    archive = house.home / "bgr/inbox-done"
    disk = Disk(archive, "size=4m")
    disk.fill()
    sources = drop(house, 3)
    with Daemon(house, program=HURRIED) as daemon:
        daemon.ready()
        blocked(daemon, f"the archive {archive} is full: make room")
        assert {path.name: path.read_bytes() for path in house.inbox.iterdir()} == sources
        disk.free()
        daemon.until(lambda: not list(house.inbox.iterdir()))
        daemon.done(sources)
        assert daemon.stop() == 0
    assert {path.name: path.read_bytes() for path in archive.iterdir()} == sources
    check_all_done(house, sources)
