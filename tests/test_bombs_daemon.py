"""Bombs, and what is no picture, through a real daemon: each ends in a sentence, its lane within its limit."""

from __future__ import annotations

import io
import os
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Self

import pytest
from PIL import Image

from bgrd.job import State
from tests.houses.daemons import Daemon
from tests.houses.houses import House
from tests.pictures import bombs
from tests.pictures.making import corners, encoded, png_of_size
from tests.pictures.scenes import photo
from tests.test_damage import PLAIN, SENTENCE
from tests.test_poison import check_at_rest

pytestmark = pytest.mark.timeout(600)

LIMIT_MIB = 1200
SLACK_MIB = 150
"""What may be taken between two looks at a lane."""


def zipped() -> bytes:
    """Make an archive."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("a.jpg", b"x" * 1000)
    return stream.getvalue()


NO_PICTURES: dict[str, bytes] = {
    "drawing.jpg": b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>',
    "page.png": b"%PDF-1.7\n1 0 obj<</Type/Catalog>>endobj\n%%EOF\n",
    "script.jpg": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(/tmp/struck) (w) file closefile\n%%EOF\n",
    "layers.jpg": b"8BPS\0\1" + bytes(6) + b"\0\3\0\0\0\x09\0\0\0\x09\0\x08\0\3" + bytes(100),
    "icon.png": encoded(corners(32, 32), "ICO"),
    "film.jpg": b"\0\0\0\x18ftypisom\0\0\2\0isommp41" + bytes(500),
    "archive.jpg": zipped(),
    "old.jpg": encoded(corners(), "PCX"),
    "code.jpg": encoded(corners(), "JPEG2000"),
    "words.webp": b"RIFF\x10\0\0\0WAVEfmt " + bytes(100),
}
"""By their names they are pictures."""


def test_what_is_no_picture_is_told_so(tmp_path: Path) -> None:
    """SVG, PDF, EPS, PSD, films and archives under a picture's name fail at once with that sentence; nothing runs."""
    house = House(tmp_path / "house").folders()
    fake = house.root / "bin"
    fake.mkdir()
    for program in ("gs", "gswin32c", "gswin64c"):
        (fake / program).write_text(f"#!/bin/sh\ntouch {house.root}/ran\n")
        (fake / program).chmod(0o755)
    with Daemon(house, environment={"PATH": f"{fake}:{os.environ['PATH']}"}) as daemon:
        daemon.ready()
        for name, data in NO_PICTURES.items():
            (house.inbox / name).write_bytes(data)
        (house.inbox / "drawing.svg").write_bytes(NO_PICTURES["drawing.jpg"])
        daemon.heard("job.failed", times=len(NO_PICTURES))
        for event in daemon.events("job.failed"):
            assert event["kind"] == "format"
            assert "not a picture" in event["reason"]
        assert daemon.stop() == 0
    assert not (house.root / "ran").exists()
    assert {job.path.decode() for job in house.jobs()} == set(NO_PICTURES), "an .svg is passed over"


FATES: dict[str, tuple[Callable[[], bytes], str]] = {
    "blank, almost too large.png": (lambda: bombs.blank_png(15_800, 15_800, colour_type=2), "memory"),
    "blank, too large.png": (lambda: bombs.blank_png(15_820, 15_820), "input"),
    "blank, 36 million.png": (lambda: bombs.blank_png(6_000, 6_000, colour_type=6), ""),
    "blank, 36 million.webp": (lambda: encoded(Image.new("RGB", (6_000, 6_000)), "WEBP", method=0), ""),
    "no rows.png": (lambda: png_of_size(10_000, 10_000, rows=bytes(9)), "incomplete"),
    "frames.png": (lambda: bombs.animated_png(1_000_000), "input"),
    "frames.gif": (lambda: bombs.animated_gif(1_000_000), ""),
    "frames.webp": (lambda: moving("WEBP"), ""),
    "frames.avif": (lambda: moving("AVIF"), ""),
    "blocks.gif": (lambda: bombs.talking_gif(10_000_000), "input"),
    "passes.jpg": (lambda: bombs.many_scans(100_000, width=2000, height=1500), "input"),
    "passes, fewer.jpg": (lambda: bombs.many_scans(400, width=2000, height=1500), ""),
    "segments.jpg": (lambda: bombs.segmented_jpeg(10_000_000), "input"),
    "pages.tif": (lambda: bombs.paged_tiff(100_000), ""),
    "values.tif": (bombs.repeating_tiff, "input"),
    "text.png": (bombs.text_png, ""),
}
"""What becomes of each bomb: the kind of its failure, or "" where it is done."""


def moving(name: str) -> bytes:
    """Make a film of 500 frames."""
    frames = [photo(64, 48, seed=seed) for seed in range(4)] * 125
    return encoded(frames[0], name, save_all=True, append_images=frames[1:])


class Scales:
    """Watches the most memory that any lane of a house holds."""

    def __init__(self, house: House) -> None:
        self.most_bytes = 0
        self._house = house
        self._enough = threading.Event()
        self._thread = threading.Thread(target=self._weigh)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._enough.set()
        self._thread.join()

    def _weigh(self) -> None:
        while not self._enough.wait(0.1):
            for pid in self._house.lanes():
                try:
                    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
                except OSError:
                    continue
                self.most_bytes = max(self.most_bytes, pages * os.sysconf("SC_PAGE_SIZE"))


@pytest.mark.long
def test_bombs_cost_themselves(tmp_path: Path) -> None:
    """Every bomb is done or failed as it should be, within the memory limit; the neighbours are done."""
    house = House(tmp_path / "house").folders()
    house.configure(f"lanes = 1\nmemory_limit = '{LIMIT_MIB}MiB'\n[defaults]\ngrace_seconds = 5\nmetadata = 'keep'\n")
    metadata = {f"{name}.{name.split()[0].lower()}": make for name, make in bombs.metadata_bombs()}
    with Scales(house) as scales, Daemon(house) as daemon:
        daemon.ready()
        for name, make in {**{name: make for name, (make, _fate) in FATES.items()}, **metadata}.items():
            (house.inbox / name).write_bytes(make())
            (house.inbox / f"neighbour of {name}.jpg").write_bytes(encoded(photo(), "JPEG"))
        failing = sum(bool(fate) for _make, fate in FATES.values())
        finished = 2 * (len(FATES) + len(metadata)) - failing
        daemon.until(lambda: len(daemon.events("job.done")) >= finished, seconds=400)
        daemon.until(lambda: len(daemon.events("job.failed")) >= failing, seconds=100)
        check_at_rest(house, daemon)
        assert daemon.stop() == 0
    fates = {job.path.decode(): job for job in house.jobs()}
    for name, (_make, fate) in FATES.items():
        assert fates[name].kind == fate, (name, fates[name].reason)
        assert fates[name].state == (State.FAILED if fate else State.DONE), name
    for reason in {
        job.reason.removeprefix("incomplete: ") for job in fates.values() if job.kind in {"input", "incomplete"}
    }:
        assert SENTENCE.fullmatch(reason), reason
        assert not PLAIN.search(reason), reason
    assert f"the limit is {LIMIT_MIB} MiB" in fates["blank, almost too large.png"].reason
    assert scales.most_bytes < (LIMIT_MIB + SLACK_MIB) * 2**20
    for path in house.results().values():
        assert path.stat().st_size < 40 * 2**20, path
