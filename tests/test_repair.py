"""A journal that is damaged: what is said of it, what is saved, and that nothing is thrown away."""

from __future__ import annotations

import contextlib
import os
import random
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from bgrd.errors import JournalError, StateError
from bgrd.job import State, Version
from bgrd.journal.journal import Journal
from bgrd.journal.ledger import MIGRATIONS
from bgrd.journal.repair import repair, verify
from tests.houses.journals import SHA, finish, result

JOBS = 600
DONE = 550
PAGE = 4096
NOW = 1_700_000_000.0


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Give the bytes of a journal with some hundreds of jobs; it takes a while to make."""
    path = tmp_path_factory.mktemp("sound") / "journal.db"
    with contextlib.closing(Journal(path)) as journal:
        journal.admit("f", [(name(n), Version(size=n, mtime_ns=n, ctime_ns=n, inode=n)) for n in range(JOBS)])
        for _ in range(DONE):
            job = journal.claim("f", oldest=True, now=1.0)
            assert job is not None
            finish(journal, job, result(target=job.path[:-3] + b"png"))
        journal.set_flag("f", "walked")
        journal.close(clean=True)
    return path.read_bytes()


@pytest.fixture
def path(tmp_path: Path, sound: bytes) -> Path:
    """Give a sound journal."""
    path = tmp_path / "state/journal.db"
    path.parent.mkdir()
    path.write_bytes(sound)
    return path


def name(number: int) -> bytes:
    """Give a path."""
    return b"trip %d/IMG_%05d.jpg" % (number % 7, number)


def counted(path: Path) -> dict[str, int]:
    """Give how many jobs are in which state."""
    with contextlib.closing(Journal(path)) as journal:
        return journal.counts().get("f", {})


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


def test_what_is_kept_is_what_was_there(path: Path) -> None:
    """The copy is made before anything else touches the file, its log included."""
    killed(path, damage=True)
    before = files(path)
    repair(path, exclusive=False)
    (copy,) = kept(path)
    assert copy.read_bytes() == before["journal.db"][1]
    assert copy.with_name(copy.name + "-wal").read_bytes() == before["journal.db-wal"][1]


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


def test_no_room_to_look(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no copy can be made to look at, that is said, and where one could be made."""

    def full(*_: object) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr("shutil.copyfile", full)
    with pytest.raises(StateError, match="set TMPDIR"):
        verify(path)
