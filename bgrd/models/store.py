"""Where a model's file lies, and how to come by one that is not there. Loads nothing, fetches nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

from bgrd.errors import SHORTAGES, DaemonFault, ModelFault
from bgrd.job import ModelChoice
from bgrd.models import index
from bgrd.models.catalogue import BUILT_IN, ROWS
from bgrd.models.row import Row, Variant
from bgrd.question import ask

__all__ = ["PACKAGED", "canonical", "find", "how_to_get", "installed_names", "variant_of"]

PACKAGED = Path(__file__).parent / "data"
"""Where the built-in model lies."""
_Answer = TypeVar("_Answer")


def find(name: str, *, custom: Mapping[str, ModelChoice], directory: Path) -> ModelChoice:
    """Say which file `name` means: the user's own models first, then what is installed and the catalogue.

    `name` may be `model:variant`. `directory` holds installed models; the built-in one is in the package. Raises
    ModelFault, with what to do, where the name or its file is missing, and DaemonFault where bgrd itself is short of
    what it takes to look.
    """
    name = name if name in custom else canonical(name)
    if name in custom:
        return _whole(custom[name], f"The file of model {name} is missing: {custom[name].path}.")
    if name == BUILT_IN:
        choice = _listed(ROWS[name], ROWS[name].variants[0], PACKAGED)
        return _whole(choice, "The built-in model is missing: reinstall bgrd.")
    choice, advice = _asked(name, directory, partial(_installed, name, custom, directory))
    return _whole(choice, advice)


def canonical(name: str) -> str:
    """Give a model's name without a variant that is the default one anyway."""
    base, _colon, wanted = name.partition(":")
    row = ROWS.get(base)
    return base if row is not None and row.variants and row.variants[0].name == wanted else name


def variant_of(name: str) -> tuple[Row, Variant] | None:
    """Give the catalogue's row and file for a canonical name, None where it has none."""
    base, colon, wanted = name.partition(":")
    row = ROWS.get(base)
    if row is None:
        return None
    found = [variant for variant in row.variants if variant.name == wanted] if colon else list(row.variants[:1])
    return (row, found[0]) if found else None


def how_to_get(name: str, *, custom: Mapping[str, ModelChoice]) -> str:
    """Give the sentence that says how to come by a model that is not there."""
    listed = variant_of(name)
    if listed is not None:
        licence = "" if listed[0].commercial else " --accept-licence"
        return f"Model {name} is not installed: run `bgrd models pull {name}{licence}`."
    base, colon, wanted = name.partition(":")
    if colon and wanted == "int8" and (base in ROWS or base in custom):
        return (
            f"Model {name} is not installed: run `bgrd models quantize {base} --calibrate FOLDER` on your own photos."
        )
    if colon and base in ROWS and ROWS[base].variants:
        told = ", ".join(f"{base}:{variant.name}" for variant in ROWS[base].variants)
        return f"There is no model named {name}; variants of {base} are {told}."
    if base in ROWS:
        return (
            f"Model {name} comes {ROWS[base].note}: run `bgrd models add FILE --name {name}`, "
            f"or name the file in a [[model]] table with like = {base!r}."
        )
    known = ", ".join([*ROWS, *custom])
    return f"There is no model named {name}; known are {known}, and what `bgrd models add FILE` installs."


def installed_names(directory: Path, *, expected: bool = False) -> frozenset[str] | None:
    """Give the names of what `models add` and its like have installed; None where that cannot be told now.

    `expected`: a directory that is not there has gone away, it is not just not made yet.
    """
    try:
        if expected and not ask(directory, directory.is_dir):
            return None
        return frozenset(ask(directory, partial(index.read, directory)))
    except (OSError, ModelFault):
        return None


def _installed(name: str, custom: Mapping[str, ModelChoice], directory: Path) -> tuple[ModelChoice, str]:
    """Give what a canonical name means, and what to say where it is not there. Raises ModelFault, OSError."""
    entry = index.read(directory).get(name)
    listed = variant_of(name)
    if entry is not None:
        row = ROWS.get(name.partition(":")[0])
        spec = row.spec.to_json() if row is not None and row.spec is not None else None
        path = directory / entry.file_name
        choice = ModelChoice(
            name=name, path=path, sha256=entry.sha256, spec=entry.spec or spec, external=(*entry.external,)
        )
    elif listed is not None:
        choice = _listed(*listed, directory)
    else:
        raise ModelFault(how_to_get(name, custom=custom))
    return choice, how_to_get(name, custom=custom) if listed else f"The file of model {name} is gone: {choice.path}."


def _whole(choice: ModelChoice, advice: str) -> ModelChoice:
    """Give a choice whose files are all there. Raises ModelFault with the advice, or naming the file of weights."""
    look = partial(_first_missing, choice.files)
    missing = _asked(choice.name, choice.path, look)
    if missing == choice.path:
        raise ModelFault(advice)
    if missing is not None:
        message = f"A file of weights of model {choice.name} is missing: {missing}."
        raise ModelFault(message)
    return choice


def _first_missing(paths: Sequence[Path]) -> Path | None:
    return next((path for path in paths if not path.is_file()), None)


def _listed(row: Row, variant: Variant, directory: Path) -> ModelChoice:
    """Give a file of the catalogue as it would lie in a directory."""
    algorithm, _colon, value = (variant.checksum or "").partition(":")
    return ModelChoice(
        name=row.name if variant == row.variants[0] else f"{row.name}:{variant.name}",
        path=directory / variant.file_name,
        sha256=value if algorithm == "sha256" else None,
        spec=row.spec.to_json() if row.spec else None,
    )


def _asked(name: str, about: Path, question: Callable[[], _Answer]) -> _Answer:
    """Ask on the main loop's behalf: a model on a dead share costs the folders that use it and no others."""
    try:
        return ask(about, question)
    except OSError as error:
        if error.errno in SHORTAGES:
            text = f"bgrd is short of system resources: {error.strerror}"
            raise DaemonFault(text) from error
        reason = f"The file of model {name} cannot be reached: {about}: {error.strerror}."
        raise ModelFault(reason) from error
