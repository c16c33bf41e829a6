"""A database of words, for tests of the database itself."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

from bgrd.journal.database import Database, Tables

__all__ = ["FIRST", "NOBODY", "SECOND", "WAIT_SECONDS", "add", "opened", "words"]

FIRST = ("CREATE TABLE word (text TEXT NOT NULL UNIQUE)",)
SECOND = ("ALTER TABLE word ADD COLUMN size INTEGER NOT NULL DEFAULT 7",)
WAIT_SECONDS = 20.0
NOBODY = 65534


def opened(path: Path, *, exclusive: bool = False) -> contextlib.closing[Database]:
    """Open a database with one table."""
    return contextlib.closing(Database(path, exclusive=exclusive, migrations=(FIRST,)))


def add(word: str) -> Callable[[Tables], int]:
    """Give a request that writes a word."""
    return lambda tables: tables.run("INSERT INTO word VALUES (?)", word)


def words(tables: Tables) -> list[str]:
    """Read all words."""
    return [row["text"] for row in tables.rows("SELECT text FROM word ORDER BY rowid")]
