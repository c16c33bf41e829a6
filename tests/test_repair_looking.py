"""Looking at a journal changes nothing, and what is no journal of ours is left alone."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from bgrd.errors import JournalError, StateError
from bgrd.job import Version
from bgrd.journal.journal import Journal
from bgrd.journal.ledger import MIGRATIONS
from bgrd.journal.repair import repair, verify
from tests.houses.damaged import JOBS, change, files, kept, killed, laid, sound_journal


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Give the bytes of a sound journal."""
    return sound_journal(tmp_path_factory.mktemp("sound") / "journal.db")


@pytest.fixture
def path(tmp_path: Path, sound: bytes) -> Path:
    """Give a sound journal."""
    return laid(tmp_path, sound)


@pytest.mark.parametrize("damage", [False, True], ids=["sound", "damaged"])
def test_looking_changes_nothing(path: Path, *, damage: bool) -> None:
    """Not even what a kill left is tidied away: file, log and modes stay as they are, and nothing is left beside."""
    killed(path, damage=damage)
    before = files(path)
    health = verify(path)
    assert bool(health.complaints) == damage
    assert health.jobs in ({0, JOBS + 1} if damage else {JOBS + 1})
    assert files(path) == before
    if not damage:
        assert repair(path, exclusive=False) == ["nothing is to be mended"]
        assert files(path) == before


def test_looking_at_an_older_schema_leaves_it(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To be looked at it is brought to ours, but not in its place: the older bgrd may still be wanted."""
    monkeypatch.setattr("bgrd.journal.repair.MIGRATIONS", (*MIGRATIONS, ("CREATE TABLE later (x)",)))
    before = files(path)
    assert verify(path).complaints == ()
    assert files(path) == before


def test_looking_beside_a_daemon(path: Path) -> None:
    """What it has written is seen, its log is left alone, and it goes on."""
    with contextlib.closing(Journal(path)) as journal:
        journal.admit("f", [(b"late.jpg", Version(size=1, mtime_ns=1, ctime_ns=1, inode=1))])
        logged = path.with_name("journal.db-wal").read_bytes()
        held = path.read_bytes()
        code = "import sys, pathlib, bgrd.journal.repair as r; print(r.verify(pathlib.Path(sys.argv[1]), in_use=True))"
        told = subprocess.run([sys.executable, "-c", code, str(path)], check=True, capture_output=True, text=True)
        assert told.stdout.startswith(f"Health(jobs={JOBS + 1}, pages=(), indexes=(), rows=())")
        assert (path.read_bytes(), path.with_name("journal.db-wal").read_bytes()) == (held, logged)
        job = journal.claim("f", oldest=False, now=1.0)
        assert job is not None
        assert job.path == b"late.jpg"


@pytest.mark.parametrize("content", [b"", b"x", b"not a database, " * 10_000], ids=["empty", "short", "long"])
def test_what_is_no_journal(path: Path, content: bytes) -> None:
    """Of a file that holds nothing of ours nothing can be saved: it is left alone, and the sentence says what to do."""
    path.write_bytes(content)
    with pytest.raises(JournalError, match="move it away"):
        repair(path, exclusive=False)
    assert path.read_bytes() == content


def test_what_is_somebody_else_s(path: Path) -> None:
    """Another program's database, a newer bgrd's journal and a directory are not touched."""
    path.unlink()
    change(path, "CREATE TABLE theirs (x)")
    before = path.read_bytes()
    with pytest.raises(JournalError, match="no journal of bgrd"):
        repair(path, exclusive=False)
    assert path.read_bytes() == before
    path.unlink()
    path.mkdir()
    with pytest.raises(JournalError, match="is a directory"):
        repair(path, exclusive=False)


def test_a_newer_journal(path: Path) -> None:
    """It is for the bgrd that wrote it."""
    change(path, "PRAGMA user_version = 99")
    for ask in (verify, partial(repair, exclusive=False)):
        with pytest.raises(JournalError, match="newer bgrd"):
            ask(path)
    assert kept(path) == []


def test_no_room_to_look(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no copy can be made to look at, that is said, and where one could be made."""

    def full(*_: object) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr("shutil.copyfile", full)
    with pytest.raises(StateError, match="set TMPDIR"):
        verify(path)
