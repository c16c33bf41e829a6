"""Where pictures come from, with licence and category: from the command line, or from a table in TOML.

[[source]]
name = "cats"                      # how the manifest calls it; without it the name of the folder or zip file
kind = "pair"                      # pair, cutout or background
path = "pairs/cats.zip"            # a folder or a zip file; or two folders: images = "...", masks = "..."
licence = "Apache-2.0"
category = "animals"
categories = { "car*" = "vehicles" }  # by the beginning of a picture's name, where a source has several
group = "[a-z]+"                   # pictures whose names begin with the same match stay in one split
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from bgrd.errors import NoInputError, TrainingError
from bgrd.escape import line, visible
from bgrd.train.entry import KINDS, Kind

__all__ = ["NO_LICENCE", "VARIOUS", "Source", "named", "read_table"]

NO_LICENCE = "not stated"
VARIOUS = "various"

_TEXTS = frozenset({"name", "kind", "path", "images", "masks", "licence", "category", "group"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A folder or zip file of pictures of one kind; `paths` are one, or the photos' and the masks'.

    `categories` are patterns of names with their category, the first that fits counts; `group` is a regular
    expression for the beginning of a name, "" where every picture stands for itself.
    """

    name: str
    kind: Kind
    paths: tuple[Path, ...]
    licence: str = NO_LICENCE
    category: str = VARIOUS
    categories: tuple[tuple[str, str], ...] = ()
    group: str = ""

    def category_of(self, name: str) -> str:
        """Give the category of a picture by its name without directories."""
        last = name.rpartition("/")[2]
        return next((found for pattern, found in self.categories if fnmatchcase(last, pattern)), self.category)

    def group_of(self, name: str) -> str:
        """Give what a picture's name has in common with those that are to stay on its side of the split."""
        found = re.match(self.group, name.rpartition("/")[2]) if self.group else None
        return found.group(0) if found else ""


def named(path: Path) -> str:
    """Give what a source is called by its place, as harmless text: the folder, or the zip file without its suffix."""
    path = Path(os.path.normpath(path.absolute()))
    return visible(path.stem if path.suffix.lower() == ".zip" else path.name)


def read_table(path: Path, *, root: Path | None = None) -> tuple[Source, ...]:
    """Read a table of sources; relative paths start at `root`, without it at the table's folder.

    Raises NoInputError where it cannot be read, TrainingError that names the source and the key that is wrong.
    """
    try:
        values = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        message = f"{path} cannot be read: {os.strerror(error.errno or 0)}"
        raise NoInputError(message) from error
    except ValueError as error:
        message = f"{path}: is no TOML in UTF-8: {line(str(error))}"
        raise TrainingError(message) from error
    rows = values.pop("source", None)
    if values or not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows) or not rows:
        message = f"{path}: must have [[source]] tables and nothing else"
        raise TrainingError(message)
    found = []
    for number, row in enumerate(rows):
        try:
            found.append(_source(row, path.parent if root is None else root))
        except ValueError as error:
            name = row.get("name", row.get("path", number))
            message = f"{path}: source[{name}].{error}"
            raise TrainingError(line(message)) from error
    return tuple(found)


def _source(row: Mapping[str, Any], root: Path) -> Source:
    """Give one table as a source. Raises ValueError "<key>: ..."."""
    for key, value in row.items():
        _check(key, value)
    kind = KINDS.get(row.get("kind", ""))
    if kind is None:
        raise ValueError(f"kind: must be {', '.join(KINDS)}, is {row.get('kind')!r}")
    given = [key for key in ("path", "images", "masks") if key in row]
    if given not in (["path"], ["images", "masks"]) or (given != ["path"] and kind != "pair"):
        raise ValueError("path: has to be set, or for pairs images and masks in its place")
    paths = tuple(root / row[key] for key in given)
    return Source(
        name=row.get("name", named(paths[0])),
        kind=kind,
        paths=paths,
        licence=row.get("licence", NO_LICENCE),
        category=row.get("category", VARIOUS),
        categories=tuple(row.get("categories", {}).items()),
        group=row.get("group", ""),
    )


def _check(key: str, value: object) -> None:
    """Raise ValueError for a key that is none, or has a value that cannot be."""
    if key == "categories":
        if not isinstance(value, dict) or not all(_is_text(text) for text in (*value, *value.values())):
            raise ValueError("categories: must be a table of patterns and categories")
        return
    if key not in _TEXTS:
        raise ValueError(f"{key}: is no key; those are {', '.join(sorted(_TEXTS | {'categories'}))}")
    if not _is_text(value):
        raise ValueError(f"{key}: must be a text in one line, is {value!r}")
    if key == "group":
        try:
            re.compile(str(value))
        except re.error as error:
            raise ValueError(f"group: is no regular expression: {error}") from error


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value != "" and value.isprintable()
