"""The journal's tables: schema, which state may follow which, and how a row becomes a Job.

`job` holds a row per version of a file. `gone` says that the row no longer vouches for its version: the source is
missing, was replaced, or the job was withdrawn; so a path has at most one row with `gone` = 0, its newest. `result`
holds a row per product. `tally` counts jobs by folder and state, kept by triggers, so that asking costs nothing
with any number of rows. `fact` holds small things remembered per folder.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Collection

from bgrd.job import Job, Result, State, Version
from bgrd.journal.database import Migration, Row, Tables

__all__ = [
    "ALLOWED",
    "IDLE_STATES",
    "MIGRATIONS",
    "TransitionError",
    "counts",
    "enter",
    "fact",
    "job_of",
    "jobs",
    "set_fact",
    "text",
    "version_values",
]

MIGRATIONS: tuple[Migration, ...] = (
    (
        # AUTOINCREMENT: an id is part of hidden file names and must never come back for another job.
        # Sizes and times have no declared type: what does not fit 64 bits is kept as text, not rounded.
        """
        CREATE TABLE job (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            folder TEXT NOT NULL,
            path BLOB NOT NULL,
            size NOT NULL,
            mtime_ns NOT NULL,
            ctime_ns NOT NULL,
            inode NOT NULL,
            state TEXT NOT NULL,
            gone INTEGER NOT NULL DEFAULT 0,
            same_stat INTEGER NOT NULL DEFAULT 0,
            attempts INTEGER NOT NULL DEFAULT 0,
            unclean INTEGER NOT NULL DEFAULT 0,
            alone INTEGER NOT NULL DEFAULT 0,
            due REAL DEFAULT 0,
            wait_seconds REAL NOT NULL DEFAULT 0,
            admitted REAL NOT NULL,
            changed REAL NOT NULL,
            kind TEXT NOT NULL DEFAULT '',
            reason TEXT NOT NULL DEFAULT '',
            sha256 TEXT,
            recipe TEXT,
            note BLOB,
            details TEXT
        )
        """,
        "CREATE INDEX job_path ON job (folder, path)",
        "CREATE INDEX job_state ON job (state, folder)",
        "CREATE INDEX job_present ON job (folder) WHERE gone = 0",
        "CREATE INDEX job_due ON job (folder, due) WHERE state IN ('retry', 'waiting')",
        "CREATE INDEX job_since ON job (folder, due - wait_seconds) WHERE state IN ('retry', 'waiting')",
        "CREATE INDEX job_note ON job (folder, path) WHERE note IS NOT NULL",
        """
        CREATE TABLE result (
            job INTEGER NOT NULL REFERENCES job (id) ON DELETE CASCADE,
            product INTEGER NOT NULL,
            folder TEXT NOT NULL,
            target BLOB NOT NULL,
            size INTEGER NOT NULL,
            sha256 TEXT NOT NULL,
            PRIMARY KEY (job, product)
        ) WITHOUT ROWID
        """,
        "CREATE INDEX result_target ON result (folder, target, job)",
        """
        CREATE TABLE fact (
            folder TEXT NOT NULL,
            key TEXT NOT NULL,
            value BLOB NOT NULL,
            PRIMARY KEY (folder, key)
        ) WITHOUT ROWID
        """,
        """
        CREATE TABLE tally (
            folder TEXT NOT NULL,
            state TEXT NOT NULL,
            jobs INTEGER NOT NULL,
            PRIMARY KEY (folder, state)
        ) WITHOUT ROWID
        """,
        """
        CREATE TRIGGER job_added AFTER INSERT ON job BEGIN
            INSERT INTO tally VALUES (new.folder, new.state, 1) ON CONFLICT DO UPDATE SET jobs = jobs + 1;
        END
        """,
        """
        CREATE TRIGGER job_moved AFTER UPDATE OF state ON job WHEN old.state <> new.state BEGIN
            UPDATE tally SET jobs = jobs - 1 WHERE folder = old.folder AND state = old.state;
            INSERT INTO tally VALUES (new.folder, new.state, 1) ON CONFLICT DO UPDATE SET jobs = jobs + 1;
        END
        """,
        """
        CREATE TRIGGER job_forgotten AFTER DELETE ON job BEGIN
            UPDATE tally SET jobs = jobs - 1 WHERE folder = old.folder AND state = old.state;
        END
        """,
    ),
)

ALLOWED: dict[State, frozenset[State]] = {
    State.READY: frozenset({State.RUNNING, State.WITHDRAWN}),
    State.RUNNING: frozenset(
        {State.READY, State.COMMITTING, State.WAITING, State.RETRY, State.DONE, State.FAILED, State.WITHDRAWN},
    ),
    State.COMMITTING: frozenset(
        {
            State.COMMITTING,  # another name was free
            State.READY,
            State.COMMITTED,
            State.WAITING,
            State.RETRY,
            State.FAILED,
            State.WITHDRAWN,
        },
    ),
    State.COMMITTED: frozenset({State.COMMITTED, State.DONE}),
    State.WAITING: frozenset({State.READY, State.WITHDRAWN}),
    State.RETRY: frozenset({State.READY, State.WITHDRAWN}),
    State.DONE: frozenset(),
    State.FAILED: frozenset({State.READY, State.WITHDRAWN}),
    State.WITHDRAWN: frozenset(),
}
"""The states that may follow each state."""

IDLE_STATES = frozenset({State.READY, State.WAITING, State.RETRY, State.FAILED})
"""Nobody works on these; they are withdrawn once their source is gone or replaced, so none of them has `gone` = 1."""


class TransitionError(ValueError):
    """A programming error: the job is not there, or its state does not allow what was asked."""


def enter(tables: Tables, job_id: int, state: State, *, now: float) -> Row:
    """Bring a job into a state and give its row as it was before. Raises TransitionError where ALLOWED says no.

    A job whose source went away or was replaced while it was worked on does not wait, fail or start again: it is
    withdrawn instead.
    """
    row = tables.row("SELECT * FROM job WHERE id = ?", job_id)
    if row is None:
        raise TransitionError(f"There is no job {job_id}.")
    before = State(row["state"])
    if state not in ALLOWED[before]:
        raise TransitionError(f"Job {job_id} is {before} and cannot become {state}.")
    if row["gone"] and state in IDLE_STATES:
        state = State.WITHDRAWN
        tables.run("UPDATE job SET reason = 'source gone' WHERE id = ?", job_id)
    tables.run("UPDATE job SET state = ?, changed = ? WHERE id = ?", state, now, job_id)
    return row


def job_of(tables: Tables, job_id: int) -> Job:
    """Give the job with its results. Raises TransitionError where there is none."""
    row = tables.row("SELECT * FROM job WHERE id = ?", job_id)
    if row is None:
        raise TransitionError(f"There is no job {job_id}.")
    found = tables.rows("SELECT target, size, sha256 FROM result WHERE job = ? ORDER BY product", job_id)
    results = tuple(Result(target=each["target"], size=each["size"], sha256=each["sha256"]) for each in found)
    return Job(
        id=row["id"],
        folder=row["folder"],
        path=row["path"],
        version=_version_of(row),
        state=State(row["state"]),
        attempts=row["attempts"],
        unclean=row["unclean"],
        alone=bool(row["alone"]),
        same_stat=bool(row["same_stat"]),
        due=math.inf if row["due"] is None else row["due"],
        admitted=row["admitted"],
        kind=row["kind"],
        reason=row["reason"],
        sha256=row["sha256"],
        recipe=row["recipe"],
        results=results,
    )


def _version_of(row: Row) -> Version:
    return Version(
        size=int(row["size"]),
        mtime_ns=int(row["mtime_ns"]),
        ctime_ns=int(row["ctime_ns"]),
        inode=int(row["inode"]),
    )


def version_values(version: Version) -> tuple[int | str, int | str, int | str, int | str]:
    """Give size, mtime_ns, ctime_ns and inode as they are stored, in this order."""
    return _stored(version.size), _stored(version.mtime_ns), _stored(version.ctime_ns), _stored(version.inode)


def _stored(number: int) -> int | str:
    """Give the number as SQLite can hold it exactly: 64-bit inodes and far-off times exceed its signed integers."""
    return number if -(2**63) <= number < 2**63 else str(number)


def text(value: str) -> str:
    """Give text that SQLite accepts: names that are no UTF-8 are escaped, since messages carry them."""
    return value.encode("utf-8", "backslashreplace").decode("utf-8")


def counts(tables: Tables) -> dict[str, dict[str, int]]:
    """Give the number of jobs by folder and state, without zeros."""
    counted: dict[str, dict[str, int]] = {}
    for row in tables.rows("SELECT folder, state, jobs FROM tally WHERE jobs > 0 ORDER BY folder, state"):
        counted.setdefault(row["folder"], {})[row["state"]] = row["jobs"]
    return counted


def jobs(tables: Tables, *, states: Collection[State], folder: str | None, limit: int) -> list[Job]:
    """Give at most `limit` jobs in these states, newest first; reads no more rows than that per folder and state."""
    ids: list[int] = []
    for each, states_there in counts(tables).items():
        for state in states:
            if state in states_there and folder in {None, each}:
                query = "SELECT id FROM job WHERE state = ? AND folder = ? ORDER BY id DESC LIMIT ?"
                ids += [row["id"] for row in tables.rows(query, state, each, limit)]
    return [job_of(tables, job_id) for job_id in heapq.nlargest(limit, set(ids))]


def fact(tables: Tables, folder: str, key: str) -> str | None:
    """Give a fact remembered for a folder."""
    row = tables.row("SELECT value FROM fact WHERE folder = ? AND key = ?", folder, key)
    return None if row is None else bytes(row["value"]).decode("utf-8", "surrogateescape")


def set_fact(tables: Tables, folder: str, key: str, value: str) -> None:
    """Remember a fact for a folder; as bytes, since mounts may have names that are no UTF-8."""
    tables.run("INSERT OR REPLACE INTO fact VALUES (?, ?, ?)", folder, key, value.encode("utf-8", "surrogateescape"))
