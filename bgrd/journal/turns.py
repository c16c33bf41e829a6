"""Whose turn it is: claiming, waiting, releasing and recovering jobs.

Functions over open tables; `journal.Journal` runs each in its own transaction.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from bgrd.job import Job, State
from bgrd.journal.database import Tables
from bgrd.journal.ledger import enter, job_of, text

__all__ = [
    "Recovery",
    "claim",
    "end_cleanly",
    "interrupted",
    "next_due",
    "recover",
    "release",
    "set_aside",
    "withdraw_folder",
]

_CLOCK_SLACK_SECONDS = 1.0
_PROMOTED_AT_ONCE = 1000
_ALONE_AFTER = 2
_FAILED_AFTER = 3
_END = "end"
_WHOLE_DAEMON = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """What the last end left behind: how many jobs go back to ready, and those whose commit must be finished.

    `interrupted` are all that were running, as they stand now (they may have left hidden files); `failed` are those
    of them that were running at a third unclean end although they ran alone.
    """

    requeued: int
    committing: tuple[Job, ...]
    committed: tuple[Job, ...]
    interrupted: tuple[Job, ...] = ()
    failed: tuple[Job, ...] = ()


def claim(tables: Tables, folder: str, *, oldest: bool, now: float) -> Job | None:
    """Bring the folder's newest or oldest job whose turn it is into RUNNING and give it, or None.

    A job waits while another version of its path is being worked on. Its hash is forgotten until a lane has read it
    anew: that is what tells a job that is being decoded from one that has only been claimed. The lane is ahead of it by
    as long as the journal takes to write; who ends the daemon sooner than that is charged by the next end.
    """
    _promote(tables, folder, now=now)
    # Descending and ascending walk the same index; written out twice because an order cannot be a parameter.
    chosen = tables.row(_OLDEST if oldest else _NEWEST, folder)
    if chosen is None:
        return None
    # Not by `enter`, which asks what the choice has answered: it is ready, and RUNNING may follow.
    tables.run("UPDATE job SET state = 'running', changed = ?, sha256 = NULL WHERE id = ?", now, chosen["id"])
    return job_of(tables, chosen["id"])


_NEWEST = """
    SELECT id FROM job WHERE state = 'ready' AND folder = ? AND NOT EXISTS (
        SELECT 1 FROM job AS other INDEXED BY job_state WHERE other.folder = job.folder AND other.path = job.path
            AND other.state IN ('running', 'committing', 'committed'))
    ORDER BY id DESC LIMIT 1
"""
_OLDEST = """
    SELECT id FROM job WHERE state = 'ready' AND folder = ? AND NOT EXISTS (
        SELECT 1 FROM job AS other INDEXED BY job_state WHERE other.folder = job.folder AND other.path = job.path
            AND other.state IN ('running', 'committing', 'committed'))
    ORDER BY id LIMIT 1
"""


def _promote(tables: Tables, folder: str, *, now: float) -> None:
    """Make jobs ready whose wait is over, a bounded number at a time.

    A wait that began in the future, that is, of which more is left than it ever had, is over too: the clock jumped.
    """
    for query, moment in (
        ("SELECT id FROM job WHERE state IN ('retry', 'waiting') AND folder = ? AND due <= ? LIMIT ?", now),
        (
            """
            SELECT id FROM job WHERE state IN ('retry', 'waiting') AND folder = ? AND due - wait_seconds > ? LIMIT ?
            """,
            now + _CLOCK_SLACK_SECONDS,
        ),
    ):
        for row in tables.rows(query, folder, moment, _PROMOTED_AT_ONCE):
            enter(tables, row["id"], State.READY, now=now)
            tables.run("UPDATE job SET due = 0, wait_seconds = 0 WHERE id = ?", row["id"])


def next_due(tables: Tables, folder: str, *, now: float) -> float | None:
    """Give when the folder's next wait ends, `now` where the clock jumped back, None where nothing waits for a time."""
    jumped = tables.row(
        "SELECT 1 FROM job WHERE state IN ('retry', 'waiting') AND folder = ? AND due - wait_seconds > ? LIMIT 1",
        folder,
        now + _CLOCK_SLACK_SECONDS,
    )
    if jumped is not None:
        return now
    row = tables.row(
        """
        SELECT due FROM job WHERE state IN ('retry', 'waiting') AND folder = ? AND due IS NOT NULL
        ORDER BY due LIMIT 1
        """,
        folder,
    )
    return None if row is None else float(row["due"])


def set_aside(
    tables: Tables,
    job_id: int,
    state: State,
    *,
    kind: str,
    reason: str,
    due: float | None,
    charged: bool,
    now: float,
) -> None:
    """Let a job wait until `due`, or until it is released where that is None or infinite."""
    enter(tables, job_id, state, now=now)
    timed = due is not None and math.isfinite(due)
    tables.run(
        "UPDATE job SET kind = ?, reason = ?, due = ?, wait_seconds = ?, attempts = attempts + ? WHERE id = ?",
        kind,
        text(reason),
        due if timed else None,
        max(0.0, due - now) if due is not None and timed else 0.0,
        charged,
        job_id,
    )


def release(tables: Tables, folder: str, *, now: float) -> int:
    """Make ready what waits because of the folder, and give how many those are."""
    return tables.run(
        """
        UPDATE job SET state = 'ready', due = 0, wait_seconds = 0, changed = ?
        WHERE state = 'waiting' AND folder = ? AND kind IN ('folder', 'unavailable', 'model', 'ground')
        """,
        now,
        folder,
    )


def withdraw_folder(tables: Tables, folder: str, *, now: float) -> int:
    """End every open job of a folder that is no longer ours: withdrawn, or done where its result is committed."""
    tables.run("UPDATE job SET state = 'done', changed = ? WHERE state = 'committed' AND folder = ?", now, folder)
    tables.run("DELETE FROM fact WHERE folder = ?", folder)
    return tables.run(
        """
        UPDATE job SET state = 'withdrawn', reason = 'folder removed', gone = 1, changed = ?
        WHERE state IN ('ready', 'running', 'committing', 'waiting', 'retry') AND folder = ?
        """,
        now,
        folder,
    )


def recover(tables: Tables, *, now: float) -> Recovery:
    """Take up what the last end left, and note that from now on an end is unclean until `end_cleanly`."""
    row = tables.row("SELECT value FROM fact WHERE folder = ? AND key = ?", _WHOLE_DAEMON, _END)
    unclean = row is not None and row["value"] != b"clean"
    tables.run("INSERT OR REPLACE INTO fact VALUES (?, ?, ?)", _WHOLE_DAEMON, _END, b"open")
    running = _in_state(tables, State.RUNNING)
    taken = [_take_back(tables, job, charged=unclean and job.sha256 is not None, now=now) for job in running]
    return _recovery(
        taken, committing=_in_state(tables, State.COMMITTING), committed=_in_state(tables, State.COMMITTED)
    )


def interrupted(tables: Tables, folder: str, *, now: float) -> Recovery:
    """Take up what an abandoned worker of a folder left while bgrd runs on; nobody is charged."""
    running, committing, committed = (
        tuple(job for job in _in_state(tables, state) if job.folder == folder)
        for state in (State.RUNNING, State.COMMITTING, State.COMMITTED)
    )
    taken = [_take_back(tables, job, charged=False, now=now) for job in running]
    return _recovery(taken, committing=committing, committed=committed)


def _recovery(taken: Sequence[Job], *, committing: tuple[Job, ...], committed: tuple[Job, ...]) -> Recovery:
    return Recovery(
        requeued=sum(job.state is State.READY for job in taken),
        committing=committing,
        committed=committed,
        interrupted=tuple(taken),
        failed=tuple(job for job in taken if job.state is State.FAILED),
    )


def end_cleanly(tables: Tables) -> None:
    """Note that this end is a clean one."""
    tables.run("INSERT OR REPLACE INTO fact VALUES (?, ?, ?)", _WHOLE_DAEMON, _END, b"clean")


def _take_back(tables: Tables, job: Job, *, charged: bool, now: float) -> Job:
    """Requeue a job that was running at the end, or fail it where that ended bgrd even while the job ran alone."""
    job_id, ends = job.id, job.unclean + charged
    dead = charged and ends >= _FAILED_AFTER
    enter(tables, job_id, State.FAILED if dead else State.READY, now=now)
    tables.run(
        "UPDATE job SET unclean = ?, alone = (alone OR ? >= ?) WHERE id = ?",
        ends,
        ends,
        _ALONE_AFTER,
        job_id,
    )
    if dead:
        reason = f"bgrd ended without warning {ends} times while it worked on this file."
        tables.run("UPDATE job SET kind = 'crash', reason = ? WHERE id = ?", reason, job_id)
    return job_of(tables, job_id)


def _in_state(tables: Tables, state: State) -> tuple[Job, ...]:
    return tuple(
        job_of(tables, row["id"]) for row in tables.rows("SELECT id FROM job WHERE state = ? ORDER BY id", state)
    )
