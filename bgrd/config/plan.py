"""From settings to plain folders and models, and whether they can live together; checks texts.

Only for a model that neither the catalogue nor the configuration knows is the world asked: it may be installed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from difflib import get_close_matches
from itertools import combinations
from pathlib import Path
from typing import Any

from bgrd.config.idle import idle_keys
from bgrd.config.recipe import recipe_of
from bgrd.config.settings import FolderTable, ModelTable, Options, Settings
from bgrd.errors import ConfigError
from bgrd.job import Folder, ModelChoice, Recipe
from bgrd.models.catalogue import ROWS
from bgrd.models.spec import parse
from bgrd.models.store import installed_names

__all__ = ["arrange", "custom_models", "default_recipe", "folders", "without_effect"]

_PASSED_ON = sorted(Options.model_fields.keys() & Folder.__dataclass_fields__.keys() - {"corrections", "failure_notes"})
"""The options a folder takes over as they are."""


def folders(settings: Settings, *, any_model: bool = False) -> tuple[Folder, ...]:
    """Give the folders as plain values, `[defaults]` inherited. Raises ConfigError where they contradict each other.

    Only the folder that stands in for an empty configuration has `create` set. `any_model` lets names of models through
    that nobody knows.
    """
    known = [*ROWS, *custom_models(settings)]
    create = "folder" not in settings.model_fields_set
    plain = [_folder(table, _options(settings, table), create=create) for table in settings.folder]
    for folder in plain if not any_model else ():
        _refuse_unknown_model(folder, known, settings)
    return arrange(plain, aside=(settings.state_directory, settings.models_directory))


def default_recipe(settings: Settings) -> Recipe:
    """Give the recipe of `[defaults]`, for pictures that come from no folder. Raises ConfigError."""
    return recipe_of(settings.defaults, where="defaults")


def without_effect(settings: Settings) -> Iterator[tuple[str, str]]:
    """Yield folder and key of what a folder sets and nothing it makes is changed by; `folders` has let it through."""
    for table in settings.folder:
        options = _options(settings, table)
        own = "product" in table.model_fields_set
        for key in idle_keys(options, table.model_fields_set):
            if own or not key.startswith("product["):  # inherited tables are of use in other folders
                yield table.name, key


def custom_models(settings: Settings) -> dict[str, ModelChoice]:
    """Give the models of the `[[model]]` tables by name. Raises ConfigError for a name or a spec that cannot be.

    A name of the catalogue may be given to a file of one's own. A table without `like` and spec keys means that the
    file describes itself; else the choice's `spec` is what `models.spec.parse` takes.
    """
    models: dict[str, ModelChoice] = {}
    for table in settings.model:
        if table.name in models:
            message = f"model[{table.name}].name: is given twice"
            raise ConfigError(message)
        models[table.name] = ModelChoice(
            name=table.name, path=table.path, sha256=table.sha256, spec=_spec(table), external=table.data
        )
    return models


def _spec(table: ModelTable) -> dict[str, Any] | None:
    """Give what a table says of how its model is fed, None where it says nothing. Raises ConfigError."""
    where, own = f"model[{table.name}]", table.model_extra or {}
    base = {} if table.like is None else _base(table.like, where)
    if not (base or own):
        return None
    spec = {**base, **own, "name": table.name}
    parse(spec, where=where)
    return spec


def _base(like: str, where: str) -> dict[str, Any]:
    """Give the spec of a known model, without the licence, which is that of its own file. Raises ConfigError."""
    known = [name for name, row in ROWS.items() if row.spec is not None]
    row = ROWS.get(like)
    if row is None or row.spec is None:
        close = get_close_matches(like, known, n=1)
        hint = f"did you mean {close[0]}?" if close else f"those are {', '.join(known)}"
        message = f"{where}.like: must be a known model that says how it is fed, is {like!r}; {hint}"
        raise ConfigError(message)
    return {key: value for key, value in row.spec.to_json().items() if key not in {"licence", "commercial"}}


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
    arranged = tuple(replace(folder, excluded=_below(folder.inbox, every)) for folder in folders)
    for folder in arranged:
        _refuse_ground_as_source(folder, arranged)
    return arranged


def _refuse_unknown_model(folder: Folder, known: Sequence[str], settings: Settings) -> None:
    """Raise ConfigError where nobody knows the folder's model, or whose variant it is.

    A model whose file is not there is known: its folder waits for it. What is installed is asked for only where the
    name says nothing to us. Where that cannot be told now, the name is let through: a directory that is configured and
    not there may lie on a share that is not mounted yet.
    """
    name = folder.recipe.model
    if name in known or name.partition(":")[0] in known:
        return
    installed = installed_names(settings.models_directory, expected="models_directory" in settings.model_fields_set)
    if installed is not None and not {name, name.partition(":")[0]} & installed:
        known = [*known, *sorted(installed - set(known))]
        close = get_close_matches(name, known, n=1)
        hint = f"did you mean {close[0]}?" if close else f"known are {', '.join(known)}"
        message = f"folder[{folder.name}].model: must be the name of a model, is {name!r}; {hint}"
        raise ConfigError(message)


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
    """Yield every place whose files are no input: what a folder writes to, and where its results are corrected."""
    yield folder.outbox
    yield folder.archive
    yield from filter(None, (folder.failure_notes, folder.corrections))


def _below(inbox: Path, places: Sequence[Path]) -> tuple[Path, ...]:
    """Give the places strictly below the inbox, each once, without those inside another of them."""
    inside = sorted({place for place in places if place != inbox and place.is_relative_to(inbox)})
    return tuple(
        place for place in inside if not any(place != other and place.is_relative_to(other) for other in inside)
    )


def _folder(table: FolderTable, options: Options, *, create: bool) -> Folder:
    """Give one folder as plain values."""
    return Folder(
        name=table.name,
        inbox=table.inbox,
        outbox=table.outbox,
        archive=table.archive or table.inbox.with_name(table.inbox.name + "-done"),
        recipe=recipe_of(options, where=f"folder[{table.name}]", folder=table.name),
        failure_notes=_place(options.failure_notes, within=table.outbox / "_failed"),
        corrections=_place(options.corrections, within=table.outbox / "_corrections"),
        create=create,
        **{key: getattr(options, key) for key in _PASSED_ON},
    )


def _place(word: str, *, within: Path) -> Path | None:
    """Give the directory that "outbox", "none" or a path stands for."""
    return {"none": None, "outbox": within}.get(word, Path(word))


def _options(settings: Settings, table: FolderTable) -> Options:
    """Give what holds for a folder: its own keys, and those of `[defaults]` for the rest."""
    own = table.model_fields_set & Options.model_fields.keys()
    given = {key: getattr(table, key) for key in own}
    if "products" in own:
        given["product"] = ()  # the folder's own list stands in place of tables it would inherit
    return settings.defaults.model_copy(update=given)
