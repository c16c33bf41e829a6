"""What is installed in the models' directory, written down in its `models.json`: checksums, origins, specs.

A file that was put there by hand and stands in the catalogue needs no entry; nothing holds its bytes then but the
checksum its makers published.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from bgrd.errors import CannotCreateError, ModelFault
from bgrd.models.partial import locked, write_whole

__all__ = ["Entry", "change", "note_speeds", "read", "speeds"]

_NAME = "models.json"
_SPEEDS = "speeds.json"
_LOCK = ".lock"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One installed file. `name` is what `model = ...` says, `origin` where it came from, in words that may be shown.

    `sha256` is that of the bytes as they were installed. `licence` is "" where nobody said. `spec` is what
    `models.spec.parse` takes, None where the catalogue or the file has it. `external` has the sha256 of each file of
    weights beside it; a model that has some lies in a directory of its own: `file_name` is `directory/file` then.
    """

    name: str
    file_name: str
    sha256: str
    size: int
    origin: str
    licence: str = ""
    spec: dict[str, Any] | None = None
    external: dict[str, str] = field(default_factory=dict)


def read(directory: Path) -> dict[str, Entry]:
    """Give every entry by its name; none where nothing was ever installed.

    Raises ModelFault where the file is damaged, OSError where it cannot be read.
    """
    try:
        text = (directory / _NAME).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return {}
    try:
        entries = [_entry(values) for values in json.loads(text)["models"]]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        message = f"{directory / _NAME} is damaged: move it away, then pull or add what it named again."
        raise ModelFault(message) from error
    return {entry.name: entry for entry in entries}


def change(directory: Path, what: Callable[[dict[str, Entry]], object]) -> None:
    """Have `what` change the entries, alone and in one step. Raises CannotCreateError, ModelFault."""
    with _explained(directory), _locked(directory):
        before = read(directory)
        entries = dict(before)
        what(entries)
        _write(directory / _NAME, {"models": [asdict(entry) for _name, entry in sorted(entries.items())]})
        # What was measured was another file.
        measured = speeds(directory)
        kept = {name: value for name, value in measured.items() if before.get(name) == entries.get(name)}
        if kept != measured:
            with suppress(OSError):  # the entries are written: what called this must not take its files back
                _write(directory / _SPEEDS, {"milliseconds": kept})


def speeds(directory: Path) -> dict[str, float]:
    """Give the measured milliseconds a picture takes in a model on this machine, by name; {} where nobody measured."""
    with suppress(OSError, ValueError, AttributeError, KeyError, TypeError):
        told = json.loads((directory / _SPEEDS).read_bytes())["milliseconds"]
        return {str(name): float(value) for name, value in told.items()}
    return {}


def note_speeds(directory: Path, measured: Mapping[str, float]) -> None:
    """Write down what was measured, beside what was before. Raises CannotCreateError."""
    with _explained(directory), _locked(directory):
        rounded = {name: round(value, 2) for name, value in measured.items()}
        _write(directory / _SPEEDS, {"milliseconds": {**speeds(directory), **rounded}})


def _entry(values: Mapping[str, Any]) -> Entry:
    """Read one entry. Raises TypeError or ValueError where it is none."""
    entry = Entry(**{one.name: values[one.name] for one in fields(Entry)})
    weights = [*entry.external, *entry.external.values()]
    texts = (entry.name, entry.file_name, entry.sha256, entry.origin, entry.licence, *weights)
    if not all(isinstance(text, str) for text in texts) or not isinstance(entry.spec, dict | None):
        message = "an entry has the wrong kind of values"
        raise TypeError(message)
    parts = [*entry.file_name.split("/"), *entry.external]
    if any(part in {"", ".", ".."} or "/" in part for part in parts):
        message = "an entry names a file elsewhere"
        raise ValueError(message)
    return entry


def _write(path: Path, values: Mapping[str, Any]) -> None:
    write_whole(path, json.dumps(values, indent=1, ensure_ascii=True).encode() + b"\n")


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    directory.mkdir(parents=True, exist_ok=True)
    with locked(directory / _LOCK):
        yield


@contextmanager
def _explained(directory: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        message = f"{directory} cannot be written: {os.strerror(error.errno or 0)}"
        raise CannotCreateError(message) from error
