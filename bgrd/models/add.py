"""Installs a model from a file of the user's, without network; the file stays where it is."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bgrd.errors import ConfigError, ModelFault, ModelFileError, NoInputError, UsageError
from bgrd.models import index
from bgrd.models.anatomy import Anatomy, dissect
from bgrd.models.catalogue import ROWS
from bgrd.models.index import Entry
from bgrd.models.partial import Digest, digest
from bgrd.models.session import Session
from bgrd.models.shelf import checked_name, copied, file_name_for, files_of, readable, record, tidy
from bgrd.models.spec import ModelSpec, parse
from bgrd.models.store import canonical, variant_of

__all__ = ["Added", "add"]

_MOST_TRIED_BYTES = 400 * 10**6
"""A model is tried before it is installed, up to this size: a larger one takes gigabytes and minutes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Added:
    """A model that was installed; `tried` says whether it was run before."""

    name: str
    path: Path
    sha256: str
    licence: str
    commercial: bool
    tried: bool


def add(file: Path, *, name: str | None, directory: Path) -> Added:
    """Install a file under `name`, or as what its checksum or its own spec says it is.

    Raises NoInputError where it cannot be read, ModelFileError where it is not what it should be, UsageError where
    nobody can tell which model it is, CannotCreateError.
    """
    with readable(file):
        anatomy, found = _dissected(file), digest(file)
    entries = index.read(directory)
    own = _own_spec(anatomy, file)
    name = checked_name(canonical(name)) if name is not None else _recognised(file, found, own, entries)
    spec, licence = _fed(name, file, found, own)
    weights = [file.parent / part for part in anatomy.outside]
    tried = found.size + sum(path.stat().st_size for path in weights) <= _MOST_TRIED_BYTES
    if tried:
        _try(name, file, spec, weights)
    entry = Entry(
        name=name,
        file_name=file_name_for(name, entries, beside=file.name if anatomy.outside else None),
        sha256=found.sha256,
        size=found.size,
        origin=f"added from {file}",
        licence=licence,
        spec=None if spec is None or name.partition(":")[0] in ROWS else spec.to_json(),
        external=dict.fromkeys(anatomy.outside, ""),
    )
    _put(file, found, entry, directory)
    if name in entries:
        tidy(directory, entries[name], kept=entry)
    path, commercial = directory / entry.file_name, spec.commercial if spec else True
    return Added(name=name, path=path, sha256=found.sha256, licence=licence, commercial=commercial, tried=tried)


def _put(file: Path, found: Digest, entry: Entry, directory: Path) -> None:
    """Put a model's files on the shelf and write down what they are, or leave nothing that was not there before."""
    places = files_of(directory, entry)
    fresh = not any(map(os.path.lexists, places))
    try:
        parts = zip(entry.external, places[1:], strict=True)
        held = {part: copied(file.parent / part, place).sha256 for part, place in parts}
        copied(file, places[0], expected=found)
        record(directory, replace(entry, external=held))
    except BaseException:
        if fresh:
            tidy(directory, entry)
        raise


def _dissected(file: Path) -> Anatomy:
    """Read a file's frame, and see that the files it names lie beside it. Raises ModelFileError, NoInputError."""
    try:
        anatomy = dissect(file)
    except ModelFileError as error:
        message = f"{file} cannot be added: {error}"
        raise ModelFileError(message) from error
    for part in anatomy.outside:
        if part != os.path.basename(part) or part.startswith("."):
            message = f"{file} cannot be added: its weights lie in {part!r}, which is not beside it"
            raise ModelFileError(message)
        if not (file.parent / part).is_file():
            message = f"{file} needs {part} beside it, which has its weights"
            raise NoInputError(message)
    return anatomy


def _own_spec(anatomy: Anatomy, file: Path) -> ModelSpec | None:
    """Give the spec a file carries. Raises ModelFileError where it cannot be read."""
    if anatomy.spec is None:
        return None
    try:
        values = json.loads(anatomy.spec)
        if not isinstance(values, dict):
            message = "it is no JSON object"
            raise TypeError(message)
        return parse(values, where="its spec")
    except (ValueError, TypeError, ConfigError) as error:
        message = f"{file} carries a spec that cannot be read: {error}"
        raise ModelFileError(message) from error


def _recognised(file: Path, found: Digest, own: ModelSpec | None, entries: Mapping[str, Entry]) -> str:
    """Say which model a file is, by its checksum or by what it says itself. Raises UsageError."""
    for row in ROWS.values():
        for variant in row.variants:
            if variant.checksum is not None and found.holds(variant.checksum):
                return checked_name(row.name if variant == row.variants[0] else f"{row.name}:{variant.name}")
    for entry in entries.values():
        if entry.sha256 == found.sha256:
            return entry.name
    if own is None:
        raise UsageError(_nobody_knows(file))
    if own.name.partition(":")[0] in ROWS:
        message = (
            f"{file} calls itself {own.name}, as a model of the catalogue; say with --name what it is to be called"
        )
        raise UsageError(message)
    return checked_name(own.name)


def _nobody_knows(file: Path) -> str:
    """Say what to do with a file that says nothing of itself."""
    likely = [variant.file_name for row in ROWS.values() for variant in row.variants if variant.file_name == file.name]
    guess = f" (as {file.stem}?)" if likely else ""
    return (
        f"{file} is no file the catalogue knows by its checksum, and does not say itself how it is fed.\n"
        f"If it is a model of the catalogue, name it with --name{guess}; else describe it in the configuration:\n"
        f'[[model]]\nname = "my-model"\npath = {json.dumps(str(file.absolute()), ensure_ascii=False)}\n'
        "side = 1024            # the side of its input; what else it wants is in the documentation of [[model]]"
    )


def _fed(name: str, file: Path, found: Digest, own: ModelSpec | None) -> tuple[ModelSpec | None, str]:
    """Give how a file is fed under a name, and its licence. Raises ModelFileError, UsageError."""
    base = name.partition(":")[0]
    listed = variant_of(name)
    if listed is not None and listed[1].checksum is not None and not found.holds(listed[1].checksum):
        message = f"{file} is not the published {name}: its checksum is not {listed[1].checksum}"
        raise ModelFileError(message)
    if base in ROWS:
        return ROWS[base].spec or own, ROWS[base].licence
    if ":" in name:
        message = f"there is no model named {base} that {name} could be a variant of"
        raise UsageError(message)
    if own is None:
        raise UsageError(_nobody_knows(file))
    return own, own.licence


def _try(name: str, file: Path, spec: ModelSpec | None, weights: Sequence[Path]) -> None:
    """Load and run a model once. Raises ModelFileError where it does not fit its spec."""
    external = {}
    for path in weights:
        with readable(path):
            external[path.name] = path.read_bytes()
    try:
        Session(file.read_bytes(), spec=spec, threads=0, name=name, external=external).trial()
    except ModelFault as fault:
        message = f"{file} cannot be added: {fault}"
        raise ModelFileError(message) from fault
