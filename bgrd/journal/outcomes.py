"""How jobs end: their results, failures and notes, what earlier versions left, and what may be forgotten.

Functions over open tables; `journal.Journal` runs each in its own transaction.

A result counts as published once its job is committed. An intent that was interrupted stays on record, since part
of it may lie in the outbox; it goes when the job intends anew. That of a withdrawn job keeps no name from others.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bgrd.job import Job, Result, State
from bgrd.journal.database import Tables
from bgrd.journal.ledger import TransitionError, enter, job_of, text

__all__ = [
    "Past",
    "clear_note",
    "commit",
    "end_done",
    "end_failed",
    "forget",
    "hashed",
    "intend",
    "intend_note",
    "known",
    "note_of",
    "requeue",
    "run_alone",
    "stale_notes",
    "target_owner",
    "withdraw",
    "written",
]

_EARLIER_AT_MOST = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """What is known of a job's path: earlier jobs of the same bytes that published results, newest first; its note."""

    alike: tuple[Job, ...] = ()
    note: bytes | None = None


def hashed(tables: Tables, job_id: int, *, sha256: str, recipe: str) -> Past:
    """Note what a running job's bytes are and how they are worked on, and give what is known of its path."""
    row = tables.row("SELECT folder, path FROM job WHERE id = ? AND state = 'running'", job_id)
    if row is None:
        raise TransitionError(f"Job {job_id} is not running and cannot be hashed.")
    tables.run("UPDATE job SET sha256 = ?, recipe = ? WHERE id = ?", sha256, recipe, job_id)
    alike = _earlier(tables, row["folder"], row["path"], before_id=job_id, sha256=sha256)
    return Past(alike=alike, note=note_of(tables, row["folder"], row["path"]))


def _earlier(tables: Tables, folder: str, path: bytes, *, before_id: int, sha256: str) -> tuple[Job, ...]:
    """Give those of a path's jobs below `before_id` that have published results; looks at a bounded number."""
    rows = tables.rows(
        """
        SELECT id, sha256 FROM job
        WHERE folder = ? AND path = ? AND id < ? AND state IN ('committed', 'done')
            AND EXISTS (SELECT 1 FROM result WHERE result.job = job.id)
        ORDER BY id DESC LIMIT ?
        """,
        folder,
        path,
        before_id,
        _EARLIER_AT_MOST,
    )
    return tuple(job_of(tables, row["id"]) for row in rows if row["sha256"] == sha256)


def known(tables: Tables, job_id: int, *, of: int, now: float) -> None:
    """End a running job as done with the results, hash and recipe of row `of`, which stays as history without them."""
    source = tables.row("SELECT sha256, recipe FROM job WHERE id = ? AND state IN ('committed', 'done')", of)
    if source is None or of == job_id:
        raise TransitionError(f"Job {of} has no results that job {job_id} could take over.")
    if enter(tables, job_id, State.DONE, now=now)["state"] != State.RUNNING:
        raise TransitionError(f"Job {job_id} is past the point where its bytes can be known.")
    tables.run("DELETE FROM result WHERE job = ?", job_id)
    tables.run("UPDATE result SET job = ? WHERE job = ?", job_id, of)
    tables.run(
        "UPDATE job SET sha256 = ?, recipe = ?, kind = '', reason = '' WHERE id = ?",
        source["sha256"],
        source["recipe"],
        job_id,
    )


def intend(
    tables: Tables, job_id: int, results: Sequence[Result], *, kind: str | None, unless_taken: bool, now: float
) -> frozenset[bytes]:
    """Record what is about to be published, in place of what the job intended before; and a kind, if given.

    Gives, with `unless_taken`, the targets that are another path's: where there are any, nothing is recorded.
    """
    if unless_taken and (taken := _taken(tables, job_id, results)):
        return taken
    row = enter(tables, job_id, State.COMMITTING, now=now)
    if kind is not None:
        tables.run("UPDATE job SET kind = ? WHERE id = ?", kind, job_id)
    tables.run("DELETE FROM result WHERE job = ?", job_id)
    for product, result in enumerate(results):
        tables.run(
            "INSERT INTO result (job, product, folder, target, size, sha256) VALUES (?, ?, ?, ?, ?, ?)",
            job_id,
            product,
            row["folder"],
            result.target,
            result.size,
            result.sha256,
        )
    return frozenset()


def _taken(tables: Tables, job_id: int, results: Sequence[Result]) -> frozenset[bytes]:
    row = tables.row("SELECT folder, path FROM job WHERE id = ?", job_id)
    if row is None:
        return frozenset()
    owners = {result.target: target_owner(tables, row["folder"], result.target) for result in results}
    return frozenset(target for target, owner in owners.items() if owner is not None and owner[0] != row["path"])


def commit(tables: Tables, job_id: int, *, now: float) -> None:
    """Record that a job's results are published."""
    enter(tables, job_id, State.COMMITTED, now=now)


def end_done(tables: Tables, job_id: int, *, details: Mapping[str, Any], published: bool, now: float) -> None:
    """End a committed job well; one whose results are `published` is committed by the way."""
    if published:
        commit(tables, job_id, now=now)
    if enter(tables, job_id, State.DONE, now=now)["state"] != State.COMMITTED:
        raise TransitionError(f"Job {job_id} is not committed and cannot be done.")
    written = json.dumps(details, default=str)  # a detail of a type JSON lacks must not cost the job
    # That a picture had holes is kept: its source is spared whenever its bytes come again.
    tables.run(
        """
        UPDATE job SET kind = CASE kind WHEN 'incomplete' THEN kind ELSE '' END, reason = '', details = ? WHERE id = ?
        """,
        written,
        job_id,
    )


def end_failed(
    tables: Tables,
    job_id: int,
    *,
    kind: str,
    reason: str,
    note: bytes | None,
    now: float,
) -> None:
    """End a job as failed; the try counts."""
    enter(tables, job_id, State.FAILED, now=now)
    tables.run(
        "UPDATE job SET kind = ?, reason = ?, note = ?, attempts = attempts + 1 WHERE id = ?",
        kind,
        text(reason),
        note,
        job_id,
    )


def run_alone(tables: Tables, job_id: int, *, reason: str, now: float) -> None:
    """Send a job back to be run with nothing beside it."""
    enter(tables, job_id, State.READY, now=now)
    tables.run(
        "UPDATE job SET alone = 1, reason = ?, due = 0, wait_seconds = 0 WHERE id = ?",
        text(reason),
        job_id,
    )


def requeue(tables: Tables, job_id: int, *, now: float) -> None:
    """Send a job back with nothing charged; a failed one starts afresh, with all its tries."""
    row = enter(tables, job_id, State.READY, now=now)
    tables.run("UPDATE job SET due = 0, wait_seconds = 0 WHERE id = ?", job_id)
    if row["state"] == State.FAILED:
        tables.run("UPDATE job SET attempts = 0, unclean = 0, alone = 0 WHERE id = ?", job_id)


def withdraw(tables: Tables, job_id: int, *, reason: str, now: float) -> None:
    """End a job whose version is no longer there."""
    enter(tables, job_id, State.WITHDRAWN, now=now)
    tables.run("UPDATE job SET reason = ?, gone = 1 WHERE id = ?", text(reason), job_id)


def target_owner(tables: Tables, folder: str, target: bytes) -> tuple[bytes, str] | None:
    """Give path and hash of the newest result recorded for a target, a published one before a mere intent.

    What a withdrawn job intended may lie there in part, and then is its path's; but it keeps the name from nobody.
    """
    row = tables.row(
        """
        SELECT job.path AS path, result.sha256 AS sha256 FROM result JOIN job ON job.id = result.job
        WHERE result.folder = ? AND result.target = ? AND job.state <> 'withdrawn'
        ORDER BY job.state IN ('committed', 'done') DESC, job.id DESC LIMIT 1
        """,
        folder,
        target,
    )
    return None if row is None else (row["path"], row["sha256"])


def written(tables: Tables, folder: str, path: bytes, target: bytes) -> frozenset[str]:
    """Give every hash recorded for a target by jobs of the path, whatever became of them."""
    rows = tables.rows(
        """
        SELECT result.sha256 AS sha256 FROM result JOIN job ON job.id = result.job
        WHERE result.folder = ? AND result.target = ? AND job.path = ?
        """,
        folder,
        target,
        path,
    )
    return frozenset(row["sha256"] for row in rows)


def intend_note(tables: Tables, job_id: int, note: bytes) -> None:
    """Note which failure note is about to be written for a job."""
    tables.run("UPDATE job SET note = ? WHERE id = ?", note, job_id)


def note_of(tables: Tables, folder: str, path: bytes) -> bytes | None:
    """Give the newest failure note recorded for the path."""
    row = tables.row(
        "SELECT note FROM job WHERE folder = ? AND path = ? AND note IS NOT NULL ORDER BY id DESC LIMIT 1",
        folder,
        path,
    )
    return None if row is None else bytes(row["note"])


def clear_note(tables: Tables, folder: str, path: bytes) -> None:
    """Forget the path's failure notes."""
    tables.run("UPDATE job SET note = NULL WHERE folder = ? AND path = ? AND note IS NOT NULL", folder, path)


def stale_notes(tables: Tables, folder: str) -> list[bytes]:
    """Give the paths that have a failure note but no failed job any more."""
    rows = tables.rows(
        """
        SELECT DISTINCT path FROM job WHERE folder = ? AND note IS NOT NULL AND NOT EXISTS (
            SELECT 1 FROM job AS failed
            WHERE failed.folder = job.folder AND failed.path = job.path AND failed.state = 'failed')
        ORDER BY path
        """,
        folder,
    )
    return [row["path"] for row in rows]


def forget(tables: Tables, *, older_than: float, after_id: int, rows: int) -> tuple[int, int | None]:
    """Among the next `rows` after an id: drop old details, delete ended rows that no longer vouch for anything.

    A row of a path that is still there stays while one of its results has no newer record: it tells our file from
    the user's. Gives how many rows were deleted, and the id to go on after, or None at the end.
    """
    looked_at = tables.rows("SELECT id FROM job WHERE id > ? ORDER BY id LIMIT ?", after_id, rows)
    if not looked_at:
        return 0, None
    to_id = looked_at[-1]["id"]
    forgotten = _forget_between(tables, older_than=older_than, after_id=after_id, to_id=to_id)
    return forgotten, to_id if len(looked_at) == rows else None


def _forget_between(tables: Tables, *, older_than: float, after_id: int, to_id: int) -> int:
    bounds = (older_than, after_id, to_id)
    tables.run(
        "UPDATE job SET details = NULL WHERE changed < ? AND id > ? AND id <= ? AND details IS NOT NULL",
        *bounds,
    )
    return tables.run(
        """
        DELETE FROM job
        WHERE changed < ? AND id > ? AND id <= ? AND gone = 1 AND note IS NULL
            AND state IN ('done', 'failed', 'withdrawn')
            AND (
                NOT EXISTS (
                    SELECT 1 FROM job AS heir
                    WHERE heir.folder = job.folder AND heir.path = job.path AND heir.gone = 0)
                OR NOT EXISTS (
                    SELECT 1 FROM result WHERE result.job = job.id AND NOT EXISTS (
                        SELECT 1 FROM result AS newer
                        WHERE newer.folder = result.folder AND newer.target = result.target
                            AND newer.job > result.job)))
        """,
        *bounds,
    )
