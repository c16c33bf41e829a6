"""A journal that is damaged: what is said of it, what is saved, and that nothing is thrown away."""

from __future__ import annotations

import contextlib
import os
import random
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bgrd.errors import StateError
from bgrd.job import State, Version
from bgrd.journal.journal import Journal
from bgrd.journal.repair import repair, verify
from tests.houses.damaged import (
    DONE,
    JOBS,
    PAGE,
    change,
    check_saved,
    empty_page,
    end,
    files,
    head,
    kept,
    killed,
    laid,
    page_of,
    some_bytes,
    some_page,
    some_pages,
    sound_journal,
)

NOW = 1_700_000_000.0


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Give the bytes of a sound journal."""
    return sound_journal(tmp_path_factory.mktemp("sound") / "journal.db")


@pytest.fixture
def path(tmp_path: Path, sound: bytes) -> Path:
    """Give a sound journal."""
    return laid(tmp_path, sound)


def counted(path: Path) -> dict[str, int]:
    """Give how many jobs are in which state."""
    with contextlib.closing(Journal(path)) as journal:
        return journal.counts().get("f", {})


def test_a_sound_journal(path: Path, sound: bytes) -> None:
    """Nothing is said of it, and mending it changes nothing."""
    health = verify(path)
    assert (health.jobs, health.complaints) == (JOBS, ())
    assert repair(path, exclusive=False) == ["nothing is to be mended"]
    assert kept(path) == []


def test_an_index_alone(path: Path) -> None:
    """Where only an index is wrong it is built anew, and nothing is lost."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        (root,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'job_note'").fetchone()
        (other,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'job_due'").fetchone()
    change(
        path,
        "PRAGMA writable_schema = ON",
        f"UPDATE sqlite_master SET rootpage = {other} WHERE name = 'job_note'",
        f"UPDATE sqlite_master SET rootpage = {root} WHERE name = 'job_due'",
        "PRAGMA writable_schema = RESET",
        "UPDATE job SET note = x'61', state = 'failed' WHERE state = 'ready'",
        "PRAGMA writable_schema = ON",
        f"UPDATE sqlite_master SET rootpage = {root} WHERE name = 'job_note'",
        f"UPDATE sqlite_master SET rootpage = {other} WHERE name = 'job_due'",
    )
    health = verify(path)
    assert health.indexes
    assert not health.pages
    said = repair(path, exclusive=False)
    assert "mended" in said[-1]
    assert verify(path).complaints == ()
    assert counted(path) == {"done": DONE, "failed": JOBS - DONE}
    assert len(kept(path)) == 1


@pytest.mark.parametrize(
    ("statement", "word", "after"),
    [
        ("UPDATE job SET state = 'odd' WHERE id = 600", "make no sense", {"done": DONE, "ready": 49}),
        ("UPDATE job SET gone = 1 WHERE id = 600", "file that is gone", {"done": DONE, "ready": 49, "withdrawn": 1}),
        (
            "UPDATE job SET path = x'61' WHERE id IN (599, 600)",
            "beside a newer",
            {"done": DONE, "ready": 49, "withdrawn": 1},
        ),
        ("UPDATE job SET state = 'committed' WHERE id = 600", "without a result", {"done": DONE, "ready": 50}),
        ("UPDATE job SET sha256 = NULL WHERE id = 1", "of what bytes", {"done": DONE, "ready": 50}),
        ("DELETE FROM job WHERE id = 1", "belong to no job", {"done": DONE - 1, "ready": 50}),
        ("UPDATE result SET sha256 = 'x' WHERE job = 1", "results make no sense", {"done": DONE, "ready": 50}),
        ("UPDATE tally SET jobs = 7", "counts of jobs are wrong", {"done": DONE, "ready": 50}),
        ("UPDATE sqlite_sequence SET seq = 5", "given away twice", {"done": DONE, "ready": 50}),
    ],
)
def test_rows_that_contradict_each_other(path: Path, statement: str, word: str, after: dict[str, int]) -> None:
    """Each rule that is broken is told, and mended so that what is in doubt is worked on again."""
    change(path, statement)
    (said,) = [text for text in verify(path).complaints if word in text]
    assert said
    repair(path, exclusive=False)
    assert verify(path).complaints == ()
    assert counted(path) == after


@pytest.mark.parametrize(
    ("damage", "seeds"),
    [(some_page, 4), (some_pages, 4), (empty_page, 4), (some_bytes, 4), (head, 1), (end, 4)]
    + [(page_of(table), 1) for table in ("result", "fact", "tally", "sqlite_sequence", "job_path", "job_state")],
    ids=lambda value: getattr(value, "__qualname__", str(value)),
)
def test_damage_of_any_kind(
    path: Path, sound: bytes, damage: Callable[[bytearray, random.Random], None], seeds: int
) -> None:
    """What can be read is saved, the rest counted; the file as it was is kept; what was saved is what was there."""
    for seed in range(seeds):
        data = bytearray(sound)
        damage(data, random.Random(seed))
        path.write_bytes(data)
        before = kept(path)
        if not verify(path).complaints:
            continue
        held = path.read_bytes()
        said = repair(path, exclusive=False, now=NOW)
        (copy,) = set(kept(path)) - set(before)
        assert copy.read_bytes() == held
        assert str(copy) in said[0]
        assert verify(path).complaints == ()
        check_saved(path, said, exact=damage is not some_bytes)


def test_a_log_that_was_not_brought_in(path: Path) -> None:
    """What stands in the log alone is saved too, and the old log is not replayed into the new file."""
    journal = Journal(path)
    journal.admit("f", [(b"late.jpg", Version(size=1, mtime_ns=1, ctime_ns=1, inode=1))])
    held, log = bytearray(path.read_bytes()), path.with_name("journal.db-wal").read_bytes()
    journal.close()
    held[20 * PAGE : 21 * PAGE] = random.Random(1).randbytes(PAGE)
    path.write_bytes(held)
    path.with_name("journal.db-wal").write_bytes(log)
    assert verify(path).complaints
    repair(path, exclusive=False)
    assert verify(path).complaints == ()
    with contextlib.closing(Journal(path)) as mended:
        assert b"late.jpg" in {job.path for job in mended.jobs(states=[State.READY], limit=100)}


def test_what_is_kept_is_what_was_there(path: Path) -> None:
    """The copy is made before anything else touches the file, its log included."""
    killed(path, damage=True)
    before = files(path)
    repair(path, exclusive=False)
    (copy,) = kept(path)
    assert copy.read_bytes() == before["journal.db"][1]
    assert copy.with_name(copy.name + "-wal").read_bytes() == before["journal.db-wal"][1]


_KILLED = """
import os, sys
from pathlib import Path
from bgrd.journal.repair import repair
left = int(sys.argv[2])
def count(event, arguments):
    global left
    if event in {"open", "os.rename", "os.remove", "sqlite3.connect", "os.truncate"}:
        left -= 1
        if left == 0:
            os._exit(9)
sys.addaudithook(count)
repair(Path(sys.argv[1]), exclusive=False)
"""


@pytest.mark.long
def test_killed_while_mending(tmp_path: Path, path: Path, sound: bytes) -> None:
    """A kill at any step leaves the old file, refused as before, or the new one; mending again saves as much."""
    data = bytearray(sound)
    some_page(data, random.Random(3))
    path.write_bytes(data)
    repair(path, exclusive=False)
    wanted = counted(path)
    ended, step = 9, 1
    while ended:
        for each in path.parent.iterdir():
            each.unlink()
        path.write_bytes(data)
        program = [sys.executable, "-c", _KILLED, str(path), str(step)]
        # A kill leaves what was copied to be looked at.
        ended = subprocess.run(program, check=False, env={**os.environ, "TMPDIR": str(tmp_path)}).returncode
        assert ended in {0, 9}
        step += 3
        if verify(path).complaints:
            repair(path, exclusive=False)
        assert counted(path) == wanted
    assert step > 20


def test_no_room(path: Path, sound: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without room for a copy nothing is touched."""
    data = bytearray(sound)
    some_page(data, random.Random(3))
    path.write_bytes(data)

    def full(_: int) -> None:
        raise OSError(28, os.strerror(28))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(StateError, match="No space left"):
            repair(path, exclusive=False)
    assert path.read_bytes() == bytes(data)
