"""The manifest of a data set: one line of CSV for each picture, paths as seen from the manifest's folder."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from bgrd.errors import NoInputError, TrainingError
from bgrd.escape import line
from bgrd.train.entry import KINDS, SPLITS, Entry, Split

if TYPE_CHECKING:
    from _csv import Reader

__all__ = ["COLUMNS", "read_manifest", "write_manifest"]

COLUMNS = ("kind", "image", "mask", "category", "source", "licence", "split")


def read_manifest(path: Path) -> tuple[Entry, ...]:
    """Give the entries of a manifest in its order.

    Raises NoInputError where it cannot be read, TrainingError that names file, line and column where it is wrong: also
    where a picture it names is not there, or stands in two splits.
    """
    try:
        # Names that are no UTF-8 pass both ways; a byte-order mark is what spreadsheets leave.
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as stream:
            return _entries(path, csv.reader(stream, strict=True))
    except OSError as error:
        message = f"{path} cannot be read: {os.strerror(error.errno or 0)}"
        raise NoInputError(message) from error


def write_manifest(path: Path, entries: Iterable[Entry]) -> None:
    """Write the entries in their order; what lies below the manifest's folder is named as seen from there.

    Raises TrainingError for a name or a text with control characters, OSError.
    """
    root = path.parent.absolute()
    rows = [_row(entry, root) for entry in entries]
    for field in (field for row in rows for field in row):
        if any(character < " " for character in field):
            message = f"{path}: control characters cannot stand in a manifest: {line(field)}"
            raise TrainingError(message)
    with path.open("w", encoding="utf-8", errors="surrogateescape", newline="") as stream:
        csv.writer(stream, lineterminator="\n").writerows([COLUMNS, *rows])


def _row(entry: Entry, root: Path) -> tuple[str, ...]:
    mask = "" if entry.mask is None else _written(entry.mask, root)
    return (entry.kind, _written(entry.image, root), mask, entry.category, entry.source, entry.licence, entry.split)


def _written(path: Path, root: Path) -> str:
    path = path.absolute()
    return str(path.relative_to(root) if path.is_relative_to(root) else path)


def _entries(path: Path, reader: Reader) -> tuple[Entry, ...]:
    """Read header and rows. Raises TrainingError, OSError."""
    entries: list[Entry] = []
    splits: dict[Path, Split] = {}
    try:
        if tuple(next(reader, ())) != COLUMNS:
            message = f"{path}, line 1: must be {','.join(COLUMNS)}; is this a manifest of `bgrd train prepare`?"
            raise TrainingError(message)
        for row in filter(None, reader):
            entry = _entry(path.parent.absolute(), row)
            if splits.setdefault(entry.image, entry.split) != entry.split:
                raise _WrongFieldError("split", f"{row[1]} stands in {splits[entry.image]} already")
            entries.append(entry)
    except _WrongFieldError as error:
        message = f"{path}, line {reader.line_num}, column {error.column}: {line(str(error))}"
        raise TrainingError(message) from error
    except csv.Error as error:
        message = f"{path}, line {reader.line_num}: is no CSV: {line(str(error))}"
        raise TrainingError(message) from error
    return tuple(entries)


class _WrongFieldError(Exception):
    """A field that cannot be; knows its column."""

    def __init__(self, column: str, text: str) -> None:
        super().__init__(text)
        self.column = column


def _entry(root: Path, row: list[str]) -> Entry:
    """Give a row as an entry. Raises _WrongFieldError."""
    if len(row) != len(COLUMNS):
        column = COLUMNS[min(len(row), len(COLUMNS) - 1)]
        raise _WrongFieldError(column, f"the line has {len(row)} columns in place of {len(COLUMNS)}")
    kind, image, mask, category, source, licence, split = row
    if kind not in KINDS:
        raise _WrongFieldError("kind", _choice(KINDS, kind))
    if split not in SPLITS:
        raise _WrongFieldError("split", _choice(SPLITS, split))
    if bool(mask) != (kind == "pair"):
        raise _WrongFieldError("mask", "a pair needs one" if kind == "pair" else f"a {kind} has none, is {mask!r}")
    return Entry(
        kind=KINDS[kind],
        image=_file(root, image, "image"),
        mask=_file(root, mask, "mask") if mask else None,
        category=category,
        source=source,
        licence=licence,
        split=SPLITS[split],
    )


def _choice(allowed: Mapping[str, str], given: str) -> str:
    return f"must be {', '.join(allowed)}, is {given!r}"


def _file(root: Path, text: str, column: str) -> Path:
    path = root / text
    try:
        there = bool(text) and "\0" not in text and path.is_file()
    except OSError as error:  # a name too long, a directory that may not be entered
        raise _WrongFieldError(column, f"{text!r} cannot be looked at: {os.strerror(error.errno or 0)}") from error
    if not there:
        raise _WrongFieldError(column, f"there is no file {text!r}")
    return path
