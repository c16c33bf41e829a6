"""Real photos through the daemon, sent as real programs send; skipped where the pictures are not there."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from bgrd.job import State
from tests.houses.daemons import Daemon
from tests.houses.houses import House
from tests.houses.senders import SENDERS, TWICE, missing_for

PICTURES = Path(__file__).parent.parent.parent / "shared/pictures"
SUFFIXES = {".jpg", ".jpeg", ".png"}

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]


def photos() -> list[Path]:
    """Give the pictures, or skip."""
    found = sorted(path for path in PICTURES.glob("*") if path.suffix in SUFFIXES)
    if not found:
        pytest.skip(f"there are no pictures in {PICTURES}")
    return found


RETOUCHING = TWICE | {"dressed later", "link and unlink", "forbidden first"}
"""Senders that come back to a file when it may be done: what follows is shown with the senders."""


def check_photo(result: Path, source: bytes) -> None:
    """Hold a result against its photo: whole, upright, same size, ICC kept, colours untouched where they show."""
    with Image.open(io.BytesIO(source)) as image:
        icc, upright = image.info.get("icc_profile"), ImageOps.exif_transpose(image)
        plain = image.mode in {"RGB", "RGBA"}
        before = np.asarray(upright.convert("RGB"))
    with Image.open(result) as cut:
        cut.load()
        assert (cut.mode, cut.size) == ("RGBA", upright.size)
        assert cut.info.get("icc_profile") == icc
        pixels = np.asarray(cut)
    assert pixels[..., 3].max() > 127, "nothing was found"
    seen = pixels[..., 3] > 0
    if plain:
        assert np.array_equal(pixels[seen][:, :3], before[seen])


def test_every_photo(tmp_path: Path) -> None:
    """Each photo, whoever sends it, gives exactly one result; equal to that of a run on the file alone."""
    files = photos()
    house = House(tmp_path / "house").folders()
    senders = {
        name: send
        for name, send in SENDERS.items()
        if "tree" not in name and name not in RETOUCHING and not missing_for(name, house.inbox)
    }
    aside = house.root / "aside"
    aside.mkdir()
    names = [f"{index:02} {file.name}" for index, file in enumerate(files)]  # two of them share a stem
    with Daemon(house) as daemon:
        daemon.ready()
        for index, (name, file) in enumerate(zip(names, files, strict=True)):
            send = list(senders.values())[index % len(senders)]
            send(file.read_bytes(), house.inbox / name, aside)
        daemon.done(names)
        assert daemon.stop() == 0
        done = [event["path"] for event in daemon.events("job.done")]
    assert sorted(done) == names
    assert "0 done, 0 failed" in house.run("once", "--no-progress").stderr
    assert {job.state for job in house.jobs()} <= {State.DONE, State.WITHDRAWN}
    assert sorted(house.results()) == sorted(f"{Path(name).stem}.png" for name in names)
    clean = house.root / "clean"
    alone = house.run("once", "--no-progress", "-o", clean, *(house.inbox / name for name in names))
    assert alone.returncode == 0, alone.stderr
    for name, file in zip(names, files, strict=True):
        result = house.outbox / f"{Path(name).stem}.png"
        check_photo(result, file.read_bytes())
        assert result.read_bytes() == (clean / result.name).read_bytes()
        assert (house.inbox / name).read_bytes() == file.read_bytes()


def test_photos_that_share_a_name(tmp_path: Path) -> None:
    """Photos whose names differ in the suffix alone all get their results."""
    file = photos()[0]
    house = House(tmp_path / "house").folders()
    names = ["same.jpg", "same.jpeg", "same.JPG", "same.png"]
    with Daemon(house) as daemon:
        daemon.ready()
        for name in names:
            (house.inbox / name).write_bytes(file.read_bytes())
        daemon.done(names)
        assert daemon.stop() == 0
    assert len(house.results()) == len(names)
    for result in house.results().values():
        check_photo(result, file.read_bytes())
