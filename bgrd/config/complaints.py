"""What is wrong with a configuration, in the user's words: where it stands, its key, and what it may be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from bgrd.config.output import ProductOptions, ProductTable
from bgrd.config.settings import ENVIRONMENT_PREFIX, FolderTable, ModelTable, Options, Settings

__all__ = ["TABLES", "bounds_of", "complaint", "explained", "inherited"]

_Key = tuple[int | str, ...]

TABLES: dict[str, type[BaseModel]] = {
    "defaults": Options,
    "folder": FolderTable,
    "folder.product": ProductTable,
    "model": ModelTable,
}
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
_FORMER = {"background": "on"}
"""Keys that had other names once."""


def inherited(table: str) -> set[str]:
    """Give the keys of a table that are declared with another."""
    below: dict[str, type[BaseModel]] = {"folder": Options, "folder.product": ProductOptions}
    return set(below[table].model_fields) if table in below else set()


def bounds_of(field: FieldInfo) -> str:
    """Give what a field allows as "between 0 and 1", "at least 1" or "", from its declared bounds."""
    low = next((item.ge for item in field.metadata if hasattr(item, "ge")), None)
    high = next((item.le for item in field.metadata if hasattr(item, "le")), None)
    if low is None:
        return "" if high is None else f"at most {high:.15g}"
    return f"at least {low:g}" if high is None else f"between {low:g} and {high:.15g}"


def explained(error: ValidationError, *, place: Path, values: Any, named: Mapping[str, Any]) -> str:
    """Give a line for each thing that is wrong: where it stands, its key, and what it may be."""
    lines = []
    for detail in error.errors():
        key = detail["loc"]
        if _stands_in(named, key):
            where = f"environment: {ENVIRONMENT_PREFIX}{'__'.join(str(part) for part in key).upper()}"
        else:
            where = f"{place}: {_written(key, values)}"
        lines.append(f"{where}: {complaint(detail['type'], key, detail)}")
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


def complaint(kind: str, key: _Key, detail: Mapping[str, Any]) -> str:
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
            return f"must be {bounds_of(_fields(key)[str(key[-1])])}, {given}"
        case "too_short" | "string_too_short":
            return "must not be empty"
        case "string_pattern_mismatch":
            return f"must be 64 hexadecimal digits in lower case, {given}"
    wanted = _WANTED.get(kind.split("_", 1)[0])
    return f"must be {wanted}, {given}" if wanted else f"{detail['msg']}, {given}"


def _table(key: _Key) -> str:
    """Name the table a key stands in."""
    if len(key) == 1:
        return ""
    return "folder.product" if "product" in key[1:-1] else str(key[0])


def _fields(key: _Key) -> Mapping[str, FieldInfo]:
    """Give the fields of the table a key stands in."""
    table = _table(key)
    return TABLES[table].model_fields if table else Settings.model_fields


def _meant(key: _Key) -> str:
    """Give what is most likely meant by an unknown key: one of another table, or the most similar one there is."""
    name = str(key[-1])
    if name in _FORMER:
        return f" here; did you mean {_FORMER[name]}?"
    homes = [_header(table) for table in TABLES if name in TABLES[table].model_fields]
    if homes:
        return f" here; it belongs to {homes[0]}"
    if name in Settings.model_fields:
        return " here; it belongs to the top of the file"
    here = _table(key)
    others = {table: model.model_fields for table, model in TABLES.items()}
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
