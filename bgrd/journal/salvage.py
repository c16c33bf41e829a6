"""What can still be read of a damaged journal, poured into a new one.

Python's sqlite3 has no `.recover`. The rows of a table lie on pages in the order of their keys, so that damage takes
whole ranges of keys: each range is read from both ends up to what is damaged, and what is left between is halved until
nothing of it can be read. No index is trusted. A row that is read must still be one that bgrd writes: a page may be
full of another one's bytes.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bgrd.job import State

__all__ = ["Salvaged", "pour", "transplant_head"]

_PROBES = 200_000
"""So many failed readings at most: beyond them what is left is given up."""

_HEX = frozenset("0123456789abcdef")
_ID_GAP = 1_000_000
"""Where nobody knows how many jobs there were, the next one's number lies so far beyond the highest that was read."""

_JOBS_A_PAGE = 50
_PAGE_BYTES = 4096
_STATES = frozenset(State)
_PATHS_AT_MOST = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Salvaged:
    """How much was read; `lost` is how many jobs were not, None where that cannot be told, `paths` some of theirs."""

    jobs: int
    results: int
    lost: int | None
    lost_results: int
    lost_facts: bool
    paths: tuple[bytes, ...] = ()


def transplant_head(damaged: Path, fresh: Path) -> None:
    """Give a file whose first page cannot be read that of a new journal, whose tables lie on the same pages.

    The log beside it, which the old page belongs to, is not replayed any more. Raises OSError.
    """
    with fresh.open("rb") as stream:
        page = bytearray(stream.read(_PAGE_BYTES))
    with damaged.open("r+b") as stream:
        pages = stream.seek(0, 2) // _PAGE_BYTES
        page[18:20] = b"\x01\x01"  # no log is written ahead
        page[28:32] = pages.to_bytes(4, "big")
        page[32:40] = bytes(8)  # no free pages
        stream.seek(0)
        stream.write(page)


def pour(source: sqlite3.Connection, target: sqlite3.Connection) -> Salvaged:
    """Copy all that can be read. Raises sqlite3.Error where the target cannot take it."""
    source.text_factory = lambda data: data.decode("utf-8", "backslashreplace")
    source.row_factory = target.row_factory = sqlite3.Row
    source.execute("PRAGMA cell_size_check = ON")
    target.execute("PRAGMA foreign_keys = OFF")
    target.execute("BEGIN IMMEDIATE")
    columns = _columns(source, target, "job")
    source.execute("BEGIN")  # one lock for all that follows
    highest = _highest(source)
    found = _Range(source, columns).rows(1, _likely(source) if highest is None else highest)
    saved = {row["id"] for row in found if _kept(target, "job", row)}
    results, lost_results = _pour_results(source, target, saved)
    lost_facts = _pour_facts(source, target)
    after = highest if highest is not None else max(saved, default=0) + _ID_GAP
    target.execute("DELETE FROM sqlite_sequence WHERE name = 'job'")
    target.execute("INSERT INTO sqlite_sequence VALUES ('job', ?)", (after,))
    target.execute("COMMIT")
    lost, paths = _lost(source, saved)
    return Salvaged(
        jobs=len(saved),
        results=results,
        lost=lost,
        lost_results=lost_results,
        lost_facts=lost_facts,
        paths=paths,
    )


class _Range:
    """Reads rows of `job` by their keys, stepping over what cannot be read."""

    def __init__(self, source: sqlite3.Connection, columns: str) -> None:
        self._source = source
        self._columns = columns
        self._probes = _PROBES

    def rows(self, low: int, high: int) -> Iterator[sqlite3.Row]:
        """Yield every row from `low` to `high` that can be read, each once."""
        pending = [(low, high)]
        while pending and self._probes > 0:
            low, high = pending.pop()
            last = low - 1
            try:
                for row in self._ask(low, high, "ASC"):
                    last = row["id"]
                    yield row
            except sqlite3.DatabaseError:
                self._probes -= 1
            else:
                continue
            first = high + 1
            with suppress(sqlite3.DatabaseError):
                for row in self._ask(last + 1, high, "DESC"):
                    first = row["id"]
                    yield row
            low, high = last + 1, first - 1
            if low < high:
                middle = (low + high) // 2
                pending += [(middle + 1, high), (low, middle)]

    def _ask(self, low: int, high: int, order: str) -> Iterator[sqlite3.Row]:
        sql = f"SELECT {self._columns} FROM job NOT INDEXED WHERE id BETWEEN ? AND ? ORDER BY id {order}"
        before = low - 1 if order == "ASC" else high + 1
        for row in self._source.execute(sql, (low, high)):
            step = row["id"] - before if order == "ASC" else before - row["id"]
            if step <= 0 or not low <= row["id"] <= high:
                text = "the keys are out of order"
                raise sqlite3.DatabaseError(text)
            before = row["id"]
            yield row


def _columns(source: sqlite3.Connection, target: sqlite3.Connection, table: str) -> str:
    """Give the columns both have: an older journal lacks some, whose defaults are right."""
    there, here = ([row["name"] for row in each.execute(f"PRAGMA table_info({table})")] for each in (source, target))
    return ", ".join(name for name in here if name in there)


def _highest(source: sqlite3.Connection) -> int | None:
    """Give the highest number a job ever had, None where it cannot be read."""
    try:
        (highest,) = source.execute("SELECT max(seq) FROM sqlite_sequence WHERE name = 'job'").fetchone()
    except sqlite3.DatabaseError:
        return None
    return int(highest) if isinstance(highest, int) and 0 < highest < 2**53 else None


def _likely(source: sqlite3.Connection) -> int:
    """Give a number that no job is likely to exceed where the highest cannot be read."""
    pages = int(source.execute("PRAGMA page_count").fetchone()[0])
    found = [pages * _JOBS_A_PAGE]
    for sql in (
        "SELECT id FROM job NOT INDEXED ORDER BY id DESC LIMIT 1",
        "SELECT max(id) FROM job INDEXED BY job_path",
        "SELECT max(job) FROM result NOT INDEXED",
    ):
        with suppress(sqlite3.DatabaseError):
            found += [row[0] for row in source.execute(sql) if isinstance(row[0], int) and row[0] < 2**40]
    return max(found)


def _kept(target: sqlite3.Connection, table: str, row: sqlite3.Row) -> bool:
    """Write a row that makes sense, and say whether it does."""
    values = dict(zip(row.keys(), row, strict=True))
    if not (_is_job(values) if table == "job" else _is_result(values)):
        return False
    names, places = ", ".join(values), ", ".join("?" * len(values))
    with suppress(sqlite3.IntegrityError):
        target.execute(f"INSERT INTO {table} ({names}) VALUES ({places})", tuple(values.values()))
        return True
    return False


def _is_job(values: Mapping[str, Any]) -> bool:
    numbers = ("size", "mtime_ns", "ctime_ns", "inode")
    return (
        isinstance(values["folder"], str)
        and isinstance(values["path"], bytes)
        and bool(values["path"])
        and values["state"] in _STATES
        and values["gone"] in {0, 1}
        and all(isinstance(values[name], int) or str(values[name]).lstrip("-").isdecimal() for name in numbers)
        and all(isinstance(values[name], int | float) for name in ("admitted", "changed", "wait_seconds"))
        and all(isinstance(values[name], int) for name in ("attempts", "unclean", "alone", "same_stat"))
        and (values["sha256"] is None or _is_hash(values["sha256"]))
    )


def _is_result(values: Mapping[str, Any]) -> bool:
    target, size = values["target"], values["size"]
    return isinstance(target, bytes) and bool(target) and isinstance(size, int) and _is_hash(values["sha256"])


def _is_hash(value: object) -> bool:
    return isinstance(value, str) and len(value) == 64 and set(value) <= _HEX


def _pour_results(source: sqlite3.Connection, target: sqlite3.Connection, jobs: set[int]) -> tuple[int, int]:
    """Copy the results of these jobs; gives how many, and of how many jobs they could not be read."""
    poured = lost = 0
    for job in sorted(jobs):
        try:
            rows = source.execute("SELECT * FROM result WHERE job = ?", (job,)).fetchall()
        except sqlite3.DatabaseError:
            lost += 1
        else:
            poured += sum(_kept(target, "result", row) for row in rows)
    return poured, lost


def _pour_facts(source: sqlite3.Connection, target: sqlite3.Connection) -> bool:
    """Copy what is remembered of folders, from both ends; says whether some could not be read."""
    for order in ("ASC", "DESC"):
        try:
            for row in source.execute(f"SELECT folder, key, value FROM fact ORDER BY folder {order}, key {order}"):
                if all(isinstance(value, kind) for value, kind in zip(row, (str, str, bytes), strict=True)):
                    target.execute("INSERT OR IGNORE INTO fact VALUES (?, ?, ?)", tuple(row))
        except sqlite3.DatabaseError:
            continue
        return order == "DESC"
    return True


def _lost(source: sqlite3.Connection, saved: set[int]) -> tuple[int | None, tuple[bytes, ...]]:
    """Give how many jobs there were beside these, as an index or the counts still tell, and some of their paths."""
    with suppress(sqlite3.DatabaseError):
        rows = source.execute("SELECT id, path FROM job INDEXED BY job_path").fetchall()
        missing = [row["path"] for row in rows if row["id"] not in saved]
        return len(missing), tuple(path for path in missing if isinstance(path, bytes))[:_PATHS_AT_MOST]
    with suppress(sqlite3.DatabaseError):
        (number,) = source.execute("SELECT coalesce(sum(jobs), 0) FROM tally").fetchone()
        return max(0, number - len(saved)), ()
    return None, ()
