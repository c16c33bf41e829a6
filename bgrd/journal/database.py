"""The one connection to the journal, on its own thread, that commits in groups.

Requests are functions over `Tables`. Those that queue up while one transaction runs are executed together in the
next one, each in its own savepoint, so that one fsync serves them all and one that raises takes back only itself.
A caller hears of its answer only after COMMIT; if that fails (a full disk), every writing request of the group fails
with StateError, nothing of the group is kept, those that only read are run again without them, and the database goes
on.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from bgrd.errors import JournalError, StateError
from bgrd.journal.diagnosis import state_error
from bgrd.journal.file import Migration, check_version, connect, create, migrate
from bgrd.question import begin

__all__ = ["Database", "Migration", "Row", "Tables"]

Row = sqlite3.Row
T = TypeVar("T")

_WAL_LIMIT_BYTES = 16 * 2**20


class Tables:
    """What a request may do while its transaction is open; not to be kept."""

    __slots__ = ("_connection",)

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def rows(self, sql: str, *values: object) -> list[Row]:
        """Give all rows of a query."""
        return self._connection.execute(sql, values).fetchall()

    def row(self, sql: str, *values: object) -> Row | None:
        """Give the first row of a query, or None."""
        found: Row | None = self._connection.execute(sql, values).fetchone()
        return found

    def run(self, sql: str, *values: object) -> int:
        """Execute a statement and give the number of rows it changed."""
        return self._connection.execute(sql, values).rowcount


@dataclass(frozen=True, slots=True, kw_only=True)
class _Request:
    work: Callable[[Tables], Any]
    writes: bool
    future: Future[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    value: Any = None
    error: Exception | None = None


class Database:
    """An open SQLite file; every method may be called from any thread but its own.

    The file is made with mode 0600, its directory, where missing, with 0700. `exclusive` is for network mounts:
    the file is locked for good and needs no shared memory. Each of `migrations` is a tuple of statements; the
    schema's version is how many of them were applied. Raises StateError where the file is not a journal, is
    damaged, was written by a newer bgrd, or cannot be written: an existing file is never replaced by a new one.
    """

    def __init__(self, path: Path, *, exclusive: bool, migrations: Sequence[Migration]) -> None:
        self._path = path
        self._exclusive = exclusive
        self._migrations = tuple(migrations)
        self._arrived = threading.Condition()
        self._pending: list[_Request] = []
        self._closed = False
        opened: Future[None] = Future()
        self._thread = threading.Thread(target=self._serve, args=(opened,), name="bgrd-journal", daemon=True)
        begin(self._thread)
        opened.result()

    def read(self, work: Callable[[Tables], T]) -> T:
        """Give what `work` gives for a consistent state of the database; `work` must not write."""
        return self.submit(work, writes=False).result()

    def write(self, work: Callable[[Tables], T]) -> T:
        """Give what `work` gives, once its changes are on disk. What it raises is raised here, its changes undone."""
        return self.submit(work, writes=True).result()

    def submit(self, work: Callable[[Tables], T], *, writes: bool) -> Future[T]:
        """Queue `work` and give its future, which ends with the group's COMMIT. Raises StateError when closed."""
        future: Future[T] = Future()
        with self._arrived:
            if self._closed:
                raise StateError(f"The journal {self._path} is closed.")
            self._pending.append(_Request(work=work, writes=writes, future=future))
            self._arrived.notify()
        return future

    def close(self) -> None:
        """Finish what is queued, close the file and end the thread; again is harmless."""
        with self._arrived:
            self._closed = True
            self._arrived.notify()
        self._thread.join()

    def _serve(self, opened: Future[None]) -> None:
        try:
            connection = self._open()
        except Exception as error:  # noqa: BLE001 - whatever it is, the constructor must not wait for ever
            opened.set_exception(state_error(self._path, error))
            return
        opened.set_result(None)
        with contextlib.closing(connection):
            while group := self._next_group():
                self._execute(connection, group)

    def _next_group(self) -> list[_Request]:
        """Wait for requests and take all of them; an empty list says that the database is closed."""
        with self._arrived:
            self._arrived.wait_for(lambda: self._pending or self._closed)
            group, self._pending = self._pending, []
        return group

    def _execute(self, connection: sqlite3.Connection, group: list[_Request]) -> None:
        """Run a group and answer it; where it fails as a whole, its reads do not share the fate of its writes."""
        wanted = [request for request in group if request.future.set_running_or_notify_cancel()]
        error = self._try(connection, wanted)
        reads = [request for request in wanted if not request.writes] if error is not None else []
        if 0 < len(reads) < len(wanted):
            wanted = [request for request in wanted if request.writes]
            self._refuse(reads, self._try(connection, reads))
        self._refuse(wanted, error)

    def _try(self, connection: sqlite3.Connection, wanted: Sequence[_Request]) -> StateError | None:
        """Run requests as one transaction and answer them; where that fails give why, with nobody answered."""
        begin = "BEGIN IMMEDIATE" if any(request.writes for request in wanted) else "BEGIN"
        try:
            connection.execute(begin)
            answers = [self._answer(connection, request, alone=len(wanted) == 1) for request in wanted]
            if connection.in_transaction:
                connection.execute("COMMIT")
        except Exception as error:  # noqa: BLE001 - whatever it is, each caller must hear of it
            with contextlib.suppress(sqlite3.Error):  # SQLite has rolled back by itself after some errors
                connection.execute("ROLLBACK")
            return state_error(self._path, error)
        for request, answer in zip(wanted, answers, strict=True):
            if answer.error is None:
                request.future.set_result(answer.value)
            else:
                request.future.set_exception(answer.error)
        return None

    def _refuse(self, requests: Sequence[_Request], error: StateError | None) -> None:
        if error is not None:
            for request in requests:
                # One each: a traceback grows on what several threads raise.
                request.future.set_exception(_copied(error))

    def _answer(self, connection: sqlite3.Connection, request: _Request, *, alone: bool) -> _Answer:
        """Run a request; where it raises, take back what it did and nothing else."""
        if not alone:  # what a lone one did goes with its transaction: two statements less
            connection.execute("SAVEPOINT request")
        try:
            value = request.work(Tables(connection))
        except Exception as error:
            if not connection.in_transaction:
                raise  # SQLite gave the whole group up: a full disk, an I/O error
            for statement in ("ROLLBACK",) if alone else ("ROLLBACK TO request", "RELEASE request"):
                connection.execute(statement)
            return _Answer(error=state_error(self._path, error) if isinstance(error, sqlite3.Error) else error)
        if not alone:
            connection.execute("RELEASE request")
        return _Answer(value=value)

    def _open(self) -> sqlite3.Connection:
        create(self._path, migrations=self._migrations)
        with contextlib.suppress(OSError):  # a mount with fixed modes refuses; the directory protects it then
            self._path.chmod(0o600)
        connection = connect(self._path)
        try:
            if self._exclusive:
                connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            check_version(connection, self._path, migrations=self._migrations)
            mode = "truncate" if self._exclusive else "wal"
            (got,) = connection.execute(f"PRAGMA journal_mode = {mode}").fetchone()
            if got != mode:
                raise StateError(f"The file system of {self._path} cannot hold a journal in mode {mode}, only {got}.")
            connection.execute(f"PRAGMA journal_size_limit = {_WAL_LIMIT_BYTES}")
            migrate(connection, self._migrations)
        except BaseException:
            connection.close()
            raise
        return connection


def _copied(error: StateError) -> StateError:
    damaged = isinstance(error, JournalError)
    copy = JournalError(str(error)) if damaged else StateError(str(error), transient=error.transient)
    copy.__cause__ = error.__cause__
    return copy
