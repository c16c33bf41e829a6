"""The load of a soak: pictures of all kinds for three folders, and what has to come of them."""

from __future__ import annotations

import hashlib
import io
import random
import time
from dataclasses import dataclass, field
from pathlib import Path

from pillow_heif import from_pillow

from tests.houses.daemons import Daemon
from tests.houses.houses import House
from tests.pictures.making import encoded, model
from tests.pictures.scenes import photo

__all__ = ["FOLDERS", "Load", "configure"]

_SIZES = {"tiny": (64, 48), "small": (320, 240), "middle": (1280, 960), "large": (4000, 3000)}
_WEIGHTS = {"tiny": 60, "small": 30, "middle": 8, "large": 2}
_SETTLE_SECONDS = 300.0
_CONFIGURATION = """
idle_unload_seconds = 2
stop_seconds = 30
[defaults]
min_free = {min_free}
rescan_seconds = 3
grace_seconds = 20
[[model]]
name = "tiny"
path = "~/tiny.onnx"
side = 32
"""
_FOLDER = """
[[folder]]
name = "{name}"
policy = "{name}"
inbox = "~/{name}/in"
outbox = "~/{name}/out"
model = "{model}"
"""
FOLDERS = {"keep": "bgrd-lite", "archive": "tiny", "delete": "bgrd-lite"}
"""The model of each folder, whose name is its policy."""


def _pictures() -> dict[str, dict[str, bytes]]:
    """Make pictures by size and file name: every format in the small sizes, the usual ones in the large."""
    found: dict[str, dict[str, bytes]] = {}
    for size, (width, height) in _SIZES.items():
        image = photo(width, height, seed=width)
        formats = {"jpg": "JPEG", "png": "PNG", "webp": "WEBP", "bmp": "BMP", "tif": "TIFF", "gif": "GIF"}
        if size in {"middle", "large"}:
            formats = {"jpg": "JPEG", "png": "PNG"}
        found[size] = {f"{size}.{suffix}": encoded(image, name) for suffix, name in formats.items()}
        if size == "small":
            stream = io.BytesIO()
            from_pillow(image).save(stream, format="HEIF")
            found[size] |= {"small.heic": stream.getvalue(), "small.avif": encoded(image, "AVIF")}
    return found


@dataclass(frozen=True, slots=True)
class _Sent:
    """A picture on its way: folder, path below the inbox, which picture it is."""

    folder: str
    path: str
    picture: str


@dataclass
class Load:
    """What was sent to one daemon and is not yet accounted for."""

    house: House
    daemon: Daemon
    chance: random.Random
    done: int = 0
    crashed: int = 0
    withdrawn: int = 0
    pictures: dict[str, dict[str, bytes]] = field(default_factory=_pictures)
    _number: int = 0
    _sent: list[_Sent] = field(default_factory=list)
    _broken: list[_Sent] = field(default_factory=list)
    _results: dict[tuple[str, str], str] = field(default_factory=dict)

    @staticmethod
    def prepare(house: House) -> None:
        """Make the folders, the second model and the configuration."""
        for name in FOLDERS:
            for place in ("in", "out"):
                (house.home / name / place).mkdir(parents=True)
        (house.home / "tiny.onnx").write_bytes(model())
        configure(house)

    def inbox(self, folder: str) -> Path:
        """Give a folder's inbox."""
        return self.house.home / folder / "in"

    def outbox(self, folder: str) -> Path:
        """Give a folder's outbox."""
        return self.house.home / folder / "out"

    def jobs(self) -> tuple[int, int]:
        """Give how many jobs are open and how many have ended, as the status file says."""
        counts = [folder.get("jobs", {}) for folder in self.house.status().get("folders", {}).values()]
        ended = sum(count.get(state, 0) for count in counts for state in ("done", "failed", "withdrawn"))
        return sum(sum(count.values()) for count in counts) - ended, ended

    def send(self, number: int, *, size: str = "", below: str = "") -> list[Path]:
        """Send so many pictures, some renamed into place and some written there, and now and then a broken one."""
        sent = []
        for _ in range(number):
            kind = size or self.chance.choices(list(_WEIGHTS), list(_WEIGHTS.values()))[0]
            picture = self.chance.choice(list(self.pictures[kind]))
            sent.append(self._put(picture, self.pictures[kind][picture], self._sent, below))
        if self.chance.random() < 0.5:
            self._put("broken.jpg", b"not a picture", self._broken, below)
        return sent

    def _put(self, picture: str, data: bytes, kept: list[_Sent], below: str) -> Path:
        self._number += 1
        folder = self.chance.choice(list(FOLDERS))
        path = f"{below}{self._number}-{picture}"
        place = self.inbox(folder) / path
        place.parent.mkdir(parents=True, exist_ok=True)
        if self.chance.random() < 0.5:
            place.write_bytes(data)
        else:
            hidden = place.with_name(f".{place.name}")
            hidden.write_bytes(data)
            hidden.rename(place)
        kept.append(_Sent(folder, path, picture))
        return place

    def take_back(self, places: list[Path]) -> None:
        """Delete sources that may not have been taken yet: whatever became of them is right."""
        for place in places:
            place.unlink(missing_ok=True)
        gone = set(places)
        self.withdrawn += len(places)
        for each in self._sent:
            if self.inbox(each.folder) / each.path in gone:
                self._result(each).unlink(missing_ok=True)
        self._sent = [each for each in self._sent if self.inbox(each.folder) / each.path not in gone]

    def settle(self) -> None:
        """Wait until all that was sent is accounted for, hold it against the promise, and clear it away.

        Raises TimeoutError with what is missing, AssertionError where the promise does not hold.
        """
        deadline = time.monotonic() + _SETTLE_SECONDS
        waiting = [*self._sent, *self._broken]
        while waiting := [each for each in waiting if not self._accounted(each)]:
            if time.monotonic() > deadline:
                message = f"not accounted for: {waiting[:10]}, {len(waiting)} in all"
                raise TimeoutError(message)
            time.sleep(0.1)
        for each in self._sent:
            self._check(each)
        for each in (*self._sent, *self._broken):
            self._clear(each)
        self._sent, self._broken = [], []

    def _result(self, sent: _Sent) -> Path:
        return (self.outbox(sent.folder) / sent.path).with_suffix(".png")

    def _note(self, sent: _Sent) -> Path:
        return self.outbox(sent.folder) / "_failed" / f"{sent.path}.txt"

    def _archived(self, sent: _Sent) -> Path:
        return self.house.home / sent.folder / "in-done" / sent.path

    def _accounted(self, sent: _Sent) -> bool:
        if self._note(sent).exists():
            return True
        there = (self.inbox(sent.folder) / sent.path).exists()
        return self._result(sent).exists() and there == (sent.folder == "keep")

    def _check(self, sent: _Sent) -> None:
        """Hold that equal bytes gave equal results, and that the source is where it belongs."""
        if self._note(sent).exists():
            text = self._note(sent).read_text()
            assert "lane" in text or "ended" in text, f"{sent} failed: {text}"
            self.crashed += 1
            return
        digest = hashlib.sha256(self._result(sent).read_bytes()).hexdigest()
        assert self._results.setdefault((sent.folder, sent.picture), digest) == digest, f"{sent}: another result"
        if sent.folder == "archive":
            size = sent.picture.partition(".")[0]
            assert self._archived(sent).read_bytes() == self.pictures[size][sent.picture], f"{sent}: not archived"
        self.done += 1

    def _clear(self, sent: _Sent) -> None:
        """Remove source and result; the note goes by itself, as its source has gone."""
        for place in (self.inbox(sent.folder) / sent.path, self._result(sent), self._archived(sent)):
            place.unlink(missing_ok=True)


def configure(house: House, *, min_free: str = "0") -> None:
    """Write the configuration."""
    folders = [_FOLDER.format(name=name, model=model) for name, model in FOLDERS.items()]
    house.configure(_CONFIGURATION.format(min_free=min_free) + "".join(folders))
