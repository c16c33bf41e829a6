"""The journal's file: made whole or not at all, never replaced by a new one, brought up to date.

Residual risk: two processes that create the same journal in the same instant; the state directory's lock is what
keeps them apart.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from bgrd.errors import JournalError
from bgrd.intake.mounts import is_network, mount_of, read_mounts

__all__ = [
    "Migration",
    "beside",
    "check_version",
    "connect",
    "create",
    "draft",
    "is_ours",
    "journal_file",
    "migrate",
    "put_in_place",
    "sync_directory",
]

Migration = tuple[str, ...]

_APPLICATION_ID = int.from_bytes(b"bgrd", "big")
_BUSY_SECONDS = 5.0


def journal_file(state_directory: Path) -> tuple[Path, bool]:
    """Give the journal's file and whether it is to be locked for good, as on a network file system."""
    mount = mount_of(os.path.realpath(os.fsencode(state_directory)), read_mounts())
    return state_directory / "journal.db", is_network(mount)


def connect(path: Path, *, writable: bool = True) -> sqlite3.Connection:
    """Open an existing file; never makes one. What is not writable brings no log into its file either."""
    address = path.absolute().as_uri() + ("?mode=rw" if writable else "?mode=ro")
    connection = sqlite3.connect(address, uri=True, isolation_level=None, timeout=_BUSY_SECONDS)
    connection.row_factory = sqlite3.Row
    try:
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
    except BaseException:
        connection.close()
        raise
    return connection


def create(path: Path, *, migrations: Sequence[Migration]) -> None:
    """Make the file with its whole schema where there is nothing; a kill leaves all of it or none.

    Raises JournalError where nothing may be made: a directory lies there, or the log of a file that is missing.
    """
    if path.is_dir():
        message = f"{path} is a directory and no journal; move it away, and bgrd starts a new one."
        raise JournalError(message)
    if path.exists():
        return
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    for suffix in ("-wal", "-journal"):
        leftover = beside(path, suffix)
        if leftover.exists():
            # SQLite would replay it into the new file.
            message = f"{path} is missing but {leftover} is there; put it back or remove both."
            raise JournalError(message)
    draft(path, migrations=migrations).close()
    put_in_place(path)


def draft(path: Path, *, migrations: Sequence[Migration]) -> sqlite3.Connection:
    """Begin a new file for `path`, with its schema, under another name, and give its connection.

    `put_in_place` is to follow once that is closed; what a kill left of an earlier draft is removed.
    """
    hidden = beside(path, ".new")
    hidden.unlink(missing_ok=True)
    beside(hidden, "-journal").unlink(missing_ok=True)
    os.close(os.open(hidden, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600))
    connection = connect(hidden)
    try:
        connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
        migrate(connection, migrations)
    except BaseException:
        connection.close()
        raise
    return connection


def put_in_place(path: Path) -> None:
    """Give the draft its name, in place of what has it."""
    beside(path, ".new").rename(path)
    sync_directory(path.parent)


def check_version(connection: sqlite3.Connection, path: Path, *, migrations: Sequence[Migration]) -> None:
    """Raise JournalError where the file is another program's, or a newer bgrd's."""
    if not is_ours(connection):
        message = f"{path} is no journal of bgrd; move it away, and bgrd starts a new one."
        raise JournalError(message)
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > len(migrations):
        message = (
            f"The journal {path} was written by a newer bgrd (schema {version}, this one knows "
            f"{len(migrations)}); use that version, or move the file away."
        )
        raise JournalError(message)


def is_ours(connection: sqlite3.Connection) -> bool:
    """Say whether the file says that it is a journal of bgrd."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    return bool(application == _APPLICATION_ID)


def migrate(connection: sqlite3.Connection, migrations: Sequence[Migration]) -> None:
    """Apply what is missing, all or nothing.

    Always writes, if only to roll it back: that tells a read-only file now and not at the first job.
    """
    connection.execute("BEGIN IMMEDIATE")
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    for statement in (statement for migration in migrations[version:] for statement in migration):
        connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {len(migrations)}")
    connection.execute("COMMIT" if version < len(migrations) else "ROLLBACK")


def beside(path: Path, suffix: str) -> Path:
    """Give the path of a file that belongs to another by its name."""
    return path.with_name(path.name + suffix)


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
