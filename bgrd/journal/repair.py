"""Verifies a journal, and mends one that nobody has open: nothing is thrown away, and a kill leaves the old or the new.

What is only wrong in indexes and rows is mended in one transaction. From a file with damaged pages all that can be
read is poured into a new one, which then takes its name. Either way the file as it was is kept first, whole, under a
name with the date.
"""

from __future__ import annotations

import errno
import itertools
import os
import shutil
import sqlite3
import time
from contextlib import closing, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from bgrd.errors import JournalError, StateError
from bgrd.escape import shown
from bgrd.journal.database import Database, Tables
from bgrd.journal.diagnosis import state_error
from bgrd.journal.file import (
    beside,
    check_version,
    connect,
    draft,
    is_ours,
    migrate,
    put_in_place,
    sync_directory,
)
from bgrd.journal.ledger import MIGRATIONS
from bgrd.journal.salvage import Salvaged, pour, transplant_head
from bgrd.journal.soundness import Health, examine, mend

__all__ = ["repair", "verify"]

_LOGS = ("-wal", "-journal", "-shm")


def verify(path: Path, *, in_use: bool = False) -> Health:
    """Say what is wrong with a journal and change nothing, neither the file nor its log.

    `in_use` says that a daemon of this version has it open. Otherwise a copy is looked at: whoever closes a journal as
    the last brings its log into it, an older schema has to be brought to ours, and a rollback writes too. Raises
    JournalError where it is none or a newer bgrd's, StateError where it cannot be read now.
    """
    if path.is_dir():
        return Health(pages=(f"{path} is a directory and no journal; move it away, and bgrd starts a new one.",))
    with TemporaryDirectory(prefix="bgrd-", ignore_cleanup_errors=True) as directory:
        copy = None if in_use else _copied(path, Path(directory))
        try:
            with closing(connect(copy or path, writable=copy is not None)) as connection:
                _refuse(connection, path)
                if copy is not None:
                    migrate(connection, MIGRATIONS)
                connection.execute("BEGIN")
                return examine(Tables(connection))
        except sqlite3.Error as error:
            fault = state_error(path, error)
            if not isinstance(fault, JournalError):
                raise fault from error
            return Health(pages=(str(error),))


def _copied(path: Path, directory: Path) -> Path | None:
    """Copy a journal with its logs; None where somebody wrote to it meanwhile, who has it open then.

    Raises StateError where there is no room for the copy.
    """
    before = _stamps(path)
    try:
        for suffix in ("-wal", "-journal", ""):
            with suppress(FileNotFoundError):
                shutil.copyfile(beside(path, suffix), directory / beside(path, suffix).name)
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
            raise state_error(path, error) from error
        text = f"{directory.parent} has no room for a copy of {path}; set TMPDIR to a directory that has"
        raise StateError(text, transient=True) from error
    return directory / path.name if _stamps(path) == before else None


def _stamps(path: Path) -> list[tuple[int, int] | None]:
    """Give what changes with every write to a journal or its log."""
    stamps: list[tuple[int, int] | None] = []
    for suffix in ("", "-wal", "-journal"):
        try:
            status = beside(path, suffix).stat()
        except FileNotFoundError:
            stamps.append(None)
        else:
            stamps.append((status.st_size, status.st_mtime_ns))
    return stamps


def repair(path: Path, *, exclusive: bool, now: float | None = None) -> list[str]:
    """Mend what can be mended and give what was done, in sentences; nobody else may have the journal open.

    Raises JournalError where nothing can be, with the file as it was, StateError where there is no room for it.
    """
    health = verify(path)
    if not health.complaints:
        return ["nothing is to be mended"]
    if not path.is_file():
        raise JournalError(health.complaints[0])
    try:
        kept = _keep(path, now=time.time() if now is None else now)
        said = f"what was there is kept as {shown(os.fsencode(kept))}"
        if health.pages:
            return [said, *_told(_salvage(path, kept))]
        with closing(Database(path, exclusive=exclusive, migrations=MIGRATIONS)) as database:
            database.write(mend)
    except (OSError, sqlite3.Error) as error:
        raise state_error(path, error) from error
    return [said, "indexes and rows were mended; what was in doubt is worked on again"]


def _refuse(connection: sqlite3.Connection, path: Path) -> None:
    """Raise JournalError for what is no journal, or one of a newer bgrd; damage is not to be mistaken for that."""
    with suppress(sqlite3.Error):
        if not is_ours(connection) and _looks_like_ours(connection):
            return
        check_version(connection, path, migrations=MIGRATIONS)


def _looks_like_ours(connection: sqlite3.Connection) -> bool:
    """Say whether the tables are ours although the first bytes may not say so."""
    names = {row["name"] for row in connection.execute("SELECT name FROM sqlite_master")}
    return {"job", "result", "fact", "tally"} <= names


def _keep(path: Path, *, now: float) -> Path:
    """Copy the journal and its log to a free name with the date, durably, and give that name."""
    stamp = time.strftime(".damaged-%Y%m%d-%H%M%S", time.localtime(now))
    numbers = itertools.chain([""], (f"-{count}" for count in itertools.count(2)))
    names = (beside(path, stamp + number) for number in numbers)
    kept = next(name for name in names if not name.exists())
    for suffix in ("-wal", "-journal", ""):
        if beside(path, suffix).exists():
            _copy(beside(path, suffix), beside(kept, suffix))
    sync_directory(path.parent)
    return kept


def _copy(source: Path, target: Path) -> None:
    with source.open("rb") as there, open(target, "wb", opener=_private) as here:
        shutil.copyfileobj(there, here)
        here.flush()
        os.fsync(here.fileno())


def _private(name: str, flags: int) -> int:
    return os.open(name, flags | os.O_CLOEXEC, 0o600)


def _salvage(path: Path, kept: Path) -> Salvaged:
    """Pour what can be read of the kept copy into a new journal and put that in place."""
    work = beside(path, ".repair")
    _remove(work)  # what a kill left; its log would be replayed
    try:
        for suffix in ("", "-wal", "-journal"):
            if beside(kept, suffix).exists():
                _copy(beside(kept, suffix), beside(work, suffix))
        with closing(draft(path, migrations=MIGRATIONS)) as target:
            with closing(_opened(work, fresh=beside(path, ".new"))) as source:
                salvaged = pour(source, target)
            if not salvaged.jobs:
                message = (
                    f"Nothing of {path} can be read; move it away, and bgrd starts one that knows none of the files."
                )
                raise JournalError(message)
            target.execute("BEGIN IMMEDIATE")
            mend(Tables(target))
            target.execute("COMMIT")
        _end_log(path)
        put_in_place(path)
    finally:
        _remove(work)
        _remove(beside(path, ".new"))
    return salvaged


def _remove(path: Path) -> None:
    for suffix in ("", *_LOGS):
        beside(path, suffix).unlink(missing_ok=True)


def _opened(work: Path, *, fresh: Path) -> sqlite3.Connection:
    """Open the copy, with a new first page where its own does not tell what tables there are.

    Where pages are missing at the end empty ones stand for them: SQLite reads no table where one has none at all.
    """
    if work.stat().st_size < fresh.stat().st_size:
        os.truncate(work, fresh.stat().st_size)
    with suppress(sqlite3.Error), closing(connect(work)) as connection:
        if _looks_like_ours(connection):
            return connect(work)
    for suffix in _LOGS:
        beside(work, suffix).unlink(missing_ok=True)
    transplant_head(work, fresh)
    return connect(work)


def _end_log(path: Path) -> None:
    """Bring what stands in the old file's log into the old file: beside the new one SQLite would replay it there.

    Where SQLite cannot, it cannot open the old file either, and the log lies beside the copy that is kept.
    """
    with suppress(sqlite3.Error), closing(connect(path)) as connection:
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    for suffix in _LOGS:
        beside(path, suffix).unlink(missing_ok=True)
    sync_directory(path.parent)


def _told(salvaged: Salvaged) -> list[str]:
    """Say what was saved, what was lost and what follows."""
    said = [f"{salvaged.jobs} jobs and {salvaged.results} results were saved"]
    if salvaged.lost != 0:
        number = "an unknown number of" if salvaged.lost is None else str(salvaged.lost)
        names = ", ".join(shown(path) for path in salvaged.paths)
        among = f" (among them {names})" if names else ""
        said.append(
            f"{number} jobs could not be read: their files are looked at again as if they were new, and what lies in "
            f"the outbox is not replaced{among}"
        )
    if salvaged.lost_results:
        said.append(
            f"the results of {salvaged.lost_results} jobs could not be read: those in the outbox are left alone, and "
            "newer ones of the same files go beside them"
        )
    if salvaged.lost_facts:
        said.append(
            "some of what was remembered of folders could not be read: look that all mounts are there, since where "
            'they are is recorded anew, and with backlog = "ignore" what lies in an inbox now may be left out'
        )
    return said
