"""Sources that are replaced while they are worked on, where done sources are deleted or archived: no byte is lost."""

from __future__ import annotations

import hashlib
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.houses.daemons import Daemon
from tests.houses.houses import House
from tests.houses.sightings import Sightings
from tests.pictures.scenes import phone_photo, slow_photo

pytestmark = pytest.mark.timeout(240)

HELD = Path(__file__).parent / "programs/held_moments.py"
BYTES = 40_000
"""The size of every picture here: what follows a picture's end is allowed, so equal sizes cost nothing."""

Replace = Callable[[Path, bytes], None]


def picture(seed: int) -> bytes:
    """Make a picture that has the size of all others."""
    return phone_photo(seed=seed).ljust(BYTES, b".")


def renamed_over(place: Path, data: bytes) -> None:
    """As editors and sync programs do."""
    aside = place.with_name(f".{place.name}")
    aside.write_bytes(data)
    aside.rename(place)


def renamed_with_times(place: Path, data: bytes) -> None:
    """Do the same, with the old one's times."""
    found = place.stat()
    aside = place.with_name(f".{place.name}")
    aside.write_bytes(data)
    os.utime(aside, ns=(found.st_atime_ns, found.st_mtime_ns))
    aside.rename(place)


def overwritten(place: Path, data: bytes) -> None:
    """In place, at the same size."""
    with place.open("r+b") as file:
        file.write(data)


def overwritten_with_times(place: Path, data: bytes) -> None:
    """In place, and the time of change forced back."""
    found = place.stat()
    overwritten(place, data)
    os.utime(place, ns=(found.st_atime_ns, found.st_mtime_ns))


def written_anew(place: Path, data: bytes) -> None:
    """Empty and write it."""
    place.write_bytes(data)


def made_anew(place: Path, data: bytes) -> None:
    """Remove and make it."""
    place.unlink()
    place.write_bytes(data)


def appended(place: Path, data: bytes) -> None:
    """More of it, behind the picture's end."""
    with place.open("ab") as file:
        file.write(b"more")


REPLACE: dict[str, Replace] = {
    each.__name__: each
    for each in (
        renamed_over,
        renamed_with_times,
        overwritten,
        overwritten_with_times,
        written_anew,
        made_anew,
        appended,
    )
}
MOMENTS = ("opened", "hashed", "worked", "compared", "committed")
HIDDEN = ("hidden", "proven")
"""Moments at which the source has lost its name: then only a new file can come."""


def cases() -> dict[str, tuple[str, Replace, bytes, bytes]]:
    """Give for each name the moment, the way, the old and the new bytes."""
    found: dict[str, tuple[str, Replace, bytes, bytes]] = {}
    for moment in (*MOMENTS, *HIDDEN):
        for way, replace in REPLACE.items() if moment in MOMENTS else {"dropped": written_anew}.items():
            old, new = picture(2 * len(found)), picture(2 * len(found) + 1)
            found[f"{moment}-{way}.jpg"] = moment, replace, old, old + b"more" if replace is appended else new
    return found


CASES = cases()


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> dict[bytes, bytes]:
    """Give the results of all pictures, old and new, by `bgrd once`."""
    house = House(tmp_path_factory.mktemp("clean") / "house")
    pictures = [data for _, _, *both in CASES.values() for data in both]
    files = [house.root / f"{number}.jpg" for number in range(len(pictures))]
    for file, data in zip(files, pictures, strict=True):
        file.write_bytes(data)
    done = house.run("once", "--no-progress", "-o", house.root / "clean", *files)
    assert done.returncode == 0, done.stderr
    return {
        data: (house.root / "clean" / f"{file.stem}.png").read_bytes()
        for file, data in zip(files, pictures, strict=True)
    }


@pytest.mark.parametrize("policy", ["delete", "archive"])
def test_a_source_that_is_replaced_meanwhile(tmp_path: Path, policy: str, clean: dict[bytes, bytes]) -> None:
    """Whenever and however: the new bytes get their own result and only then their end; nothing else stays."""
    house = House(tmp_path / "house").folders()
    archive = house.home / "bgr/inbox-done"
    house.configure(f'lanes = 1\n[defaults]\npolicy = "{policy}"\n')
    moments = tmp_path / "moments"
    moments.mkdir()
    program = (sys.executable, str(HELD), str(moments), "run")
    with Daemon(house, program=program) as daemon, Sightings(house.outbox) as sightings:
        daemon.ready()
        for name, (moment, replace, old, new) in CASES.items():
            flag, place = moments / moment, house.inbox / name
            result = house.outbox / f"{place.stem}.png"
            flag.touch()
            place.write_bytes(old)
            daemon.until(flag.with_suffix(".reached").exists)
            replace(place, new)
            flag.with_suffix(".reached").unlink()
            flag.unlink()

            def done(result: Path = result, new: bytes = new) -> bool:
                # A hidden source is one that the next case's flag would hold.
                return not list(house.inbox.iterdir()) and result.exists() and result.read_bytes() == clean[new]

            daemon.until(done)
        assert daemon.stop() == 0
        assert not daemon.events("job.failed")
    assert house.results().keys() == {f"{Path(name).stem}.png" for name in CASES}
    for name, (_, _, old, new) in CASES.items():
        seen = sightings.seen[f"{Path(name).stem}.png"]
        assert seen <= {hashlib.sha256(clean[data]).hexdigest() for data in (old, new)}
    left = {path.name: path.read_bytes() for path in archive.iterdir()} if archive.exists() else {}
    wanted: dict[str, bytes] = {}
    for name, (moment, _, old, new) in CASES.items():
        wanted |= {name: old, name.replace(".jpg", "-2.jpg"): new} if moment in HIDDEN else {name: new}
    assert left == (wanted if policy == "archive" else {})


def test_a_directory_that_becomes_a_link(tmp_path: Path) -> None:
    """A directory moved away, with a link in its place, while its picture is worked on: withdrawn, once, for good."""
    house = House(tmp_path / "house").folders()
    house.configure("[defaults]\nrescan_seconds = 1\n")
    album, away = house.inbox / "album", house.root / "away"
    album.mkdir()
    with Daemon(house) as daemon:
        daemon.ready()
        source = album / "slow.jpg"
        source.write_bytes(slow_photo(seed=1))
        lane, _ = daemon.catch_lane([source])
        album.rename(away)
        album.symlink_to(away)
        os.kill(lane, signal.SIGCONT)
        daemon.heard("job.withdrawn", path="album/slow.jpg")
        (house.inbox / "next.jpg").write_bytes(picture(1))
        daemon.done(["next.jpg"])
        daemon.heard("intake.skipped", counts={"link": 1})
        assert daemon.stop() == 0
        assert len(daemon.events("job.withdrawn")) == 1
    assert list(house.results()) == ["next.png"]
    assert len(house.jobs()) == 2
    assert (away / "slow.jpg").read_bytes() == slow_photo(seed=1)
