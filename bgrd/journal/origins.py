"""Where a result came from: for a user who corrected it. Functions over open tables, as the other rooms of SQL."""

from __future__ import annotations

from bgrd.job import Origin
from bgrd.journal.database import Tables

__all__ = ["origin"]


def origin(tables: Tables, folder: str, target: bytes) -> Origin | None:
    """Give where the newest published result at a target came from; None where nothing was published there."""
    row = tables.row(
        """
        SELECT job.path AS path, job.sha256 AS source, result.sha256 AS sha256 FROM result
        JOIN job ON job.id = result.job
        WHERE result.folder = ? AND result.target = ? AND job.state IN ('committed', 'done')
        ORDER BY job.id DESC LIMIT 1
        """,
        folder,
        target,
    )
    return None if row is None else Origin(path=row["path"], source_sha256=row["source"], sha256=row["sha256"])
