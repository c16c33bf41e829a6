"""A journal of some hundreds of jobs, the ways to damage it, and what is left of it."""

from __future__ import annotations

import contextlib
import random
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from bgrd.job import State, Version
from bgrd.journal.journal import Journal
from tests.houses.journals import SHA, finish, result

__all__ = [
    "DONE",
    "JOBS",
    "PAGE",
    "change",
    "check_saved",
    "empty_page",
    "end",
    "files",
    "head",
    "kept",
    "killed",
    "laid",
    "name",
    "page_of",
    "some_bytes",
    "some_page",
    "some_pages",
    "sound_journal",
]

JOBS = 600
DONE = 550
PAGE = 4096


def sound_journal(path: Path) -> bytes:
    """Give the bytes of a journal with some hundreds of jobs, made at a path; it takes a while."""
    with contextlib.closing(Journal(path)) as journal:
        journal.admit("f", [(name(n), Version(size=n, mtime_ns=n, ctime_ns=n, inode=n)) for n in range(JOBS)])
        for _ in range(DONE):
            job = journal.claim("f", oldest=True, now=1.0)
            assert job is not None
            finish(journal, job, result(target=job.path[:-3] + b"png"))
        journal.set_flag("f", "walked")
        journal.close(clean=True)
    return path.read_bytes()


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Give the bytes of a sound journal."""
    return sound_journal(tmp_path_factory.mktemp("sound") / "journal.db")


@pytest.fixture
def path(tmp_path: Path, sound: bytes) -> Path:
    """Give a sound journal."""
    path = tmp_path / "state/journal.db"
    path.parent.mkdir()
    path.write_bytes(sound)
    return path


def laid(directory: Path, data: bytes) -> Path:
    """Lay the bytes of a journal where a state directory has it; gives its path."""
    path = directory / "state/journal.db"
    path.parent.mkdir()
    path.write_bytes(data)
    return path


def name(number: int) -> bytes:
    """Give a path."""
    return b"trip %d/IMG_%05d.jpg" % (number % 7, number)


def change(path: Path, *statements: str) -> None:
    """Do to the journal what nobody should."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


def kept(path: Path) -> list[Path]:
    """Give the copies of damaged journals, and hold that nothing else was left."""
    others = [each for each in path.parent.iterdir() if each != path]
    assert all(each.name.startswith("journal.db.damaged-") for each in others)
    return sorted(each for each in others if not each.name.endswith("-wal"))


def page_of(table: str) -> Callable[[bytearray, random.Random], None]:
    """Damage the root page of a table."""

    def damage(data: bytearray, chance: random.Random) -> None:
        with contextlib.closing(sqlite3.connect(":memory:")) as connection:
            connection.deserialize(bytes(data[:18]) + b"\1\1" + bytes(data[20:]))
            (root,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)).fetchone()
        data[(root - 1) * PAGE : root * PAGE] = chance.randbytes(PAGE)

    return damage


def some_page(data: bytearray, chance: random.Random) -> None:
    """Write nonsense over a page that is not the first."""
    page = chance.randrange(1, len(data) // PAGE)
    data[page * PAGE : (page + 1) * PAGE] = chance.randbytes(PAGE)


def some_pages(data: bytearray, chance: random.Random) -> None:
    """Write nonsense over several pages."""
    for _ in range(5):
        some_page(data, chance)


def empty_page(data: bytearray, chance: random.Random) -> None:
    """Lose a page, as a disk that answers with zeros does."""
    page = chance.randrange(len(data) // PAGE)
    data[page * PAGE : (page + 1) * PAGE] = bytes(PAGE)


def some_bytes(data: bytearray, chance: random.Random) -> None:
    """Change bytes here and there."""
    for _ in range(40):
        data[chance.randrange(100, len(data))] = chance.randrange(256)


def head(data: bytearray, chance: random.Random) -> None:
    """Write nonsense over the first page."""
    data[:PAGE] = chance.randbytes(PAGE)


def end(data: bytearray, chance: random.Random) -> None:
    """Lose the end of the file."""
    del data[chance.randrange(len(data) // 4, len(data)) :]


def check_saved(path: Path, said: list[str], *, exact: bool) -> None:
    """Hold that each job is as it was, and that the lost ones are counted where that was told."""
    with contextlib.closing(Journal(path)) as journal:
        jobs = journal.jobs(states=tuple(State), limit=10_000)
        for job in jobs:
            number = job.id - 1
            if exact:  # a single byte of a name may have been another one, and nothing tells
                assert job.path == name(number)
                assert job.state in {State.DONE if number < DONE else State.READY, State.WITHDRAWN}
                assert all(each.sha256 == SHA for each in job.results)
        journal.admit("f", [(b"new", Version(size=1, mtime_ns=1, ctime_ns=1, inode=1))])
        newest = journal.claim("f", oldest=False, now=1.0)
        assert newest is not None
        assert newest.id > JOBS or "mended" in said[-1]
    if "could not be read: their files" in " ".join(said) and "unknown" not in " ".join(said):
        assert f"{JOBS - len(jobs)} jobs could not be read" in said[2]


def files(path: Path) -> dict[str, tuple[int, bytes]]:
    """Give mode and bytes of all that lies beside the journal, and of itself."""
    return {each.name: (each.stat().st_mode, each.read_bytes()) for each in path.parent.iterdir()}


def killed(path: Path, *, damage: bool) -> None:
    """Leave a journal as a kill does, with what was written last in its log alone."""
    with contextlib.closing(Journal(path)) as journal:
        journal.admit("f", [(b"late.jpg", Version(size=1, mtime_ns=1, ctime_ns=1, inode=1))])
        left = {each: bytearray(each.read_bytes()) for each in path.parent.iterdir()}
    if damage:
        left[path][20 * PAGE : 21 * PAGE] = random.Random(1).randbytes(PAGE)
    for each, data in left.items():
        each.write_bytes(data)
    path.chmod(0o640)
    assert left[path.with_name("journal.db-wal")]
