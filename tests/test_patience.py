"""Waiting out what passes: bgrd.journal.patience and Journal.patient."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bgrd.errors import StateError
from bgrd.journal.database import Database, Tables
from bgrd.journal.diagnosis import state_error
from bgrd.journal.patience import PatientDatabase

WAIT_SECONDS = 20.0


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """Give a database with one table."""
    with contextlib.closing(
        Database(tmp_path / "j.db", exclusive=False, migrations=(("CREATE TABLE word (text TEXT)",),))
    ) as held:
        yield held


def full() -> sqlite3.OperationalError:
    """Give what SQLite raises on a full disk."""
    error = sqlite3.OperationalError("database or disk is full")
    error.sqlite_errorname = "SQLITE_FULL"
    return error


def failing(times: int, error: Callable[[], Exception] = full) -> Callable[[Tables], int]:
    """Give a request that writes a word, and fails so often after doing so."""
    left = [times]

    def work(tables: Tables) -> int:
        changed = tables.run("INSERT INTO word VALUES ('a')")
        left[0] -= 1
        if left[0] >= 0:
            raise error()
        return changed

    return work


def count(tables: Tables) -> int:
    """Count the words."""
    return len(tables.rows("SELECT 1 FROM word"))


def test_what_passes_is_waited_out_and_done_once(database: Database) -> None:
    """Each failure is told; in the end the change is there, once."""
    told: list[StateError] = []
    patient = PatientDatabase(database, give_up=lambda: False, waiting=told.append, pause_seconds=0.01)
    assert patient.write(failing(3)) == 1
    assert patient.read(count) == 1
    assert [(error.transient, "make room" in str(error)) for error in told] == [(True, True)] * 3


def test_what_does_not_pass_is_raised_at_once(database: Database) -> None:
    """Damage, a request's own error and a closed journal are not waited for."""

    def damaged() -> sqlite3.DatabaseError:
        error = sqlite3.DatabaseError("malformed")
        error.sqlite_errorname = "SQLITE_CORRUPT"
        return error

    told: list[StateError] = []
    patient = PatientDatabase(database, give_up=lambda: False, waiting=told.append)
    with pytest.raises(StateError, match="damaged"):
        patient.write(failing(1, damaged))
    with pytest.raises(KeyError):
        patient.write(failing(1, KeyError))
    patient.close()
    with pytest.raises(StateError, match="closed"):
        patient.read(count)
    assert told == []


def test_giving_up_ends_a_pause(database: Database) -> None:
    """Once nobody wants to wait any longer the error is raised, in the middle of a pause too."""
    gone, waiting = threading.Event(), threading.Event()
    raised: list[StateError] = []
    patient = PatientDatabase(
        database, give_up=gone.is_set, waiting=lambda _: waiting.set(), pause_seconds=WAIT_SECONDS * 10
    )

    def insist() -> None:
        try:
            patient.write(failing(1000))
        except StateError as error:
            raised.append(error)

    thread = threading.Thread(target=insist)
    thread.start()
    assert waiting.wait(WAIT_SECONDS)
    gone.set()
    thread.join(WAIT_SECONDS)
    assert not thread.is_alive()
    assert len(raised) == 1
    assert database.read(count) == 0


@pytest.mark.parametrize(
    ("name", "transient"),
    [
        ("SQLITE_FULL", True),
        ("SQLITE_IOERR_WRITE", True),
        ("SQLITE_BUSY_SNAPSHOT", True),
        ("SQLITE_CANTOPEN", True),
        ("SQLITE_READONLY_DIRECTORY", False),
        ("SQLITE_CORRUPT", False),
        ("SQLITE_NOTADB", False),
        ("SQLITE_CONSTRAINT_UNIQUE", False),
        ("", False),
    ],
)
def test_what_may_pass(name: str, transient: bool, tmp_path: Path) -> None:  # noqa: FBT001 - a parameter of the test
    """The error's name decides, whatever its extension."""
    error = sqlite3.OperationalError("odd")
    error.sqlite_errorname = name
    assert state_error(tmp_path, error).transient is transient


def test_a_read_only_file_system_may_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unlike a file whose mode forbids writing."""
    error = sqlite3.OperationalError("attempt to write a readonly database")
    error.sqlite_errorname = "SQLITE_READONLY"
    assert not state_error(tmp_path, error).transient
    found = list(os.statvfs(tmp_path))
    found[8] |= os.ST_RDONLY
    monkeypatch.setattr(os, "statvfs", lambda _: os.statvfs_result(found))
    assert state_error(tmp_path, error).transient


_FULL = """
import subprocess, sys, threading
from pathlib import Path
from bgrd.errors import StateError
from bgrd.job import Version
from bgrd.journal.journal import Journal
from tests.houses.inboxes import until

place = Path(sys.argv[1])
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", place], check=True)
journal = Journal(place / "journal.db")
told = []
patient = journal.patient(give_up=lambda: False, waiting=told.append)
ballast = open(place / "ballast", "wb", buffering=0)
try:
    while ballast.write(bytes(4096)):
        pass
except OSError:
    pass
arrivals = [(b"%d" % n, Version(size=n, mtime_ns=n, ctime_ns=n, inode=n)) for n in range(1000)]
try:
    journal.admit("f", arrivals)
    sys.exit("it fits")
except StateError as error:
    assert error.transient, error
thread = threading.Thread(target=lambda: patient.admit("f", arrivals))
thread.start()
until(lambda: len(told) >= 2, seconds=30)
assert journal.ping(20)
assert journal.counts() == {}
ballast.truncate(0)
thread.join(30)
assert not thread.is_alive()
assert journal.counts() == {"f": {"ready": 1000}}
journal.close(clean=True)
"""


@pytest.mark.skipif(
    subprocess.run(["unshare", "-m", "true"], check=False, capture_output=True).returncode != 0,
    reason="mounting takes a mount namespace, which takes root",
)
def test_a_disk_that_is_really_full(tmp_path: Path) -> None:
    """On a tiny file system: questions are answered all the while, and what waits is written once there is room."""
    command = ["unshare", "-m", sys.executable, "-c", _FULL, str(tmp_path)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=55)
    assert done.returncode == 0, done.stderr
