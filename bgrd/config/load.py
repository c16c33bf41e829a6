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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import EnvSettingsSource, SettingsError

from bgrd.config.plan import custom_models, default_recipe, folders
from bgrd.config.settings import ENVIRONMENT_PREFIX, FolderTable, ModelTable, Options, Settings
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

_Key = tuple[int | str, ...]

_TABLES: dict[str, type[BaseModel]] = {"defaults": Options, "folder": FolderTable, "model": ModelTable}
_WANTED = {
    "bool": "true or false",
    "dict": "a table",
    "float": "a number",
    "int": "a whole number",
    "list": "a list",
    "model": "a table",
    "string": "a text",
    "tuple": "a list",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One key of the file as it is declared: for the example, the documentation and messages.

    `table` is "" for the top level, or "defaults", "folder" or "model". `default` is written as TOML, None where the
    key has to be set. `allowed` says which values there are, as "between 0 and 1" or "keep, archive or delete", or "".
    """

    table: str
    key: str
    default: str | None
    allowed: str
    description: str


def options() -> tuple[Option, ...]:
    """Give every key there is, in the order of their declaration; keys a folder inherits stand under "defaults"."""
    found = [_option("", key, field) for key, field in Settings.model_fields.items() if key not in _TABLES]
    for table, model in _TABLES.items():
        inherited = Options.model_fields if model is FolderTable else {}
        found += [_option(table, key, field) for key, field in model.model_fields.items() if key not in inherited]
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
        raise ConfigError(_explained(error, place=place, values=_merged(values, named), named=named)) from error
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
    allowed = f"{', '.join(choices[:-1])} or {choices[-1]}" if len(choices) > 1 else _bounds(field)
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


def _bounds(field: FieldInfo) -> str:
    """Give what a field allows as "between 0 and 1", "at least 1" or "", from its declared bounds."""
    low = next((item.ge for item in field.metadata if hasattr(item, "ge")), None)
    high = next((item.le for item in field.metadata if hasattr(item, "le")), None)
    if low is None:
        return "" if high is None else f"at most {high:.15g}"
    return f"at least {low:g}" if high is None else f"between {low:g} and {high:.15g}"


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


def _explained(error: ValidationError, *, place: Path, values: Any, named: Mapping[str, Any]) -> str:
    """Give a line for each thing that is wrong: where it stands, its key, and what it may be."""
    lines = []
    for detail in error.errors():
        key = detail["loc"]
        if _stands_in(named, key):
            where = f"environment: {ENVIRONMENT_PREFIX}{'__'.join(str(part) for part in key).upper()}"
        else:
            where = f"{place}: {_written(key, values)}"
        lines.append(f"{where}: {_complaint(detail['type'], key, detail)}")
    return "\n".join(lines)


def _stands_in(values: object, key: Sequence[int | str]) -> bool:
    """Say whether nested tables have this key."""
    for part in key:
        if not isinstance(values, dict) or part not in values:
            return False
        values = values[part]
    return True


def _written(key: _Key, values: object) -> str:
    """Give a key as the user would write it, list items by their names where they have one."""
    text = ""
    for part in key:
        if isinstance(part, int):
            values = values[part] if isinstance(values, list | tuple) and part < len(values) else None
            name = values.get("name") if isinstance(values, dict) else None
            text += f"[{name if isinstance(name, str) and name.isprintable() else part}]"
        else:
            values = values.get(part) if isinstance(values, dict) else None
            text += f".{part}" if text else part
    return text


def _complaint(kind: str, key: _Key, detail: Mapping[str, Any]) -> str:
    """Give one error in the user's words; `kind` is pydantic's name for it."""
    given = f"is {detail['input']!r}"
    match kind:
        case "extra_forbidden":
            return "is no setting" + _meant(key)
        case "missing":
            return "has to be set"
        case "value_error":
            return str(detail["ctx"]["error"])
        case "literal_error":
            return f"must be {detail['ctx']['expected']}, {given}"
        case "greater_than_equal" | "less_than_equal" | "finite_number":
            return f"must be {_bounds(_fields(key)[str(key[-1])])}, {given}"
        case "too_short" | "string_too_short":
            return "must not be empty"
        case "string_pattern_mismatch":
            return f"must be 64 hexadecimal digits in lower case, {given}"
    wanted = _WANTED.get(kind.split("_", 1)[0])
    return f"must be {wanted}, {given}" if wanted else f"{detail['msg']}, {given}"


def _fields(key: _Key) -> Mapping[str, FieldInfo]:
    """Give the fields of the table a key stands in."""
    return Settings.model_fields if len(key) == 1 else _TABLES[str(key[0])].model_fields


def _meant(key: _Key) -> str:
    """Give what is most likely meant by an unknown key: one of another table, or the most similar one there is."""
    name = str(key[-1])
    homes = [_header(table) for table in _TABLES if name in _TABLES[table].model_fields]
    if name in Settings.model_fields:
        return " here; it belongs to the top of the file"
    if homes:
        return f" here; it belongs to {homes[0]}"
    here = "" if len(key) == 1 else str(key[0])
    others = {table: model.model_fields for table, model in _TABLES.items()}
    tables = {here: _fields(key), "": Settings.model_fields, **others}
    # A folder has every key of [defaults]: what is found in both is told of [defaults], as the first.
    owners = {option: table for table in reversed(tables) for option in tables[table]}
    close = get_close_matches(name, owners, n=1)
    return f"; did you mean {_titled(close[0], owners[close[0]], here)}?" if close else ""


def _titled(option: str, table: str, here: str) -> str:
    """Give a key with the table it stands in, where that is not this one."""
    if table == here:
        return option
    return f"{option} at the top of the file" if not table else f"{_header(table)} {option}"


def _header(table: str) -> str:
    """Give a table's header as the file has it."""
    return f"[{table}]" if table == "defaults" else f"[[{table}]]"
