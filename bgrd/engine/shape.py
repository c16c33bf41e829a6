"""Whether JSON values fit a dataclass, by its annotations: names, types, and numbers that every store can hold."""

from __future__ import annotations

import math
from dataclasses import MISSING, fields
from functools import cache
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

__all__ = ["misfit"]

_INTEGERS_END = 2**63
"""SQLite's integers end there. None of our numbers is negative."""


def misfit(values: dict[str, object], kind: type[Any]) -> str:
    """Say what keeps `kind(**values)` from being what its annotations promise; empty where nothing does."""
    hints, required = _annotations(kind)  # type: ignore[arg-type] # a class is hashable
    if missing := required - values.keys():
        return f"{min(missing)} is missing"
    if values.keys() - hints.keys():
        return "there is more in it than there should be"
    return next((f"{name} is wrong" for name, value in values.items() if not _fits(value, hints[name])), "")


@cache  # working them out takes half a millisecond, and a picture has two messages to be checked
def _annotations(kind: type[Any]) -> tuple[dict[str, Any], frozenset[str]]:
    """Give the fields' types and the names of those without a default."""
    known, given = get_type_hints(kind), fields(kind)
    required = (field.name for field in given if field.default is MISSING and field.default_factory is MISSING)
    return {field.name: known[field.name] for field in given}, frozenset(required)


def _fits(value: object, hint: Any) -> bool:
    origin, inner = _taken_apart(hint)
    if origin is UnionType:
        return any(_fits(value, each) for each in inner)
    if origin is list:
        return isinstance(value, list) and all(_fits(each, inner[0]) for each in value)
    if origin is dict:
        return isinstance(value, dict) and all(_fits(each, inner[1]) for each in value.values())
    return _is_plain(value, hint)


@cache
def _taken_apart(hint: Any) -> tuple[Any, tuple[Any, ...]]:
    """Give what a type is made of: `list` and `(str,)` for a list of strings."""
    return get_origin(hint), get_args(hint)


def _is_plain(value: object, hint: Any) -> bool:
    """Tell for a type that holds no others; `bool` is no number here, and a whole number is a `float` too."""
    if hint is Any:
        return True
    if hint is int:
        return type(value) is int and 0 <= value < _INTEGERS_END
    if hint is float:
        return _is_plain(value, int) or (type(value) is float and math.isfinite(value) and value >= 0)
    return type(value) is (NoneType if hint is NoneType else hint)
