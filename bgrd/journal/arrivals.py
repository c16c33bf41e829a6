"""What the intake asks of the journal: which versions are new, which are there, which are gone.

Functions over open tables; `journal.Journal` runs each in its own transaction. Only the newest row of a path can
vouch for its version (see ledger), so each question costs one step into an index.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bgrd.job import State, Version
from bgrd.journal.database import Row, Tables
from bgrd.journal.ledger import IDLE_STATES, version_values

__all__ = ["add", "mark_missing", "present", "unknown"]


def unknown(tables: Tables, folder: str, seen: Iterable[tuple[bytes, Version]]) -> list[tuple[bytes, Version]]:
    """Give those of `seen` that no present row vouches for."""
    return [
        (path, version)
        for path, version in seen
        if not _vouches(_newest(tables, folder, path), version_values(version))
    ]


def _newest(tables: Tables, folder: str, path: bytes) -> Row | None:
    return tables.row(
        """
        SELECT id, state, gone, same_stat, size, mtime_ns, ctime_ns, inode FROM job
        WHERE folder = ? AND path = ? ORDER BY id DESC LIMIT 1
        """,
        folder,
        path,
    )


def _vouches(row: Row | None, values: tuple[int | str, ...]) -> bool:
    return (
        row is not None and not row["gone"] and (row["size"], row["mtime_ns"], row["ctime_ns"], row["inode"]) == values
    )


def add(
    tables: Tables,
    folder: str,
    arrivals: Sequence[tuple[bytes, Version]],
    *,
    state: State,
    reason: str,
    now: float,
) -> int:
    """Insert a row in `state` for each version not known, in order, and give their number."""
    added = 0
    for path, version in arrivals:
        newest, values = _newest(tables, folder, path), version_values(version)
        if _vouches(newest, values):
            continue
        if newest is not None:
            _leave(tables, newest, reason="replaced", now=now)
        tables.run(
            """
            INSERT INTO job
                (folder, path, size, mtime_ns, ctime_ns, inode, state, reason, same_stat, admitted, changed)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
            """,
            folder,
            path,
            *values,
            state,
            reason,
            newest is not None and _has_same_stat(newest, values),
            now,
            now,
        )
        added += 1
    return added


def _has_same_stat(row: Row, values: tuple[int | str, ...]) -> bool:
    """Tell whether only inode or ctime tell the version from a finished one, or from one of which this was true."""
    finished = row["state"] == State.DONE or bool(row["same_stat"])
    return not row["gone"] and finished and (row["size"], row["mtime_ns"]) == values[:2]


def _leave(tables: Tables, row: Row, *, reason: str, now: float) -> bool:
    """Let a row vouch for its version no more, withdraw it where nobody works on it, and tell whether it did vouch."""
    if row["gone"]:
        return False
    tables.run("UPDATE job SET gone = 1, changed = ? WHERE id = ?", now, row["id"])
    if row["state"] in IDLE_STATES:
        tables.run("UPDATE job SET state = 'withdrawn', reason = ? WHERE id = ?", reason, row["id"])
    return True


def present(tables: Tables, folder: str, *, after_id: int, limit: int) -> list[tuple[int, bytes]]:
    """Give id and path of at most `limit` present rows above `after_id`, in the order of ids."""
    rows = tables.rows(
        "SELECT id, path FROM job WHERE folder = ? AND gone = 0 AND id > ? ORDER BY id LIMIT ?",
        folder,
        after_id,
        limit,
    )
    return [(row["id"], row["path"]) for row in rows]


def mark_missing(tables: Tables, folder: str, paths: Iterable[bytes], *, now: float) -> int:
    """Mark the paths' rows as gone and give how many were; what has not started or has failed is withdrawn."""
    marked = 0
    for path in paths:
        newest = _newest(tables, folder, path)
        marked += newest is not None and _leave(tables, newest, reason="source gone", now=now)
    return marked
