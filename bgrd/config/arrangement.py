"""Whether folders can live together: none takes what bgrd writes, or what a user corrected, as its input."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path

from bgrd.errors import ConfigError
from bgrd.job import Folder

__all__ = ["CORRECTIONS", "arrange"]

CORRECTIONS = "_corrections"
"""Where corrected results are put in an outbox; no result gets a name in it (delivery.naming)."""


def arrange(folders: Sequence[Folder], *, aside: Sequence[Path]) -> tuple[Folder, ...]:
    """Give the folders with `excluded` filled in, or raise ConfigError where they cannot live together.

    `aside` are directories that are never input (state, models). Checks the text of the paths only. Allowed: a chain
    (one folder's outbox is another's inbox), and folders that share an outbox. Residual risk: two texts that reach
    one directory through a link are not seen here; the lock on the inbox directory sees them.
    """
    _refuse_twins(folders)
    for folder in folders:
        _refuse_feeding_itself(folder)
    _refuse_cycles(folders)
    every = [*aside, *(place for folder in folders for place in _written(folder))]
    corrections = [folder.corrections for folder in folders if folder.corrections is not None]
    for folder in folders:
        _refuse_aside(folder, [*aside, *corrections])
        _refuse_writing_to_corrections(folder, folders)
    arranged = tuple(replace(folder, excluded=_below(folder.inbox, every)) for folder in folders)
    for folder in arranged:
        _refuse_ground_as_source(folder, arranged)
    return arranged


def _refuse_twins(folders: Sequence[Folder]) -> None:
    """Raise ConfigError where two folders have one name or their inboxes overlap."""
    for first, second in combinations(folders, 2):
        if first.name == second.name:
            message = f"folder: the name {first.name!r} is given twice"
            raise ConfigError(message)
        for inner, outer in ((second, first), (first, second)):
            if inner.inbox == outer.inbox:
                message = f"folder[{inner.name}].inbox: {inner.inbox} is the inbox of {outer.name!r} already"
                raise ConfigError(message)
            if inner.inbox.is_relative_to(outer.inbox):
                message = f"folder[{inner.name}].inbox: {inner.inbox} lies inside the inbox of {outer.name!r}"
                raise ConfigError(message)


def _refuse_feeding_itself(folder: Folder) -> None:
    """Raise ConfigError where a folder would take its own results, archived sources or notes as input."""
    named = (
        ("outbox", folder.outbox),
        ("archive", folder.archive),
        ("corrections", folder.corrections),
        ("failure_notes", folder.failure_notes),
    )
    for key, place in named:
        if place is None:
            continue
        if place == folder.inbox:
            message = f"folder[{folder.name}].{key}: must not be the folder's own inbox, {place}"
            raise ConfigError(message)
        if key != "failure_notes" and folder.inbox.is_relative_to(place):
            message = f"folder[{folder.name}].{key}: the folder's own inbox lies inside it, {place}"
            raise ConfigError(message)
    if folder.policy == "archive" and folder.archive == folder.outbox:
        message = f"folder[{folder.name}].archive: must not be the folder's own outbox, {folder.archive}"
        raise ConfigError(message)


def _refuse_aside(folder: Folder, aside: Sequence[Path]) -> None:
    """Raise ConfigError where the inbox is, or lies inside, a directory bgrd keeps for itself."""
    for place in aside:
        if folder.inbox.is_relative_to(place):
            message = f"folder[{folder.name}].inbox: must not lie in {place}, which bgrd keeps for itself"
            raise ConfigError(message)


def _refuse_writing_to_corrections(folder: Folder, folders: Sequence[Folder]) -> None:
    """Raise ConfigError where bgrd would write to the place of corrected results, or that is another outbox's too.

    Residual risk: where an outbox lies in another one, its corrections do as well, and a source may be called so.
    """
    place = folder.corrections
    if place is None:
        return
    for other in folders:
        for key, written in (("outbox", other.outbox), *_kept_apart(other)):
            if written.is_relative_to(place):
                message = f"folder[{folder.name}].corrections: {place} holds the {key} of {other.name!r}"
                raise ConfigError(message)
        if other.corrections == place and other.outbox != folder.outbox:
            message = (
                f"folder[{folder.name}].corrections: {place} is that of {other.name!r} too, which has other results"
            )
            raise ConfigError(message)
    inside = place.is_relative_to(folder.outbox) and not place.is_relative_to(folder.outbox / CORRECTIONS)
    if inside or (folder.policy == "archive" and place.is_relative_to(folder.archive)):
        message = f"folder[{folder.name}].corrections: {place} lies where bgrd puts files of its own"
        raise ConfigError(message)


def _kept_apart(folder: Folder) -> Iterator[tuple[str, Path]]:
    """Yield archive and failure notes, where the folder writes any."""
    if folder.policy == "archive":
        yield "archive", folder.archive
    if folder.failure_notes is not None:
        yield "failure_notes", folder.failure_notes


def _refuse_ground_as_source(folder: Folder, folders: Sequence[Folder]) -> None:
    """Raise ConfigError where a picture to stand on would be cut out itself, and then archived or deleted."""
    for ground in folder.recipe.grounds:
        for other in folders:
            aside = any(ground.is_relative_to(place) for place in other.excluded)
            if ground.is_relative_to(other.inbox) and not aside:
                message = f"folder[{folder.name}].on: {ground} lies in the inbox of {other.name!r}, as a source would"
                raise ConfigError(message)


def _refuse_cycles(folders: Sequence[Folder]) -> None:
    """Raise ConfigError where results would come round to the folder they started from."""
    following = {
        folder.name: [other.name for other in folders if other is not folder and _feeds(folder, other)]
        for folder in folders
    }
    for start in following:
        trail = _way_back(start, following)
        if trail:
            message = f"folder[{start}].outbox: results would go in a circle: {' -> '.join(trail)}"
            raise ConfigError(message)


def _feeds(folder: Folder, other: Folder) -> bool:
    """Say whether what `folder` writes arrives in `other`'s inbox.

    An outbox strictly below an inbox does not: it is left out there.
    """
    places = [folder.outbox, *([folder.archive] if folder.policy == "archive" else [])]
    return any(other.inbox.is_relative_to(place) for place in places)


def _way_back(start: str, following: dict[str, list[str]]) -> list[str]:
    """Give the names from `start` back to `start`, or an empty list where no way leads back."""
    trails = [[start]]
    seen: set[str] = set()
    while trails:
        trail = trails.pop()
        for name in following[trail[-1]]:
            if name == start:
                return [*trail, name]
            if name not in seen:
                seen.add(name)
                trails.append([*trail, name])
    return []


def _written(folder: Folder) -> Iterator[Path]:
    """Yield every place whose files are no input: what a folder writes to, and where its results are corrected.

    What was corrected in the outbox stays no input where `corrections` names another place later, or none.
    """
    yield folder.outbox
    yield folder.outbox / CORRECTIONS
    yield folder.archive
    yield from filter(None, (folder.failure_notes, folder.corrections))


def _below(inbox: Path, places: Sequence[Path]) -> tuple[Path, ...]:
    """Give the places strictly below the inbox, each once, without those inside another of them."""
    inside = sorted({place for place in places if place != inbox and place.is_relative_to(inbox)})
    return tuple(
        place for place in inside if not any(place != other and place.is_relative_to(other) for other in inside)
    )
