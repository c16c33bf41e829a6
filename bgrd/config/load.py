"""From TOML and environment to frozen settings. Checks the text, not the world.

An error names the file and the key: `PATH: folder[phone].threshold: must be between 0 and 1, is 1.5`. A folder or model
is told by its name, or, where it has none, by its number counted from 0. All errors of a file are told at once.

A key is overridden by `BGRD_<KEY>`, one inside a table by `BGRD_<TABLE>__<KEY>`: `BGRD_LANES=2`,
`BGRD_DEFAULTS__MODEL=u2net`. Lists and tables are JSON there. An empty variable counts as not set.
"""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import BeforeValidator, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import EnvSettingsSource, SettingsError

from bgrd.config.complaints import TABLES, bounds_of, explained, inherited
from bgrd.config.plan import custom_models, default_recipe, folders
from bgrd.config.settings import ENVIRONMENT_PREFIX, Settings
from bgrd.config.values import Surroundings, expand, human_size, size_of, surroundings
from bgrd.errors import ConfigError

__all__ = [
    "Option",
    "Settings",
    "custom_models",
    "default_path",
    "default_recipe",
    "folders",
    "load",
    "options",
    "strangers",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One key of the file as it is declared: for the example, the documentation and messages.

    `table` is "" for the top level, or "defaults", "folder", "folder.product" or "model". `default` is written as
    TOML, None where the key has to be set. `allowed` says which values there are, as "between 0 and 1" or "keep,
    archive or delete", or "".
    """

    table: str
    key: str
    default: str | None
    allowed: str
    description: str


def options() -> tuple[Option, ...]:
    """Give every key there is, in the order of their declaration; keys a folder inherits stand under "defaults"."""
    found = [_option("", key, field) for key, field in Settings.model_fields.items() if key not in TABLES]
    for table, model in TABLES.items():
        left_out = inherited(table) | {"product"}
        found += [_option(table, key, field) for key, field in model.model_fields.items() if key not in left_out]
    return tuple(found)


def default_path(environ: Mapping[str, str] | None = None) -> Path:
    """Give where the configuration lies when nobody says otherwise: `$XDG_CONFIG_HOME/bgrd/config.toml`."""
    environ = os.environ if environ is None else environ
    return expand("$XDG_CONFIG_HOME/bgrd/config.toml", base=Path("/"), environ=environ)


def load(path: Path | None = None, *, environ: Mapping[str, str] | None = None, any_model: bool = False) -> Settings:
    """Read the settings from `path`, or from the default path if there is a file, with the environment on top.

    Relative paths are relative to the file's folder. Raises ConfigError; what it lets through, `folders` and
    `custom_models` take. `any_model` is for those who are about to install what a folder names: see `folders`.
    """
    environ = os.environ if environ is None else environ
    place = (default_path(environ) if path is None else path).absolute()
    values = _read(place, optional=path is None)
    named = _from_environment(environ)
    token = surroundings.set(Surroundings(base=place.parent, environ=environ))
    try:
        settings = Settings(**_merged(values, named))
        folders(settings, any_model=any_model)
    except ValidationError as error:
        raise ConfigError(explained(error, place=place, values=_merged(values, named), named=named)) from error
    except ConfigError as error:
        message = f"{place}: {error}"
        raise ConfigError(message) from error
    finally:
        surroundings.reset(token)
    return settings


def strangers(environ: Mapping[str, str]) -> list[str]:
    """Give the `BGRD_` variables that set nothing, sorted; most likely they are misspelt."""
    known = {(ENVIRONMENT_PREFIX + key).upper() for key in Settings.model_fields}
    ours = [name for name in environ if name.upper().startswith(ENVIRONMENT_PREFIX)]
    return sorted(name for name in ours if name.upper().split("__", 1)[0] not in known)


def _option(table: str, key: str, field: FieldInfo) -> Option:
    """Give a field as an option."""
    choices = [str(choice) for choice in get_args(field.annotation)] if get_origin(field.annotation) is Literal else []
    allowed = f"{', '.join(choices[:-1])} or {choices[-1]}" if len(choices) > 1 else bounds_of(field)
    default = None if field.is_required() else _as_toml(field)
    return Option(table=table, key=key, default=default, allowed=allowed, description=field.description or "")


def _as_toml(field: FieldInfo) -> str:
    """Give a field's default as the file would have it."""
    extra = field.json_schema_extra
    value: object = extra["word"] if field.default is None and isinstance(extra, dict) else field.default
    if any(isinstance(item, BeforeValidator) and item.func is size_of for item in field.metadata) and value:
        value = human_size(size_of(value))
    elif isinstance(value, Path):
        value = str(value)
    elif isinstance(value, int) and value >= 100_000:
        return f"{value:_}"
    return json.dumps(value)


def _read(path: Path, *, optional: bool) -> dict[str, Any]:
    """Give the file's tables as they stand. Raises ConfigError."""
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError as error:
        if optional:
            return {}
        message = f"{path}: there is no such file"
        raise ConfigError(message) from error
    except OSError as error:
        message = f"{path}: cannot be read: {error.strerror}"
        raise ConfigError(message) from error
    except ValueError as error:
        message = f"{path}: is no TOML in UTF-8: {error}"
        raise ConfigError(message) from error


def _from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    """Give what the `BGRD_` variables set, as tables. Raises ConfigError."""
    source = EnvSettingsSource(Settings)
    source.env_vars = {name.lower(): value for name, value in environ.items() if value}
    try:
        return source()
    except SettingsError as error:
        found = re.search(r'"(\w+)"', str(error))
        message = f"environment: {ENVIRONMENT_PREFIX}{found[1].upper() if found else ''}: must be JSON"
        raise ConfigError(message) from error


def _merged(values: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Give `values` with `over` on top, table by table."""
    merged = dict(values)
    for key, value in over.items():
        below = merged.get(key)
        merged[key] = _merged(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged
