"""From settings to plain folders and models; checks texts.

Only for a model that neither the catalogue nor the configuration knows is the world asked: it may be installed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from bgrd.config.arrangement import CORRECTIONS, arrange
from bgrd.config.idle import idle_keys
from bgrd.config.recipe import recipe_of
from bgrd.config.settings import FolderTable, ModelTable, Options, Settings
from bgrd.errors import ConfigError
from bgrd.job import Folder, ModelChoice, Recipe
from bgrd.models.catalogue import ROWS
from bgrd.models.spec import parse
from bgrd.models.store import installed_names

__all__ = ["custom_models", "default_recipe", "folders", "without_effect"]

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


def _folder(table: FolderTable, options: Options, *, create: bool) -> Folder:
    """Give one folder as plain values."""
    return Folder(
        name=table.name,
        inbox=table.inbox,
        outbox=table.outbox,
        archive=table.archive or table.inbox.with_name(table.inbox.name + "-done"),
        recipe=recipe_of(options, where=f"folder[{table.name}]", folder=table.name),
        failure_notes=_place(options.failure_notes, within=table.outbox / "_failed"),
        corrections=_place(options.corrections, within=table.outbox / CORRECTIONS),
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
