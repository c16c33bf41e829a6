"""Whether the journal agrees with itself: what SQLite says of its pages and indexes, and what we say of its rows.

Functions over open tables. A rule is a row of `_RULES`: how to count what breaks it, how to say so, and how to mend it
so that no picture is lost: what is in doubt is worked on again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from bgrd.job import State
from bgrd.journal.database import Tables
from bgrd.journal.ledger import IDLE_STATES, MIGRATIONS

__all__ = ["Health", "examine", "mend"]

_AT_MOST = 100
_INDEX_ALONE = re.compile(r"row .* (missing from|values differ from) index|(wrong # of|non-unique) entr.* in index")


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """What is wrong: with the file's `pages`, with its `indexes` alone, with its `rows`; sentences without an end."""

    jobs: int = 0
    pages: tuple[str, ...] = ()
    indexes: tuple[str, ...] = ()
    rows: tuple[str, ...] = ()

    @property
    def complaints(self) -> tuple[str, ...]:
        """Everything that is wrong, the worst first."""
        return (*self.pages, *self.indexes, *self.rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rule:
    """`count` gives how often it is broken, `text` says so, `mend` are the statements after which it is not."""

    count: str
    text: str
    mend: tuple[str, ...]


def _listed(states: frozenset[State]) -> str:
    return ", ".join(f"'{state}'" for state in sorted(states))


_WORKED_AGAIN = """
    UPDATE job SET state = CASE gone WHEN 0 THEN 'ready' ELSE 'withdrawn' END, sha256 = NULL, due = 0, wait_seconds = 0
"""
_UNKNOWN = f"state NOT IN ({_listed(frozenset(State))})"
_UNTYPED = "typeof(folder) <> 'text' OR typeof(path) <> 'blob' OR path = x'' OR gone NOT IN (0, 1)"
_DOUBLE = """
    gone = 0 AND EXISTS (
        SELECT 1 FROM job AS newer WHERE newer.folder = job.folder AND newer.path = job.path AND newer.id > job.id)
"""
_ABSENT = f"gone = 1 AND state IN ({_listed(IDLE_STATES)})"
_UNRECORDED = """
    state IN ('committing', 'committed')
        AND (sha256 IS NULL OR NOT EXISTS (SELECT 1 FROM result WHERE result.job = job.id))
"""
_UNHASHED = "state = 'done' AND sha256 IS NULL AND gone = 0"
_ORPHAN = "job NOT IN (SELECT id FROM job)"
_SHAPELESS = "typeof(target) <> 'blob' OR target = x'' OR length(sha256) <> 64 OR size < 0"
_COUNTED = "SELECT folder, state, count(*) AS jobs FROM job GROUP BY folder, state"
_TALLIED = "SELECT folder, state, jobs FROM tally WHERE jobs <> 0"
_MISCOUNTED = f"""
    SELECT folder, state FROM (SELECT * FROM ({_COUNTED}) EXCEPT SELECT * FROM ({_TALLIED}))
    UNION SELECT folder, state FROM (SELECT * FROM ({_TALLIED}) EXCEPT SELECT * FROM ({_COUNTED}))
"""

_RULES = (
    _Rule(
        count=f"SELECT count(*) FROM job WHERE {_UNKNOWN} OR {_UNTYPED}",
        text="{} jobs make no sense",
        mend=(f"DELETE FROM job WHERE {_UNKNOWN} OR {_UNTYPED}",),
    ),
    _Rule(
        count=f"SELECT count(*) FROM result WHERE {_ORPHAN}",
        text="{} results belong to no job",
        mend=(f"DELETE FROM result WHERE {_ORPHAN}",),
    ),
    _Rule(
        count=f"SELECT count(*) FROM result WHERE {_SHAPELESS}",
        text="{} results make no sense",
        mend=(f"DELETE FROM result WHERE {_SHAPELESS}",),
    ),
    _Rule(
        count=f"SELECT count(*) FROM job WHERE {_DOUBLE}",
        text="{} jobs vouch for a file beside a newer one",
        mend=(f"UPDATE job SET gone = 1 WHERE {_DOUBLE}",),
    ),
    _Rule(
        count=f"SELECT count(*) FROM job WHERE {_ABSENT}",
        text="{} jobs wait for a file that is gone",
        mend=(f"UPDATE job SET state = 'withdrawn', reason = 'source gone' WHERE {_ABSENT}",),
    ),
    _Rule(
        count=f"SELECT count(*) FROM job WHERE {_UNRECORDED}",
        text="{} jobs are being committed without a result",
        mend=(f"{_WORKED_AGAIN} WHERE {_UNRECORDED}",),
    ),
    _Rule(
        count=f"SELECT count(*) FROM job WHERE {_UNHASHED}",
        text="{} jobs are done and nobody knows of what bytes",
        mend=(f"UPDATE job SET gone = 1 WHERE {_UNHASHED}",),
    ),
    _Rule(
        count=f"SELECT count(*) FROM ({_MISCOUNTED})",
        text="{} counts of jobs are wrong",
        mend=(
            "DELETE FROM tally",
            "INSERT INTO tally SELECT folder, state, count(*) FROM job GROUP BY folder, state",
        ),
    ),
    _Rule(
        count="""
            SELECT count(*) FROM (SELECT max(id) AS highest FROM job)
            WHERE highest > coalesce((SELECT max(seq) FROM sqlite_sequence WHERE name = 'job'), 0)
        """,
        text="{} numbers of jobs may be given away twice",
        mend=(
            "DELETE FROM sqlite_sequence WHERE name = 'job'",
            "INSERT INTO sqlite_sequence SELECT 'job', max(id) FROM job",
        ),
    ),
)


def examine(tables: Tables) -> Health:
    """Find out what is wrong; reads every page. Raises what SQLite does where it cannot go on."""
    said = [str(row[0]) for row in tables.rows(f"PRAGMA integrity_check({_AT_MOST})")]
    said = [line for text in said if text != "ok" for line in text.splitlines()]
    missing = [f"its {kind} {name} is missing" for kind, name in _expected() if not _has(tables, kind, name)]
    pages = (*(line for line in said if not _INDEX_ALONE.match(line)), *missing)
    if missing:
        return Health(pages=pages)
    return Health(
        jobs=_number(tables, "SELECT count(*) FROM job"),
        pages=pages,
        indexes=tuple(line for line in said if _INDEX_ALONE.match(line)),
        rows=tuple(_broken(tables)),
    )


def mend(tables: Tables) -> None:
    """Build the indexes anew and mend every rule that is broken; the pages have to be sound."""
    tables.run("REINDEX")
    for rule in _RULES:
        if _number(tables, rule.count):
            for statement in rule.mend:
                tables.run(statement)


def _broken(tables: Tables) -> Iterator[str]:
    for rule in _RULES:
        if number := _number(tables, rule.count):
            yield rule.text.format(number)


def _expected() -> list[tuple[str, str]]:
    """Give kind and name of all that the schema makes."""
    made = re.compile(r"\s*CREATE (TABLE|INDEX|TRIGGER) (\w+)")
    found = [made.match(statement) for migration in MIGRATIONS for statement in migration]
    return [(each[1].lower(), each[2]) for each in found if each is not None]


def _has(tables: Tables, kind: str, name: str) -> bool:
    return tables.row("SELECT 1 FROM sqlite_master WHERE type = ? AND name = ?", kind, name) is not None


def _number(tables: Tables, sql: str) -> int:
    row = tables.row(sql)
    return int(row[0]) if row is not None else 0
