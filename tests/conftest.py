"""Fixtures that several test modules share."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bgrd.journal.journal import Journal
from tests.houses.ears import Ear
from tests.houses.engines import Engine
from tests.houses.file_server import FileServer
from tests.houses.journals import Clock
from tests.houses.pools import LIMITS, Bench
from tests.houses.sources import World
from tests.houses.works import Works
from tests.houses.workshop import Workshop
from tests.pictures.discs import disc_set


@pytest.fixture
def clock() -> Clock:
    """Give a clock that stands."""
    return Clock()


@pytest.fixture
def journal(tmp_path: Path, clock: Clock) -> Iterator[Journal]:
    """Give an empty journal."""
    with contextlib.closing(Journal(tmp_path / "journal.db", clock=clock)) as opened:
        yield opened


@pytest.fixture
def works(tmp_path: Path) -> Iterator[Works]:
    """Give a works and close it."""
    made = Works(tmp_path)
    yield made
    made.close()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """Give a pool of null lanes on a bench and end its lanes."""
    made = Bench(tmp_path)
    yield made
    made.close()


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """Give an engine with two lanes."""
    made = Engine(tmp_path)
    yield made
    made.close()


@pytest.fixture
def single(tmp_path: Path) -> Iterator[Engine]:
    """Give an engine with one lane: its order of work is the order of claims."""
    made = Engine(tmp_path, replace(LIMITS, lanes=1))
    yield made
    made.close()


@pytest.fixture
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask straight, whatever the machine says."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    """Give a server at work, which stands for the hub too."""
    with FileServer() as serving:
        monkeypatch.setenv("HF_ENDPOINT", serving.url(""))
        yield serving


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a user of its own, with an empty home."""
    for name in [name for name in os.environ if name.startswith(("XDG_", "HF_", "BGRD_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "200")
    (tmp_path / "home").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path / "home"


@pytest.fixture
def state(home: Path) -> Path:
    """Give the state directory, made."""
    path = home / ".local/state/bgrd"
    path.mkdir(parents=True)
    return path


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Workshop]:
    """Give a workshop and close its journal."""
    made = Workshop(tmp_path)
    yield made
    made.journal.close()


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    """Make an empty inbox."""
    (tmp_path / "in").mkdir()
    return tmp_path / "in"


@pytest.fixture
def ear(inbox: Path) -> Iterator[Ear]:
    """Listen to an empty inbox."""
    ear = Ear(inbox)
    ear.watch.start()
    yield ear
    ear.watch.stop()


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Give a world on one file system."""
    return World(inbox=tmp_path / "inbox", archive=tmp_path / "archive")


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Path]:
    """Give an empty directory on another file system than tmp_path."""
    memory = Path("/dev/shm")
    if not memory.is_dir() or memory.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("needs /dev/shm as another file system")
    directory = Path(tempfile.mkdtemp(dir=memory))
    yield directory
    shutil.rmtree(directory)


@pytest.fixture(params=["near", "far"])
def either(request: pytest.FixtureRequest, tmp_path: Path) -> World:
    """Give a world whose archive is on the same, then on another file system."""
    root = tmp_path if request.param == "near" else request.getfixturevalue("elsewhere")
    return World(inbox=tmp_path / "inbox", archive=root / "archive")


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Have torch compute on one thread: networks as small as these only wait for each other. Its generator stays."""
    # It takes a second to load, which most tests need not wait for.
    from tests.houses.small_runs import torch_apart  # noqa: PLC0415 - as said

    with torch_apart():
        yield


@pytest.fixture
def no_curves(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have no run draw its curves: that takes longer than to learn."""
    monkeypatch.setattr("bgrd.train.fit.draw_curves", lambda path, _lines: path.write_bytes(b""))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a data set to learn from: eight bright discs on dark grain, two of them for validation."""
    return disc_set(tmp_path_factory.mktemp("data"))
