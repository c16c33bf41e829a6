"""Files that have their full size from the start and are filled out of order, closed after each part."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from PIL import Image
from pillow_heif import from_pillow

from bgrd.kernel import first_hole
from tests.houses.daemons import Daemon
from tests.houses.houses import House
from tests.houses.sightings import Sightings
from tests.pictures.making import encoded
from tests.pictures.scenes import photo

pytestmark = pytest.mark.timeout(240)

FORMATS = ("avif", "bmp", "gif", "heic", "jpg", "png", "tif", "webp", "lossless.webp", "lzw.tif")
ROOM: dict[str, Callable[[int, int], None]] = {
    "truncated": os.ftruncate,
    "allocated": lambda file, size: os.posix_fallocate(file, 0, size),
}
PARTS = 4
ORDER = (3, 0, 2, 1)


@cache
def picture(suffix: str) -> bytes:
    """Make a picture of some format, so large that each part is many pages long."""
    image = photo(560, 400, seed=len(suffix))
    match suffix:
        case "heic":
            return heic()
        case "jpg" | "avif" | "webp":
            return encoded(image, {"jpg": "JPEG"}.get(suffix, suffix.upper()), quality=95)
        case "lossless.webp":
            return encoded(image, "WEBP", lossless=True)
        case "lzw.tif":
            return encoded(image, "TIFF", compression="tiff_lzw")
        case _:
            return encoded(image, {"tif": "TIFF"}.get(suffix, suffix.upper()))


@cache
def heic() -> bytes:
    """Make a picture as an iPhone sends it."""
    stream = io.BytesIO()
    from_pillow(photo(560, 400)).save(stream, format="HEIF", quality=95)
    return stream.getvalue()


def fill(place: Path, data: bytes, part: int) -> None:
    """Write one part where it belongs, and close the file."""
    size = len(data) // PARTS + 1
    with place.open("r+b", buffering=0) as file:
        file.seek(part * size)
        file.write(data[part * size : (part + 1) * size])


def check_holes_are_told(place: Path) -> None:
    """Skip where nobody says what was never written."""
    with (place / "probe").open("w+b") as probe:
        os.ftruncate(probe.fileno(), 10**5)
        if first_hole(probe.fileno(), size=10**5) is None:
            pytest.skip("the file system does not tell what was never written")


def told(daemon: Daemon) -> dict[str, int]:
    """Count how often each file was found incomplete so far."""
    paths = [event["path"] for event in daemon.events("job.waiting") if event["kind"] in {"incomplete", "sparse"}]
    return {path: paths.count(path) for path in paths}


def clean_results(house: House) -> dict[str, bytes]:
    """Process the whole pictures by `bgrd once`."""
    files = []
    (house.root / "whole").mkdir()
    for suffix in FORMATS:
        files.append(house.root / "whole" / f"{suffix.replace('.', '-')}.{suffix.rpartition('.')[2]}")
        files[-1].write_bytes(picture(suffix))
    done = house.run("once", "--no-progress", "-o", house.root / "clean", *files)
    assert done.returncode == 0, done.stderr
    return {
        suffix: (house.root / "clean" / f"{file.stem}.png").read_bytes()
        for suffix, file in zip(FORMATS, files, strict=True)
    }


def test_half_a_picture_is_never_published(tmp_path: Path) -> None:
    """Room first, then part after part in any order, each time closed and looked at: one result, of the whole."""
    house = House(tmp_path / "house").folders()
    check_holes_are_told(tmp_path)
    assert min(len(picture(suffix)) for suffix in FORMATS) > 3 * PARTS * 4096
    places = {
        house.inbox / f"{room} {suffix.replace('.', '-')}.{suffix.rpartition('.')[2]}": (room, suffix)
        for room in ROOM
        for suffix in FORMATS
    }
    with Daemon(house) as daemon, Sightings(house.outbox) as sightings:
        daemon.ready()
        for place, (room, suffix) in places.items():
            with place.open("wb") as file:
                ROOM[room](file.fileno(), len(picture(suffix)))
        daemon.until(lambda: len(told(daemon)) == len(places))
        for part in ORDER[:-1]:
            before = told(daemon)
            for place, (_, suffix) in places.items():
                fill(place, picture(suffix), part)

            def found(before: dict[str, int] = before) -> bool:
                return all(count > before[path] for path, count in told(daemon).items())

            daemon.until(found)
            assert not house.results()
        for place, (_, suffix) in places.items():
            fill(place, picture(suffix), ORDER[-1])
        daemon.done(place.name for place in places)
        assert daemon.stop() == 0
        assert len(daemon.events("job.done")) == len(places)
    clean = clean_results(house)
    names = {f"{place.stem}.png": suffix for place, (_, suffix) in places.items()}
    assert house.results().keys() == names.keys()
    for name, suffix in names.items():
        assert (house.outbox / name).read_bytes() == clean[suffix]
        assert sightings.seen[name] == {hashlib.sha256(clean[suffix]).hexdigest()}
    assert not list(house.outbox.glob("_failed/*"))


def test_a_sparse_copy_is_whole_after_its_grace(tmp_path: Path) -> None:
    """A copy that spares blocks of honest zeros waits for its grace; then its result is published and it is deleted."""
    house = House(tmp_path / "house")
    house.folders().configure("[defaults]\ngrace_seconds = 2\npolicy = 'delete'\n")
    check_holes_are_told(tmp_path)
    image = Image.new("RGB", (560, 400))
    image.paste(photo(200, 150), (180, 20))
    names = {"bitmap.bmp": "BMP", "plain.tif": "TIFF"}
    with Daemon(house) as daemon:
        daemon.ready()
        for name, kind in names.items():
            (tmp_path / name).write_bytes(encoded(image, kind))
            subprocess.run(["cp", "--sparse=always", tmp_path / name, house.inbox / name], check=True)
        daemon.done(names)
        assert told(daemon).keys() == {event["path"] for event in daemon.events("job.done")}
        assert {event["source"] for event in daemon.events("job.done")} == {"deleted"}
        assert daemon.stop() == 0
    assert not list(house.inbox.iterdir())
    assert sorted(house.results()) == ["bitmap.png", "plain.png"]
    assert not list(house.outbox.glob("_failed/*"))
