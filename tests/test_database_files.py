"""The files the owner of sqlite3 makes, brings up to date and refuses."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sqlite3
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from bgrd.errors import StateError
from bgrd.journal import file
from bgrd.journal.database import Database
from tests.houses.databases import FIRST, NOBODY, SECOND, add, opened, words


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Give a file in a directory that is not there yet."""
    return tmp_path / "state" / "journal.db"


def setting(held: Database, key: str) -> object:
    """Read a setting of the connection."""
    row = held.read(lambda tables: tables.row(f"PRAGMA {key}"))
    assert row is not None
    return row[key]


class TestFile:
    def test_modes(self, path: Path) -> None:
        """The file is 0600 and the directory made for it 0700; a file that was opened up is closed again."""
        with opened(path):
            assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
            assert {stat.S_IMODE(each.stat().st_mode) for each in path.parent.iterdir()} == {0o600}
        path.chmod(0o644)
        with opened(path):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600

    @pytest.mark.parametrize(("exclusive", "mode"), [(False, "wal"), (True, "truncate")])
    def test_durability(self, path: Path, *, exclusive: bool, mode: str) -> None:
        """Locally the log is written ahead, on network mounts truncated and locked; always synchronous."""
        with opened(path, exclusive=exclusive) as held:
            held.write(add("a"))
            assert setting(held, "journal_mode") == mode
            assert setting(held, "synchronous") == 2
            assert setting(held, "locking_mode") == ("exclusive" if exclusive else "normal")
        with opened(path, exclusive=not exclusive) as changed:
            assert changed.read(words) == ["a"]

    def test_odd_names(self, tmp_path: Path) -> None:
        """The file may have a name that is no UTF-8 or means something in an address."""
        path = tmp_path / os.fsdecode(b"50%25 #1?mode=ro \xff") / "j?x=#.db"
        with opened(path) as held:
            held.write(add("a"))
        assert path.exists()

    def test_killed_while_created(self, path: Path) -> None:
        """What a kill left behind while the file was made is no obstacle."""
        path.parent.mkdir()
        path.with_name("journal.db.new").write_bytes(b"half")
        path.with_name("journal.db.new-journal").write_bytes(b"half")
        with opened(path) as held:
            held.write(add("a"))
        assert [each.name for each in path.parent.iterdir()] == ["journal.db"]


class TestMigrations:
    def test_older_schema_is_brought_up(self, path: Path) -> None:
        """An older file gets what is missing and keeps its rows."""
        with opened(path) as held:
            held.write(add("a"))
        with contextlib.closing(Database(path, exclusive=False, migrations=(FIRST, SECOND))) as held:
            assert [tuple(row) for row in held.read(lambda tables: tables.rows("SELECT * FROM word"))] == [("a", 7)]

    def test_newer_schema_is_refused(self, path: Path) -> None:
        """A file of a newer bgrd is left alone, and the sentence says so."""
        Database(path, exclusive=False, migrations=(FIRST, SECOND)).close()
        before = path.read_bytes()
        with pytest.raises(StateError, match="newer bgrd"):
            opened(path)
        assert path.read_bytes() == before

    def test_failed_migration_changes_nothing(self, path: Path) -> None:
        """A migration that fails half-way leaves the file as it was."""
        with opened(path):
            pass
        with pytest.raises(StateError, match="nonsense"):
            Database(path, exclusive=False, migrations=(FIRST, (*SECOND, "nonsense")))
        with opened(path) as held:
            assert held.write(add("a")) == 1


class TestRefused:
    @pytest.mark.parametrize("content", [b"", b"x", b"not a database, " * 1000], ids=["empty", "short", "long"])
    def test_no_database(self, path: Path, content: bytes) -> None:
        """A file that is there and is no journal is refused and not touched, be it empty."""
        path.parent.mkdir()
        path.write_bytes(content)
        with pytest.raises(StateError, match="move it away"):
            opened(path)
        assert path.read_bytes() == content

    def test_foreign_database(self, path: Path) -> None:
        """Another program's database is refused."""
        path.parent.mkdir()
        with contextlib.closing(sqlite3.connect(path)) as other:
            other.execute("CREATE TABLE theirs (x)")
        with pytest.raises(StateError, match="no journal of bgrd"):
            opened(path)

    def test_damaged_page(self, path: Path) -> None:
        """Damage inside the file is told when it is met, and the file is not replaced."""
        with opened(path) as held:
            for n in range(200):
                held.write(add(f"{n}" + "x" * 200))
        content = bytearray(path.read_bytes())
        content[4096:] = b"\xa5" * (len(content) - 4096)
        path.write_bytes(content)
        with pytest.raises(StateError, match="damaged"), opened(path) as held:
            held.read(words)
        assert path.read_bytes() == content

    @pytest.mark.parametrize("suffix", ["-wal", "-journal"])
    def test_log_without_its_file(self, path: Path, suffix: str) -> None:
        """A log whose database is missing is not replayed into a new one."""
        path.parent.mkdir()
        path.with_name(path.name + suffix).write_bytes(b"log")
        with pytest.raises(StateError, match="put it back"):
            opened(path)
        assert not path.exists()

    def test_directory_is_a_file(self, tmp_path: Path) -> None:
        """A state directory that cannot be made is a StateError."""
        (tmp_path / "state").write_bytes(b"")
        with pytest.raises(StateError, match="cannot be used"):
            opened(tmp_path / "state" / "journal.db")

    @pytest.mark.parametrize("exclusive", [False, True])
    def test_held_by_another(self, path: Path, monkeypatch: pytest.MonkeyPatch, *, exclusive: bool) -> None:
        """While another program holds the file for itself, opening it says so."""
        monkeypatch.setattr(file, "_BUSY_SECONDS", 0.01)
        with opened(path, exclusive=True) as held:
            held.write(add("a"))
            with pytest.raises(StateError, match="held by another program"):
                opened(path, exclusive=exclusive)
            assert held.write(add("b")) == 1


@pytest.fixture
def owned() -> Iterator[Path]:
    """Give a directory in which the rest of the test is bound by permissions, even for root."""
    libc = ctypes.CDLL(None)
    with tempfile.TemporaryDirectory() as name:
        os.chown(name, NOBODY if os.geteuid() == 0 else -1, -1)
        before = libc.setfsuid(NOBODY) if os.geteuid() == 0 else None  # this thread and those it starts
        try:
            yield Path(name)
        finally:
            Path(name).chmod(0o700)
            if before is not None:
                libc.setfsuid(before)


class TestReadOnly:
    def test_file(self, owned: Path) -> None:
        """A file that may not be written is refused at once, not at the first job."""
        path = owned / "journal.db"
        with opened(path):
            pass
        path.chmod(0o400)
        with _fixed_modes(), pytest.raises(StateError, match="permissions"):
            opened(path)

    def test_directory(self, owned: Path) -> None:
        """A directory in which no log can be made is refused at once."""
        path = owned / "journal.db"
        with opened(path):
            pass
        owned.chmod(0o500)
        with pytest.raises(StateError, match="permissions"):
            opened(path)

    def test_directory_without_a_file(self, owned: Path) -> None:
        """Where the file cannot be made the sentence says why."""
        owned.chmod(0o500)
        with pytest.raises(StateError, match="Permission denied"):
            opened(owned / "journal.db")


@contextlib.contextmanager
def _fixed_modes() -> Iterator[None]:
    """Stand for a mount whose files keep their modes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "chmod", _refuse)
        yield


def _refuse(self: Path, mode: int) -> None:
    raise PermissionError(mode)
