"""A state directory whose disk is full or read-only, and then is not any more: nothing is lost or done twice."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from bgrd.job import State
from tests.houses.daemons import Daemon
from tests.houses.houses import House
from tests.kernel.mounted import MOUNTS, Disk, own_mounts
from tests.kernel.processes import bound
from tests.pictures.scenes import check_result, check_whole, phone_photo, slow_photo
from tests.programs.hurried import HURRIED

pytestmark = [MOUNTS, pytest.mark.timeout(240)]


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """Give a house in which the test may mount."""
    with own_mounts():
        yield House(tmp_path / "house").folders()


@pytest.fixture
def disk(house: House) -> Disk:
    """Give the small disk that the state directory is."""
    return Disk(house.state, "size=1m")


def drop(house: House, number: int, *, first: int = 0) -> dict[Path, bytes]:
    """Drop pictures into the inbox."""
    sources = {house.inbox / f"{seed}.jpg": phone_photo(seed=seed) for seed in range(first, first + number)}
    for path, data in sources.items():
        path.write_bytes(data)
    return sources


def check_all_done(daemon: Daemon, sources: dict[Path, bytes]) -> None:
    """Hold that each source was done once, by one job, and that there is one whole result each."""
    house = daemon.house
    for path, data in sources.items():
        (check_result if len(data) < 2**18 else check_whole)(house.outbox / f"{path.stem}.png", data)
    assert sorted(house.results()) == sorted(f"{path.stem}.png" for path in sources)
    done = Counter(event["path"] for event in daemon.events("job.done"))
    assert set(done.values()) <= {1}
    assert sorted((os.fsdecode(job.path), job.state, job.attempts) for job in house.jobs()) == sorted(
        (path.name, State.DONE, 0) for path in sources
    )


def test_full_at_the_start(house: House, disk: Disk) -> None:
    """Without room for a journal bgrd says so and ends, with a status that has it started again, and makes nothing."""
    disk.fill()
    sources = drop(house, 2)
    refused = house.run("run")
    assert refused.returncode == os.EX_IOERR
    assert "No space left on device" in refused.stderr or "the disk is full" in refused.stderr
    assert "Traceback" not in refused.stderr
    disk.free()
    with Daemon(house, program=HURRIED) as daemon:
        daemon.done(path.name for path in sources)
        assert daemon.stop() == 0
    check_all_done(daemon, sources)


@pytest.mark.long
def test_full_at_a_later_start(house: House, disk: Disk) -> None:
    """The same over a journal that holds work: it is all there once there is room."""
    with Daemon(house, program=HURRIED) as daemon:
        sources = drop(house, 2)
        daemon.done(path.name for path in sources)
        daemon.kill()
    disk.fill()
    sources |= drop(house, 2, first=2)
    refused = house.run("run")
    assert refused.returncode == os.EX_IOERR
    assert "full" in refused.stderr or "No space" in refused.stderr
    disk.free()
    with Daemon(house, program=HURRIED) as daemon:
        daemon.done(path.name for path in list(sources)[2:])
        assert daemon.stop() == 0
    check_all_done(daemon, sources)


def test_full_while_pictures_arrive(house: House, disk: Disk) -> None:
    """What arrives while the journal cannot grow is told to wait, and is done once there is room."""
    with Daemon(house, program=HURRIED) as daemon:
        daemon.ready()
        disk.fill()
        sources = drop(house, 5)
        daemon.heard("intake.stalled")
        assert not daemon.events("job.done")
        disk.free()
        daemon.done(path.name for path in sources)
        daemon.heard("intake.resumed")
        assert daemon.stop() == 0
    check_all_done(daemon, sources)


@pytest.mark.parametrize(
    "end", ["freed", *(pytest.param(end, marks=pytest.mark.long) for end in ("killed", "stopped"))]
)
def test_full_in_the_middle_of_a_picture(house: House, disk: Disk, end: str) -> None:
    """Between claim and done: whether room is made, the daemon killed or told to stop, each is done once."""
    with Daemon(house, program=HURRIED) as daemon:
        daemon.ready()
        sources = {house.inbox / f"{seed}.jpg": slow_photo(seed=seed) for seed in range(3)}
        for path, data in sources.items():
            path.write_bytes(data)
        lane, _ = daemon.catch_lane(sources)
        disk.fill()
        os.kill(lane, signal.SIGCONT)
        assert "make room" in daemon.heard("journal.waiting")[0]["reason"]
        match end:
            case "freed":
                disk.free()
                daemon.done(path.name for path in sources)
                assert daemon.stop() == 0
            case "killed":
                daemon.kill()
                disk.free()
            case "stopped":
                assert daemon.stop() == 0
                assert daemon.events("daemon.end")[0]["clean"] is False
                disk.free()
    if end != "freed":
        with Daemon(house, program=HURRIED) as daemon:
            daemon.until(lambda: len(house.results()) == len(sources))
            daemon.ready()
            daemon.until(lambda: house.status()["folders"]["default"]["jobs"] == {"done": 3})
            assert daemon.stop() == 0
    check_all_done(daemon, sources)


def test_full_while_the_configuration_is_read_anew(house: House, disk: Disk) -> None:
    """A reload that needs the journal is refused with the reason, all goes on as before, and later it is taken."""
    for name in ("more/in", "more/out"):
        (house.home / name).mkdir(parents=True)
    folder = '[[folder]]\nname = "{0}"\ninbox = "~/{1}"\noutbox = "~/{2}"\n'
    before = folder.format("default", "bgr/inbox", "bgr/outbox")
    house.configure(before)
    with Daemon(house, program=HURRIED) as daemon:
        daemon.ready()
        disk.fill()
        house.configure(before + folder.format("more", "more/in", "more/out"))
        daemon.signal(signal.SIGHUP)
        assert "make room" in daemon.heard("reload.rejected")[0]["reason"]
        disk.free()
        sources = drop(house, 1)
        daemon.done(path.name for path in sources)
        daemon.signal(signal.SIGHUP)
        daemon.heard("reload.done", folders=2)
        assert daemon.stop() == 0
    check_all_done(daemon, sources)


def broken_disk(house: House) -> None:
    """Mount an ext4 file system that lets itself be told of an error; skip where there is none."""
    image = house.root / "image"
    with image.open("wb") as file:
        file.truncate(8 * 2**20)
    for command in (
        ["mkfs.ext4", "-q", str(image)],
        ["mount", "-o", "loop,errors=remount-ro", str(image), str(house.state)],
    ):
        if shutil.which(command[0]) is None or subprocess.run(command, check=False, capture_output=True).returncode:
            pytest.skip(f"{command[0]} is missing or refuses: no loop devices here")


def fail_disk(path: Path) -> None:
    """Let the file system at `path` meet an error, after which the kernel takes no more writes."""
    found = subprocess.run(["findmnt", "-no", "SOURCE", path], check=True, capture_output=True, text=True)
    Path("/sys/fs/ext4", Path(found.stdout.strip()).name, "trigger_fs_error").write_text("1")


@pytest.mark.long
def test_a_disk_that_fails(house: House) -> None:
    """After a disk error the kernel takes no more writes: bgrd says so, ends when told, and has lost nothing."""
    house.state.mkdir(parents=True)
    broken_disk(house)
    try:
        with Daemon(house, program=HURRIED) as daemon:
            daemon.ready()
            first = drop(house, 1)
            daemon.done(path.name for path in first)
            fail_disk(house.state)
            sources = first | drop(house, 2, first=1)
            reason = daemon.heard("intake.stalled")[0]["reason"]
            assert "cannot be read or written; check the disk" in reason or "read-only" in reason
            assert daemon.stop() == 0
    finally:
        subprocess.run(["umount", house.state], check=True)
    subprocess.run(["e2fsck", "-fy", str(house.root / "image")], check=False, capture_output=True)
    subprocess.run(["mount", "-o", "loop", str(house.root / "image"), str(house.state)], check=True)
    with Daemon(house, program=HURRIED) as daemon:
        daemon.done(path.name for path in list(sources)[1:])
        assert daemon.stop() == 0
    check_all_done(daemon, sources)


@pytest.mark.long
def test_read_only_at_the_start(house: House, disk: Disk) -> None:
    """A state directory that cannot be written is told in a sentence, and nothing is processed."""
    with Daemon(house, program=HURRIED) as daemon:
        daemon.ready()
        assert daemon.stop() == 0
    sources = drop(house, 1)
    disk.remount("ro")
    for command in (("run",), ("once", "--no-progress")):
        refused = house.run(*command)
        assert refused.returncode == os.EX_IOERR
        assert "ead-only" in refused.stderr
        assert "Traceback" not in refused.stderr
    assert not house.results()
    disk.remount("rw")
    with Daemon(house, program=HURRIED) as daemon:
        daemon.done(path.name for path in sources)
        assert daemon.stop() == 0
    check_all_done(daemon, sources)


@pytest.mark.long
@pytest.mark.parametrize("name", [".", "lock"])
def test_forbidden_at_the_start(house: House, name: str) -> None:
    """A state directory, or a file in it, that this user may not use is told in a sentence that names it."""
    with Daemon(house, program=HURRIED) as daemon:
        daemon.ready()
        assert daemon.stop() == 0
    (house.state / name).chmod(0)
    for command in (("run",), ("once", "--no-progress")):
        refused = house.run(*command, before=bound())
        assert refused.returncode == os.EX_IOERR
        assert str(house.state) in refused.stderr
        assert "ermission" in refused.stderr
        assert "Traceback" not in refused.stderr
    (house.state / name).chmod(0o700)
    with Daemon(house, program=HURRIED) as daemon:
        daemon.ready()
        assert daemon.stop() == 0
